#!/usr/bin/env python3
"""assay replay: with and without the oracle, in one thread and in as many as were recorded.

    replay_test.py --assay PROGRAM
"""
import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import unittest

ASSAY = None


def assay(*arguments):
    """Returns exit code, standard output and standard error."""
    result = subprocess.run([ASSAY, "replay", *arguments], text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, check=False, timeout=120)
    return result.returncode, result.stdout, result.stderr


def program(threads, operations=3000, slots=64, seed=1):
    """Threads that release and resize each other's blocks."""
    chance = random.Random(seed)
    lines = ["heap source=pages capacity=1048576 slots=%d" % slots]
    for _ in range(operations):
        slot, thread = chance.randrange(slots), chance.randrange(threads)
        lines.append(chance.choice((
            "allocate %d size=%d align=16" % (slot, chance.randrange(1, 200)),
            "resize %d size=%d align=16" % (slot, chance.randrange(1, 400)),
            "release %d" % slot, "release %d" % slot)) + " thread=%d" % thread)
    return "\n".join(lines) + "\n"


class ReplayTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(dir=os.environ.get("TEST_TMPDIR"))
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def write(self, text):
        path = os.path.join(self.folder, "a trace.txt")
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
        return path

    def test_kept_and_merged_do_the_same(self):
        path = self.write(program(7))
        for strategy in ("locked_free_list", "size_class"):
            refused = set()
            for tier in ("none", "fast", "full"):
                for how in ("kept", "merged"):
                    code, out, err = assay("--strategy", strategy, "--tier", tier, "--threads", how,
                                           "--json", path)
                    self.assertEqual((0, ""), (code, err))
                    told = json.loads(out)
                    refused.add(told["refused"])
                    self.assertEqual(3000, told["operations"])
            self.assertEqual({0}, refused)

    def test_how_many_threads(self):
        path = self.write(program(7))
        command = ["--strategy", "locked_free_list", "--tier", "none", "--json", path]
        self.assertEqual(1, json.loads(assay(*command)[1])["threads"])
        self.assertEqual(1, json.loads(assay(*command, "--threads", "merged")[1])["threads"])
        self.assertIn(json.loads(assay(*command, "--threads", "kept")[1])["threads"], (2, 4, 8))
        code, out, _ = assay(*command[:-2], path, "--threads", "kept")
        self.assertEqual(0, code)
        self.assertRegex(out, r" on [248] threads \([0-9.]+ ns of wall time\), not checked")

    def test_a_trace_of_one_thread_has_none_to_keep(self):
        # Then it needs no strategy that serves several either.
        path = self.write(program(1))
        code, out, _ = assay("--strategy", "tlsf", "--tier", "none", "--threads", "kept", "--json",
                             path)
        self.assertEqual((0, 1), (code, json.loads(out)["threads"]))

    def test_merged_overrules_the_file(self):
        path = self.write(program(2).replace("slots=64", "slots=64 threads=2"))
        # Addresses depend on one thread alone: the passes of the oracle, which compare them, ran.
        runs = {assay("--strategy", "locked_free_list", "--tier", "paranoid", "--threads", "merged",
                      path)[0] for _ in range(2)}
        self.assertEqual({0}, runs)

    def test_who_serves_one_thread_only_says_so_before_it_begins(self):
        path = self.write(program(3))
        for tier in ("none", "fast"):
            code, out, err = assay("--strategy", "free_list", "--tier", tier, "--threads", "kept",
                                   path)
            self.assertEqual((2, ""), (code, out))
            self.assertIn("one thread at a time", err)
            self.assertIn("--threads merged", err)
        code, _, err = assay("--strategy", "system", "--tier", "fast", "--threads", "kept", path)
        self.assertEqual(2, code)
        self.assertIn("--tier none", err)
        self.assertEqual(0, assay("--strategy", "system", "--tier", "none", "--threads", "kept",
                                  path)[0])

    def test_bad_word(self):
        code, _, err = assay("--strategy", "tlsf", "--threads", "some", self.write(program(1)))
        self.assertEqual(2, code)
        self.assertIn("kept or merged, not 'some'", err)

    def test_a_heap_too_small_to_begin_with_is_no_clean_replay(self):
        path = self.write(program(1).replace("source=pages", "source=fixed", 1))
        for tier in ("none", "fast"):
            code, out, err = assay("--strategy", "tlsf", "--tier", tier, "--heap", "64", path)
            self.assertEqual((2, ""), (code, out))
            self.assertIn("a trace.txt: tlsf does not start on a heap of 64 bytes", err)

    def test_without_a_word_as_the_file_says(self):
        path = self.write(program(3).replace("heap ", "heap threads=2 ", 1))
        for strategy, threads in (("size_class", 2), ("tlsf", 1)):
            code, out, _ = assay("--strategy", strategy, "--tier", "none", "--json", path)
            self.assertEqual((0, threads), (code, json.loads(out)["threads"]))

    def test_progress_without_the_oracle(self):
        path = self.write(program(2))
        for how in ("kept", "merged"):
            code, _, err = assay("--strategy", "size_class", "--tier", "none", "--progress",
                                 "--threads", how, path)
            self.assertEqual(0, code)
            self.assertRegex(err, r": 3000 of 3000 operations, \d+ s\n$")

    def test_an_allocator_that_ends_the_process_is_told(self):
        # It takes the wrapped size for a small one, and clears what was asked for.
        path = self.write("heap capacity=65536\nzeroed 0 count=1 size=0xffffffffffffffe0 align=64\n")
        code, out, err = assay("--strategy", "free_list+aligned_size_wraps", "--tier", "none", path)
        self.assertEqual((2, ""), (code, out))
        self.assertRegex(err, r"signal \d+ ended the replay; `--tier fast` says what")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--assay", required=True)
    options, rest = parser.parse_known_args()
    ASSAY = os.path.abspath(options.assay)
    unittest.main(argv=[sys.argv[0], *rest])
