#!/usr/bin/env python3
"""Engines side by side in campaigns where it is known who is better."""
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from reports import effect, made_up, plot  # noqa: E402

try:
    import numpy  # noqa: F401
except ImportError:
    pass
else:
    from reports import engines_compared, kill_survival

# Freireich et al. 1963, as in survival_test.py.
REMISSION = ([(v, True) for v in (6, 6, 6, 7, 10, 13, 16, 22, 23)]
             + [(v, False) for v in (6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35)])

ASAN, AFL = ("libfuzzer", "address"), ("afl", "none")


@unittest.skipUnless(effect.statistics(), "no scipy")
class ComparedTest(unittest.TestCase):
    def setUp(self):
        self.campaign = made_up.Campaign()

    def rows(self):
        return {row["measure"]: row for row in engines_compared.compare(
            self.campaign.history, self.campaign.id)}

    def fill(self, strategies=8):
        """AFL++ is a third slower, and sees more states in the same CPU time; it got less of that."""
        for i in range(strategies):
            level = 10 ** (i % 4)
            for turn in range(3):
                self.campaign.session(self.campaign.job("s%d" % i, *ASAN), [
                    (t, t, int(t * level * (90 + turn)), 5, t) for t in (10, 20, 40)])
                self.campaign.session(self.campaign.job("s%d" % i, *AFL), [
                    (t, t / 2, int(t / 2 * level * (60 + turn)), 5, t) for t in (10, 20, 40)])

    def test_known_differences(self):
        self.fill()
        told = self.rows()
        speed = told["speed"]
        self.assertEqual((1, 8, [8, 8]), (speed["a12"], speed["over"], speed["values"]))
        self.assertAlmostEqual(2 / 2 ** 8, speed["p"], 9)
        self.assertEqual("libFuzzer, address is better", engines_compared.verdict(speed))
        # At 60 CPU seconds, all that AFL++ had, libFuzzer had spent three times 20.
        coverage = told["coverage"]
        self.assertEqual([0.5, 1.0], coverage["medians"])
        self.assertEqual("AFL++ is better", engines_compared.verdict(coverage))
        self.assertAlmostEqual(2 / 2 ** 8, coverage["p"], 9)
        # Two tests: the greater p stays, the smaller is doubled.
        self.assertAlmostEqual(min(2 * speed["p"], 1), speed["holm"], 9)
        self.assertNotIn("finding", told)
        self.assertNotIn("kills", told)

    def test_sessions_are_no_repetitions(self):
        """Many of them on few strategies, which had the one engine at a better time of the night."""
        for i in range(3):
            for turn in range(20):
                for engine, speed in ((ASAN, 101), (AFL, 100)):
                    self.campaign.session(self.campaign.job("s%d" % i, *engine), [
                        (t, t, int(t * speed + turn % 3), 5, t) for t in (10, 20)])
        speed = self.rows()["speed"]
        self.assertEqual([3, 3], speed["values"])
        self.assertEqual("too few data", engines_compared.verdict(speed))

    def test_findings_are_censored(self):
        self.fill()
        # libFuzzer spends twice the CPU time: what it finds first may have been the longer hunt.
        for i in range(4):
            self.campaign.finding("s%d" % i, 20.0, *ASAN)
        for i in range(3):
            self.campaign.finding("s%d" % i, 20.0, *AFL)
        self.campaign.finding("s0", 20.0, "libfuzzer", "memory")
        told = self.rows()["finding"]
        self.assertEqual((7, [0, 3]), (told["over"], told["sooner"]))
        self.assertAlmostEqual(2 / 7, told["a12"], 9)
        self.assertAlmostEqual(0.25, told["p"], 9)
        self.assertEqual("no difference shown", engines_compared.verdict(told))

    def test_survivors_come_last(self):
        for bug in range(5):
            for seed in range(4):
                self.campaign.kill("s+%d" % bug, "libfuzzer", seed, 50 * 10 ** bug)
                self.campaign.kill("s+%d" % bug, "afl", seed, 1.0, killed=0)
        told = self.rows()["kills"]
        self.assertEqual((1, 5), (told["a12"], told["over"]))
        self.assertEqual([5000, None], told["medians"])
        self.assertEqual("libFuzzer is better", engines_compared.verdict(told))

    def test_how_long_they_live(self):
        """The textbooks' example as bugs: 9 of 21 die, the median is 23."""
        nothing, = kill_survival.exhibits(self.campaign.history, self.campaign.id)
        self.assertFalse(nothing.enough)
        for seed, (value, died) in enumerate(REMISSION):
            self.campaign.kill("s+%d" % (seed % 3), "libfuzzer", seed, value, int(died))
        self.campaign.kill("s+0", "afl", 1, 1.0)      # one run is no curve
        told, = kill_survival.exhibits(self.campaign.history, self.campaign.id)
        self.assertEqual(1, len(told.rows))
        self.assertEqual(("3", "0", "9 of 21"), told.rows[0][2:5])
        self.assertIn("43 % (24 %–63 %)", told.rows[0][5])
        self.assertTrue(told.rows[0][6].startswith("23.0 s (13.0–∞)"), told.rows[0])
        self.assertAlmostEqual(0.448, told.figures["fuzzers"][0]["steps"][-1][1], 3)
        if plot.library():
            self.assertLess(len(told.svg), 100000)
            self.assertIn("(9 of 21 killed)", told.svg)

    def test_too_few(self):
        self.fill(2)
        told = self.rows()
        self.assertEqual("too few data", engines_compared.verdict(told["coverage"]))
        self.assertIsNone(told["coverage"]["holm"])
        self.assertIsNone(told["speed"]["p"])

    def test_exhibit(self):
        nothing, = engines_compared.exhibits(self.campaign.history, self.campaign.id)
        self.assertFalse(nothing.enough)
        self.fill()
        told, = engines_compared.exhibits(self.campaign.history, self.campaign.id)
        self.assertEqual({len(told.headings)}, {len(row) for row in told.rows})
        self.assertEqual(
            "2 of 2 comparisons show a difference: by heap states after equal CPU time AFL++ is better "
            "than libFuzzer, address (A12 1.00, large); by executions per CPU second libFuzzer, address "
            "is better than AFL++ (A12 1.00, large).", told.says)
        if plot.library():
            self.assertLess(len(told.svg), 100000)
            self.assertIn("libFuzzer, address : AFL++", told.svg)


if __name__ == "__main__":
    unittest.main(verbosity=2)
