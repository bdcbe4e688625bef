#!/usr/bin/env python3
"""Friedman and Nemenyi against Demšar's own example, and where nothing differs."""
import itertools
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from reports import effect, made_up, plot  # noqa: E402

try:
    import numpy
except ImportError:
    numpy = None
else:
    from reports import critical_difference

# AUC of decision trees on 14 data sets (Demšar 2006, Table 6), the last figure of one tie that rounding
# made set right by its rank.
TREES = ("C4.5", "C4.5+m", "C4.5+cf", "C4.5+m+cf")
AUC = (
    (.763, .768, .771, .798), (.599, .591, .590, .569), (.954, .971, .968, .967),
    (.628, .661, .654, .657), (.882, .888, .886, .898), (.936, .931, .916, .931),
    (.661, .668, .609, .685), (.583, .583, .563, .625), (.775, .838, .866, .875),
    (1., 1., 1., 1.), (.940, .962, .965, .962), (.619, .666, .614, .669),
    (.972, .981, .9751, .975), (.957, .978, .946, .970))


@unittest.skipUnless(effect.statistics(), "no scipy")
class DemsarTest(unittest.TestCase):
    def ranking(self):
        return critical_difference.rank(TREES, AUC)

    def test_worked_example(self):
        told = self.ranking()
        self.assertEqual(14, told.blocks)
        for name, mean in zip(TREES, (3.143, 2.000, 2.893, 1.964)):
            self.assertAlmostEqual(mean, told.ranks[told.names.index(name)], 3)
        self.assertAlmostEqual(9.28, told.chi_square, 2)
        # F = 3.69 with 3 and 39 degrees of freedom, of which 2.85 is the critical value at 5 %.
        self.assertAlmostEqual(effect.statistics().f.sf(3.69, 3, 39), told.p, 3)
        self.assertAlmostEqual(1.25, told.difference, 2)
        # Nemenyi's test finds no pair that differs: the largest difference of ranks is 1.18.
        self.assertEqual([[0, 3]], told.groups)
        self.assertFalse(told.differ(0, 3))

    def test_critical_values(self):
        """Demšar's Table 5, 5 %."""
        for treatments, value in ((2, 1.960), (3, 2.343), (4, 2.569), (5, 2.728), (10, 3.164)):
            self.assertAlmostEqual(value, critical_difference.critical_value(treatments), 2)

    def test_too_few(self):
        self.assertIsNone(critical_difference.rank(TREES, AUC[:4]))
        self.assertIsNone(critical_difference.rank(TREES[:1], [[row[0]] for row in AUC]))

    def test_groups(self):
        """Always in the same order: the ends differ, neighbours need not."""
        blocks = [[5, 4, 3, 2, 1]] * 9 + [[4, 5, 2, 3, 1]] * 6
        told = critical_difference.rank("abcde", blocks)
        self.assertEqual(list("abcde"), told.names)
        self.assertTrue(told.differ(0, 4))
        self.assertFalse(told.differ(0, 1))
        for first, last in told.groups:
            self.assertLess(told.ranks[last] - told.ranks[first], told.difference)

    def test_bars_and_words_say_the_same(self):
        """Of two in 5 blocks, Nemenyi's test alone would call a difference what comes by chance in 2 of
        32 cases."""
        told = critical_difference.rank("ab", [[2, 1]] * 5)
        self.assertGreater(told.ranks[1] - told.ranks[0], told.difference)
        self.assertFalse(told.differ(0, 1))
        self.assertEqual([[0, 1]], told.groups)
        random = numpy.random.default_rng(3)
        for _ in range(300):
            treatments = int(random.integers(2, 6))
            told = critical_difference.rank("abcde"[:treatments], (
                random.random((6, treatments)) + 0.12 * numpy.arange(treatments)).tolist())
            for i, j in itertools.combinations(range(treatments), 2):
                self.assertEqual(told.differ(i, j), not any(
                    first <= i and j <= last for first, last in told.groups))

    def test_full_agreement_is_no_certainty(self):
        """Of two in 6 blocks it comes by chance in 2 of 64 cases; of three in 1 of 6^5."""
        certain = critical_difference.rank("ab", [[2, 1]] * 6)
        self.assertAlmostEqual(2 / 64, certain.p, 9)
        self.assertEqual([], certain.groups)
        self.assertAlmostEqual(6.0 ** -5, critical_difference.rank("abc", [[3, 2, 1]] * 6).p, 9)

    def test_false_alarms(self):
        """Of 800 worlds in which all are alike, at most 8 % show a difference."""
        random = numpy.random.default_rng(11)
        for names, blocks in (("abcd", 12), ("ab", 6), ("abc", 5)):
            alarms = 0
            for _ in range(800):
                told = critical_difference.rank(names, list(random.normal(0, 1, (
                    blocks, len(names)))))
                alarms += any(told.differ(i, j) for i in range(len(names)) for j in range(i))
            self.assertLess(alarms / 800, 0.08, names)

    @unittest.skipUnless(plot.library(), "no matplotlib")
    def test_drawn(self):
        made = critical_difference.draw(self.ranking(), "x", "t", "d")
        self.assertLess(len(made), 100000)
        for name in TREES:
            self.assertIn(name, made)
        self.assertIn("critical difference 1.25", made)


@unittest.skipUnless(effect.statistics(), "no scipy")
class ExhibitTest(unittest.TestCase):
    def setUp(self):
        self.campaign = made_up.Campaign()

    def exhibits(self):
        return critical_difference.exhibits(self.campaign.history, self.campaign.id)

    def test_nothing(self):
        for told in self.exhibits():
            self.assertFalse(told.enough)
            self.assertIn("Too few data", told.says)

    def test_strategies_and_bugs(self):
        for i in range(6):
            for engine, sanitizer, states in (("libfuzzer", "address", 90), ("afl", "none", 60)):
                self.campaign.session(self.campaign.job("s%d" % i, engine, sanitizer),
                                      [(10, 9, 100, 5, states), (20, 18, 200, 5, states)])
            for seed in range(3):
                self.campaign.kill("s%d+b" % i, "afl", seed, 1.0 + seed)
                # Of three one survives: the median is a kill nevertheless.
                self.campaign.kill("s%d+b" % i, "libfuzzer", seed, 5.0 + seed, seed > 0)
        # One strategy alone has it, and so it is left out.
        self.campaign.session(self.campaign.job("s0", "libfuzzer", "memory"), [(10, 9, 1, 5, 9)])
        coverage, kills = self.exhibits()
        self.assertEqual(["libFuzzer, address", "AFL++"], [row[0] for row in coverage.rows])
        self.assertEqual(["AFL++", "libFuzzer"], [row[0] for row in kills.rows])
        self.assertEqual(6, coverage.figures["blocks"])
        for told in (coverage, kills):
            self.assertEqual(("1.00", "none"), told.rows[0][1:])
            self.assertEqual({len(told.headings)}, {len(row) for row in told.rows})


if __name__ == "__main__":
    unittest.main(verbosity=2)
