#!/usr/bin/env python3
"""A strategy that keeps state is fuzzed with a process for each program, and nobody notices."""
import os
import re
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from fuzz import counters  # noqa: E402

TARGET, ASSAY = "", ""

# Sizes that apart_strategy.c acts on, and what is said then.
DEATHS = {
    50021: "crash: the process left with exit code 0",
    50022: "crash: the process left with exit code 5",
    50023: "crash: the process died: Killed",
    50024: "crash: operation 1, allocate of slot 1",
    50025: "hang: operation 1, allocate of slot 1",
    50026: "alignment: operation 1, allocate of slot 1",
}


def program(*sizes):
    """A program of requests, in bytes: the heap's record, then one for each request."""
    records = [bytes(8) + (1 << 18).to_bytes(8, "little")]
    for slot, size in enumerate(sizes):
        records.append(bytes([0, 3, 0, 0]) + slot.to_bytes(4, "little") + size.to_bytes(8, "little"))
    return b"".join(records)


class Apart(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def write(self, *sizes):
        path = os.path.join(self.folder, "seeds", "input")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(program(*sizes))
        return path

    def run_target(self, *arguments, **environment):
        result = subprocess.run([TARGET, *arguments], cwd=self.folder, stderr=subprocess.PIPE, text=True,
                                errors="replace", timeout=200, check=False,
                                env=dict(os.environ, **environment))
        return result.returncode, result.stderr

    def run_assay(self, command, *arguments):
        return subprocess.run([ASSAY, command, "--strategy", "kept", *arguments], cwd=self.folder,
                              capture_output=True, text=True, timeout=200, check=False)

    def artifacts(self):
        return [name for name in os.listdir(self.folder) if re.match("(crash|timeout|oom|leak)-", name)]

    def test_each_program_finds_the_first_state(self):
        code, said = self.run_target("-runs=50", self.write(9, 100, 300))
        self.assertEqual(code, 0, said)
        self.assertNotIn("ERROR", said)

    def test_numbers_come_from_the_children(self):
        path = os.path.join(self.folder, "counters")
        code, said = self.run_target("-runs=50", self.write(9, 100, 300), ASSAY_COUNTERS=path)
        self.assertEqual(code, 0, said)
        told = counters.read(path)
        # libFuzzer runs a file once more than it is told, to begin with.
        self.assertIn(told.executions, (50, 51))
        self.assertEqual(told.operations, 3 * told.executions)
        self.assertGreater(told.exercised["overlap"], 0)

    def test_coverage_comes_from_the_children(self):
        corpus = os.path.join(self.folder, "corpus")
        os.mkdir(corpus)
        code, said = self.run_target("-runs=300", "-seed=1", corpus)
        self.assertEqual(code, 0, said)
        covered = [int(n) for n in re.findall(r"\bcov: (\d+)", said)]
        # Where the strategy's code is instrumented: the empty input calls no allocate.
        self.assertGreater(covered[-1], 2, said)
        self.assertGreater(len(os.listdir(corpus)), 1)

    def test_deaths_are_told_as_what_they_are(self):
        for size, words in DEATHS.items():
            with self.subTest(size=size):
                code, said = self.run_target("-runs=0", os.path.dirname(self.write(9, size, 9)))
                errors = [line for line in said.splitlines() if line.startswith("ERROR: assay:")]
                self.assertEqual(len(errors), 1, said)
                self.assertTrue(errors[0].startswith("ERROR: assay: kept: " + words), errors[0])
                self.assertEqual(said.count("ASSERTION FAILED: " + words.split(":")[0]), 1)
                self.assertIn(code, (1, 77, -6), said)  # as the sanitizer is told to
                [artifact] = self.artifacts()
                with open(os.path.join(self.folder, artifact), "rb") as file:
                    self.assertEqual(file.read(), program(9, size, 9))
                os.remove(os.path.join(self.folder, artifact))

    def test_assay_runs_each_program_alone(self):
        result = self.run_assay("run", *[self.write(9, 100)] * 5)
        self.assertEqual(result.returncode, 0, result)
        self.assertEqual(result.stdout.count(": clean"), 5)

    def test_assay_minimises_in_processes_of_their_own(self):
        smaller = os.path.join(self.folder, "smaller")
        result = self.run_assay("minimize", "--output", smaller, self.write(9, 200, 50026, 9, 100))
        self.assertEqual(result.returncode, 0, result)
        result = self.run_assay("run", smaller)
        self.assertIn("alignment: operation 0", result.stdout)

    def test_what_needs_many_programs_in_one_process_says_so(self):
        result = self.run_assay("enumerate")
        self.assertEqual(result.returncode, 2, result)
        self.assertIn("keeps state", result.stderr)


if __name__ == "__main__":
    TARGET, ASSAY = map(os.path.abspath, sys.argv[1:3])
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
