#!/usr/bin/env python3
"""survival.py on samples whose answers are known."""
import math
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from reports import bugs_results, survival  # noqa: E402

# Weeks of remission under 6-mercaptopurine (Freireich et al. 1963), the textbooks' example.
REMISSION = ([(v, True) for v in (6, 6, 6, 7, 10, 13, 16, 22, 23)]
             + [(v, False) for v in (6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35)])
PLACEBO = [(v, True) for v in (1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22,
                               23)]


def killed(*values):
    return [(value, True) for value in values]


def run(bug, end, **more):
    return dict({"control": False, "subject": bug, "engine": "libfuzzer", "mutator": "operations",
                 "seed": 1, "seconds": 60, "end": end, "property": None, "executions": 1,
                 "cpu_seconds": 1.0, "note": ""}, **more)


class SurvivalTest(unittest.TestCase):
    def test_kaplan_meier(self):
        steps = survival.kaplan_meier(REMISSION)
        self.assertEqual([6, 7, 10, 13, 16, 22, 23], [value for value, _ in steps])
        for known, (_, share) in zip((.857, .807, .753, .690, .627, .538, .448), steps):
            self.assertAlmostEqual(known, share, 3)
        self.assertEqual([], survival.kaplan_meier([(5, False)]))

    def test_median(self):
        self.assertEqual(23, survival.median(REMISSION))
        self.assertEqual(8, survival.median(PLACEBO))
        self.assertEqual(3, survival.median(killed(1, 3, 9)))
        self.assertEqual(5, survival.median(killed(1, 3, 7, 9)))
        self.assertEqual(1, survival.median(killed(1)))

    def test_survivors_are_no_kills(self):
        self.assertIsNone(survival.median(killed(1, 2) + [(60, False)] * 3))
        self.assertEqual(4, survival.median(killed(1, 2, 4) + [(60, False)] * 2))
        # As many as not: the bug lives no longer than the later half, which nobody saw end.
        self.assertEqual(2, survival.median(killed(1, 2) + [(60, False)] * 2))
        self.assertIsNone(survival.median([]))

    @unittest.skipUnless(survival.statistics(), "no scipy")
    def test_interval(self):
        # Table of the binomial: 6 samples are the fewest, 10 give the 2nd and the 9th.
        self.assertIsNone(survival.interval(killed(*range(5))))
        self.assertEqual((1, 6), survival.interval(killed(*range(1, 7))))
        self.assertEqual((2, 9), survival.interval(killed(*range(1, 11))))
        self.assertEqual((6, 15), survival.interval(killed(*range(1, 21))))
        self.assertEqual((1, math.inf), survival.interval(killed(1, 2, 3, 4, 5) + [(5, False)]))

    @unittest.skipUnless(survival.statistics(), "no scipy")
    def test_kill_rate(self):
        low, high = survival.share(10, 10)
        self.assertAlmostEqual(0.722, low, 3)
        self.assertEqual(1, high)
        self.assertIsNone(survival.share(0, 0))

    @unittest.skipUnless(survival.statistics(), "no scipy")
    def test_compare(self):
        # Exact: of the C(10, 5) orders, two are as extreme.
        first, later = killed(1, 2, 3, 4, 5), killed(6, 7, 8, 9, 10)
        found = survival.compare(first, later)
        self.assertEqual(1, found["a12"])
        self.assertAlmostEqual(2 / 252, found["p"], 6)
        self.assertEqual(0, survival.compare(later, first)["a12"])
        # Vargha and Delaney count a tie as half: 1 of 4 pairs sooner, 2 tied.
        self.assertEqual(0.5, survival.compare(killed(1, 2), killed(1, 2))["a12"])
        self.assertEqual(0.75, survival.compare(killed(1, 1), [(1, True), (60, False)])["a12"])
        # A survivor ranks last however short it was watched.
        self.assertEqual(1, survival.compare(killed(50), [(2, False)])["a12"])
        self.assertEqual({"p": 1.0, "a12": 0.5}, survival.compare([(9, False)], [(9, False)]))

    def test_summary(self):
        bug = {"name": "s+b", "id": "AB-001", "expect": ["overlap"]}
        runs = [run("s+b", "killed", property="overlap", executions=5),
                run("s+b", "killed", property="overlap", executions=9, seed=2),
                run("s+b", "killed", property="walk", seed=3),
                run("s+b", "survived", executions=100, seed=4),
                run("s", "survived", control=True),
                run("s", "killed", control=True, property="walk", seed=2)]
        told = {"runs": runs, "bugs": [bug]}
        fuzzer, = bugs_results.summarise(told, [])["fuzzers"]
        self.assertEqual((4, 2, 1, 1, 0, 0), tuple(fuzzer[key] for key in (
            "runs", "killed", "other", "survived", "unnamed", "always_killed")))
        # The run that another property ended says only that the bug lived until then.
        self.assertEqual(9, fuzzer["bugs"][0]["executions"]["median"])
        self.assertEqual([runs[-1]], fuzzer["control"]["findings"])
        self.assertFalse(bugs_results.all_killed(told))
        self.assertIn("0,s+b,AB-001,libfuzzer,operations,3,killed,walk,0,1,1.0,60,\n",
                      bugs_results.to_csv(told))


if __name__ == "__main__":
    unittest.main()
