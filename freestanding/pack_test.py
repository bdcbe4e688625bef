#!/usr/bin/env python3
"""Packs, and that a world that judges otherwise than the host is caught."""
import os
import struct
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
from freestanding import pack  # noqa: E402


def heap(capacity, page=0, slots=0):
    """A heap's record, with an operation behind it."""
    return struct.pack("<BBHIQ", 1, page, slots << 8 | 5, 7, capacity) + bytes(range(16))


class PackTest(unittest.TestCase):
    def test_round_trip(self):
        entries = [("tlsf", b""), ("buddy+some_bug", bytes(range(64))), ("x", b"\0" * 17)]
        self.assertEqual(pack.decode(pack.encode(entries)), entries)
        self.assertEqual(pack.decode(pack.encode([])), [])

    def test_damage(self):
        whole = pack.encode([("tlsf", bytes(32)), ("slab", b"12")])
        for size in range(len(whole)):
            with self.assertRaises(pack.Damaged, msg=size):
                pack.decode(whole[:size])
        with self.assertRaises(pack.Damaged):
            pack.decode(whole + b"\0")
        with self.assertRaises(pack.Damaged):
            pack.decode(b"x" + whole[1:])

    def test_capped(self):
        fits = heap(4096)
        self.assertEqual(pack.capped(fits), fits)
        for capacity in [0, 65536, 1 << 36, (1 << 40) - 1]:
            _, _, _, _, size = struct.unpack_from("<BBHIQ", pack.capped(heap(capacity)))
            self.assertLessEqual(size, pack.HEAP_SIZE)
            self.assertGreater(size, 0)
        # Codes of 4 KiB, 64 KiB, and 64 B again; of 64, 256 and 512 slots.
        for code, capped in [(0, 0), (4, 0), (5, 5)]:
            self.assertEqual(pack.capped(heap(64, page=code))[1], capped)
        for code, capped in [(0, 0), (2, 2), (3, 2)]:
            self.assertEqual(pack.capped(heap(64, slots=code))[2:4], bytes([5, capped]))
        self.assertEqual(pack.capped(heap(1 << 30))[16:], heap(0)[16:])
        self.assertEqual(len(pack.capped(b"abc")), 16)


class ComparisonTest(unittest.TestCase):
    """replay_test.py, with a world and a host that are shell scripts."""

    ENTRIES = [("tlsf", heap(64)), ("tlsf+bug", heap(64)), ("slab", heap(64)), ("bump", heap(64)),
               ("buddy", heap(64)), ("arena", heap(64))]
    LINES = ["judged 0 tlsf clean", "ERROR: assay: tlsf+bug: overlap: whatever", "judged 1 tlsf+bug overlap",
             "judged 2 slab clean", "judged 3 bump clean", "judged 4 buddy clean", "unfit 5 arena memory",
             "pack: 5 judged, 1 unfit"]

    def compare(self, lines, code=0, unfit=("memory", "threads"), only=(), differs=(), refuses=True):
        with tempfile.TemporaryDirectory() as folder:
            def script(name, text):
                path = os.path.join(folder, name)
                with open(path, "w", encoding="utf-8") as file:
                    file.write("#!/bin/sh\n" + text)
                os.chmod(path, 0o755)
                return path
            refusal = "[ $(wc -c <$1) -gt 60 ] || { echo 'the pack is damaged'; exit 2; }\n" if refuses else ""
            world = script("world", "%scat <<'END'\n%s\nEND\nexit %d\n" % (refusal, "\n".join(lines), code))
            host = script("host", """strategy=$5; shift 5
for file in "$@"; do
  case $strategy in *+*) verdict=overlap ;; *) verdict=clean ;; esac
  echo "{\\"file\\": \\"$file\\", \\"verdict\\": \\"$verdict\\"}"
done
""")
            path = os.path.join(folder, "pack")
            with open(path, "wb") as file:
                file.write(pack.encode(self.ENTRIES))
            return subprocess.run(
                [sys.executable, os.path.join(HERE, "replay_test.py"), "--assay", host, "--world", world,
                 "--pack", path] + ["--unfit=" + reason for reason in unfit] +
                ["--differs=" + name for name in differs] +
                (["--only", *only] if only else []),
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)

    def test_agrees(self):
        ran = self.compare(self.LINES)
        self.assertEqual(ran.returncode, 0, ran.stdout)
        self.assertIn("5 judged on 5 strategies, of these 1 not clean; 1 unfit: memory 1", ran.stdout)

    def assert_fails(self, what, changed, **kwargs):
        ran = self.compare(changed, **kwargs)
        self.assertNotEqual(ran.returncode, 0, changed)
        self.assertIn(what, ran.stdout)

    def changed(self, former, now):
        self.assertIn(former, self.LINES)
        return [now if line == former else line for line in self.LINES]

    def test_damage(self):
        self.assert_fails("entry 1, tlsf+bug: clean here, overlap on the host",
                          self.changed("judged 1 tlsf+bug overlap", "judged 1 tlsf+bug clean"))
        self.assert_fails("entry 2, slab: crash here, clean on the host",
                          self.changed("judged 2 slab clean", "judged 2 slab crash"))
        self.assert_fails("is said to be for buddy",
                          self.changed("judged 2 slab clean", "judged 2 buddy clean"))
        self.assert_fails("not allowed: memory", self.LINES, unfit=["threads"])
        self.assert_fails("", self.changed("judged 2 slab clean", "judged 2 slab"))
        self.assert_fails("exit code 1", self.LINES, code=1)
        self.assert_fails("exit code 0, and at last", self.LINES[:-1])
        self.assert_fails("2 programs are unfit, and no more than 1 may be",
                          self.changed("judged 2 slab clean", "unfit 2 slab memory")[:-1] +
                          ["pack: 4 judged, 2 unfit"])
        self.assert_fails("no program shows a bug",
                          [line for line in self.LINES[:-1] if "overlap" not in line] +
                          ["pack: 4 judged, 1 unfit"])
        self.assert_fails("entry 4, for buddy, was neither",
                          [line for line in self.LINES[:-1] if "buddy" not in line] +
                          ["pack: 4 judged, 1 unfit"])

    def test_known_difference(self):
        other = self.changed("judged 1 tlsf+bug overlap", "judged 1 tlsf+bug content")
        ran = self.compare(other, differs=["tlsf+bug"])
        self.assertEqual(ran.returncode, 0, ran.stdout)
        self.assert_fails("tlsf+bug does not differ", self.LINES, differs=["tlsf+bug"])
        self.assert_fails("entry 2, slab: crash here",
                          self.changed("judged 2 slab clean", "judged 2 slab crash"), differs=["slab"])

    def test_damaged_pack_is_taken(self):
        self.assert_fails("it takes a pack that breaks off: exit code 0", self.LINES, refuses=False)

    def test_some_strategies(self):
        some = [self.LINES[0], self.LINES[2], self.LINES[3], "pack: 3 judged, 0 unfit"]
        ran = self.compare(some, only=["tlsf", "slab"])
        self.assertEqual(ran.returncode, 0, ran.stdout)
        self.assert_fails("entry 3, for bump, was neither", some, only=["tlsf", "slab", "bump"])
        self.assert_fails("nothing was judged on other", some, only=["tlsf", "slab", "other"])
        self.assert_fails("entry 1, for tlsf+bug, was neither",
                          [self.LINES[0], self.LINES[3], "pack: 2 judged, 0 unfit"], only=["tlsf", "slab"])


if __name__ == "__main__":
    unittest.main()
