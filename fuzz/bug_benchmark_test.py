#!/usr/bin/env python3
"""A foreign fuzzer pointed at the bug benchmark, built by a plain compiler line against one object."""
import argparse
import os
import subprocess
import sys
import tempfile
import unittest

OPTIONS = None
RUNS = "3000"
ENVIRONMENT = dict(os.environ, ASAN_OPTIONS="abort_on_error=1:detect_leaks=0:symbolize=0",
                   UBSAN_OPTIONS="abort_on_error=1:symbolize=0")


class BugBenchmarkTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.program = os.path.join(cls.folder.name, "random_fuzzer")
        built = subprocess.run(
            [OPTIONS.compiler, "-std=c17", "-D_GNU_SOURCE", "-Wall", "-Werror", "-I.",
             "-fsanitize=address,undefined", OPTIONS.example, OPTIONS.object, "-pthread", "-o",
             cls.program], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        if built.returncode != 0:
            raise AssertionError(built.stdout)
        cls.bugs = [line.split("\t") for line in cls.run_it()[1].splitlines()]

    @classmethod
    def run_it(cls, *arguments):
        result = subprocess.run([cls.program, *arguments], env=ENVIRONMENT, text=True,
                                errors="replace", capture_output=True, timeout=250, check=False)
        return result.returncode, result.stdout, result.stderr

    def test_list(self):
        ids = [bug[0] for bug in self.bugs]
        self.assertEqual(len(ids), len(set(ids)), "an id is given twice: %s" % sorted(ids))

    def test_bugs_are_killed(self):
        """Random bytes find some bugs, by whatever property is expected; seeds reproduce."""
        if not self.bugs:
            self.skipTest("fuzz/bugs/ is empty")
        killed = []
        for identifier, name, expect in self.bugs:
            code, out, err = self.run_it(identifier, "1", RUNS)
            self.assertIn(code, (0, 1), err)
            if code == 0:
                self.assertEqual("%s survived after %s executions\n" % (identifier, RUNS), out)
                continue
            failed = [line.partition(": ")[2] for line in err.splitlines()
                      if line.startswith("ASSERTION FAILED: ")]
            self.assertEqual(1, len(failed), name + "\n" + err[-2000:])
            if failed[0] in expect.split():
                killed.append((identifier, name, out))
        print("random bytes killed %d of %d bugs" % (len(killed), len(self.bugs)))
        self.assertGreaterEqual(len(killed), len(self.bugs) / 5)
        identifier, name, out = killed[0]
        self.assertEqual(out, self.run_it(identifier, "1", RUNS)[1])
        self.assertEqual(out.replace(identifier, name), self.run_it(name, "1", RUNS)[1])

    def test_control(self):
        for strategy in sorted({name.partition("+")[0] for _, name, _ in self.bugs}):
            code, out, err = self.run_it(strategy, "1", RUNS)
            self.assertEqual((0, ""), (code, err), out)

    def test_unknown(self):
        code, out, err = self.run_it("AB-999", "1", "1")
        self.assertEqual((2, ""), (code, out))
        self.assertIn("no bug or strategy is called 'AB-999'", err)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--compiler", required=True)
    parser.add_argument("--object", required=True)
    parser.add_argument("--example", required=True)
    OPTIONS, rest = parser.parse_known_args()
    unittest.main(argv=sys.argv[:1] + rest, verbosity=2)
