#!/usr/bin/env python3
"""Fuzzing several strategies side by side finds planted bugs by disagreement, and nothing else.

    differential_kill_test.py --program LIBFUZZER_TARGET --seeds LIST
"""
import argparse
import os
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import engines  # noqa: E402

OPTIONS = None

RUNS = 100000

# A bug of each kind, the strategy beside it, and words of the diagnosis.
PAIRS = [
    ("buddy", "bump+zeroed_product_wraps", "gave what buddy refused"),
    ("tlsf", "boundary_tag+largest_bin_wraps", "refused what tlsf gave"),
    ("free_list", "page_bump+ignores_alignment", "not aligned"),
    ("tlsf", "arena+new_chunk_taken_for_zero", "finds in the zeroed block"),
    ("free_list", "size_class+resize_forgets_prefix", "had in the block"),
]


class DifferentialKillTest(unittest.TestCase):
    def fuzz(self, strategies, runs):
        with tempfile.TemporaryDirectory(dir=os.environ.get("TEST_TMPDIR")) as folder:
            seeds = os.path.join(folder, "seeds")
            engines.copy_seeds(engines.read_list(OPTIONS.seeds), seeds)
            return subprocess.run(
                [OPTIONS.program, "-runs=%d" % runs, "-seed=1", "-artifact_prefix=" + folder + "/",
                 seeds],
                env=engines.environment(engines.SANITIZERS, ASSAY_COMPARE=strategies),
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace",
                check=False, timeout=600)

    def test_planted_bugs(self):
        for clean, plant, words in PAIRS:
            for strategies in (clean + "," + plant, plant + "," + clean):
                result = self.fuzz(strategies, RUNS)
                self.assertEqual(result.returncode, engines.LIBFUZZER_CRASH, strategies)
                self.assertIn("ASSERTION FAILED: differential", result.stderr)
                error = [line for line in result.stderr.splitlines()
                         if line.startswith("ERROR: assay")]
                self.assertEqual(len(error), 1)
                self.assertIn(plant, error[0])
                self.assertIn(clean, error[0])
                self.assertIn(words, error[0])

    def test_clean_strategies(self):
        result = self.fuzz("free_list,buddy,page_bump,tlsf", RUNS // 20)
        self.assertEqual(result.returncode, 0, result.stderr[-2000:])

    def test_unknown_strategy(self):
        result = self.fuzz("free_list,nobody", 1)
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("ASSAY_COMPARE: unknown strategy 'nobody'", result.stderr)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", required=True)
    parser.add_argument("--seeds", required=True)
    OPTIONS, rest = parser.parse_known_args()
    OPTIONS.program = os.path.abspath(OPTIONS.program)
    unittest.main(argv=sys.argv[:1] + rest)
