#!/usr/bin/env python3
"""The preloaded allocator under a program that asks all of it, on every strategy; and the shadow model
on planted bugs, and on a program's own misuse."""
import argparse
import os
import subprocess
import sys
import tempfile
import unittest

PARTS = ["edges", "threads", "forks", "spawns", "signals", "libraries", "descriptors"]

# Not asked of some: what releases nothing cannot serve threads that allocate until they are told to
# stop, and what seals pages for each block takes a while.
ENDLESS, SLOW = {"forks"}, {"forks", "threads"}
LEFT_OUT = {"bump": ENDLESS, "bump_atomic": ENDLESS, "arena": ENDLESS, "hardened": SLOW}

# What a short program shows of planted bugs, each by its property.
PLANTS = {
    "free_list+resize_forgets_tail": {"resize-prefix"},
    "free_list+extends_one_unit_too_far": {"usable-size", "overlap", "content", "release-refused"},
    "bump+aligned_returns_end": {"overlap", "content"},
    "buddy+order_rounded_down": {"usable-size", "overlap"},
    "slab+colour_past_the_end": {"bounds"},
    "boundary_tag+bitmap_not_cleared": {"invariant:boundary_tag.I7"},
    "tlsf+merges_with_live_left": {"invariant:tlsf.I3", "release-refused", "overlap", "crash"},
    "page_bump+released_before_copied": {"crash"},
    "system+aligned_not_zeroed": {"zeroed"},
    "size_class+extends_past_the_end": {"overlap"},
    "tlsf+split_loses_remainder": {"spurious-oom"},
}

BUSY = """
x = [str(i) * (i % 9) for i in range(4000)]
y = dict.fromkeys(x)
del x[::2]
z = [bytearray(i * 37 % 5000) for i in range(500)]
print(len(y), len(z))
"""

ABORTED, VIOLATED = -6, 99


class PreloadTest(unittest.TestCase):
    arguments = None

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def run_it(self, command, strategy, shadow=False, preload=None, **settings):
        environment = dict(os.environ, ASSAY_STRATEGY=strategy, PYTHONMALLOC="malloc",
                           LD_PRELOAD=os.path.abspath(preload or self.arguments.preload), **settings)
        if shadow:
            environment["ASSAY_SHADOW"] = self.folder.name
        return subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, timeout=250,
                              capture_output=True, text=True, check=False)

    def demanding(self, *parts):
        return [os.path.abspath(self.arguments.program), *parts]

    def test_all_strategies(self):
        for strategy in self.arguments.strategy:
            for shadow in (False, True):
                parts = [part for part in PARTS if part not in LEFT_OUT.get(strategy, ())]
                with self.subTest(strategy=strategy, shadow=shadow):
                    if shadow:  # handlers and children differ in nothing for it
                        parts = [part for part in parts if part in ("edges", "threads", "libraries")]
                    result = self.run_it(self.demanding(*parts), strategy, shadow)
                    self.assertEqual((0, "", ""),
                                     (result.returncode, result.stdout, result.stderr))
                    self.assertEqual([], os.listdir(self.folder.name))

    def test_forks_under_the_shadow_model(self):
        for strategy in ("size_class", "tlsf"):
            result = self.run_it(self.demanding("forks", "signals"), strategy, True)
            self.assertEqual((0, ""), (result.returncode, result.stderr), strategy)

    def test_without_a_strategy(self):
        result = self.run_it(self.demanding("edges"), "")
        self.assertEqual((0, ""), (result.returncode, result.stderr))

    def test_unknown_names(self):
        for settings, says in (({"strategy": "heap_of_sand"}, "unknown strategy `heap_of_sand`"),
                               ({"strategy": "tlsf", "ASSAY_VARIANT": "x"}, "no variant `x`")):
            result = self.run_it(["/bin/cat"], **settings)
            self.assertEqual(2, result.returncode)
            self.assertIn(says, result.stderr)

    def test_variant(self):
        result = self.run_it(self.demanding("edges"), "free_list", ASSAY_VARIANT="best_fit")
        self.assertEqual((0, ""), (result.returncode, result.stderr))

    def test_small_heap(self):
        script = "x = []\ntry:\n  while True: x.append(bytearray(100000))\nexcept MemoryError: pass\n" \
                 "n = len(x); x = None; print(n)"
        result = self.run_it([sys.executable, "-S", "-c", script], "tlsf", True,
                             ASSAY_HEAP=str(16 << 20))
        self.assertEqual((0, ""), (result.returncode, result.stderr))
        self.assertTrue(50 < int(result.stdout) < 168, result.stdout)

    # ## Misuse

    def test_misuse_that_strategies_detect(self):
        for part, strategy, says in (
                ("double-release", "free_list", "assay run: free_list: double release of 0x"),
                ("foreign-release", "boundary_tag", "assay run: boundary_tag: foreign release of 0x"),
                ("double-release", "hardened", "assay run: hardened: double release of 0x")):
            result = self.run_it(self.demanding(part), strategy)
            self.assertEqual(ABORTED, result.returncode, result.stderr)
            self.assertIn(says, result.stderr)
            result = self.run_it(self.demanding(part), strategy, ASSAY_MISUSE="tell")
            self.assertEqual(0, result.returncode, result.stderr)
            self.assertIn(says, result.stderr)

    def test_misuse_under_the_shadow_model(self):
        """On a strategy that detects nothing: it is the program's fault, and said to be."""
        for part, says in (("double-release", "which was released before"),
                           ("foreign-release", "where no block begins")):
            result = self.run_it(self.demanding(part), "page_bump", True)
            self.assertEqual(ABORTED, result.returncode, result.stderr)
            self.assertIn("assay run: the program's misuse: release of 0x", result.stderr)
            self.assertIn(says, result.stderr)
            self.assertIn(" in main (", result.stderr.replace("in ? (", "in main ("))
            self.assertNotIn("ASSERTION FAILED", result.stderr)
            self.assertEqual([], os.listdir(self.folder.name))

    # ## Planted bugs

    def test_planted_bugs(self):
        for plant, expected in PLANTS.items():
            with self.subTest(plant=plant):
                result = self.run_it([sys.executable, "-S", "-c", BUSY], plant, True,
                                     self.arguments.planted, ASSAY_HEAP=str(64 << 20))
                self.assertEqual(VIOLATED, result.returncode, result.stderr)
                lines = result.stderr.splitlines()
                told = [line[18:] for line in lines if line.startswith("ASSERTION FAILED: ")]
                self.assertEqual(1, len(told), result.stderr)
                self.assertIn(told[0], expected)
                self.assertTrue(any(line.startswith("ERROR: assay: %s: %s: " % (plant, told[0]))
                                    for line in lines), result.stderr)
                self.assertIn("    #0 0x", result.stderr)
                note, = os.listdir(self.folder.name)
                path = os.path.join(self.folder.name, note)
                with open(path, encoding="utf-8") as file:
                    self.assertEqual(told[0], file.readline().rstrip())
                os.remove(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preload", required=True)
    parser.add_argument("--planted", required=True)
    parser.add_argument("--program", required=True)
    parser.add_argument("--strategy", action="append", required=True)
    PreloadTest.arguments, rest = parser.parse_known_args()
    unittest.main(argv=sys.argv[:1] + rest)


if __name__ == "__main__":
    main()
