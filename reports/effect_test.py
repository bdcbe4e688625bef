#!/usr/bin/env python3
"""Rank tests against worked examples, and on worlds where the truth is known."""
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from reports import effect  # noqa: E402

STATISTICS = effect.statistics()


class WordTest(unittest.TestCase):
    def test_vargha_and_delaney(self):
        """Their table: 0.56 small, 0.64 medium, 0.71 large; and as far below one half."""
        for value, word in ((0.5, "negligible"), (0.55, "negligible"), (0.56, "small"),
                            (0.63, "small"), (0.64, "medium"), (0.71, "large"), (1, "large"),
                            (0.44, "small"), (0.36, "medium"), (0.29, "large"), (0, "large")):
            self.assertEqual(word, effect.word(value), value)


class HolmTest(unittest.TestCase):
    def test_worked_example(self):
        """0.01, 0.04, 0.03, 0.005: times 4, 3, 2, 1 from the smallest on, never falling."""
        self.assertEqual([0.03, 0.06, 0.06, 0.02],
                         [round(p, 9) for p in effect.holm([0.01, 0.04, 0.03, 0.005])])

    def test_none_is_not_counted(self):
        self.assertEqual([None, 0.04, 0.04], effect.holm([None, 0.04, 0.02]))
        self.assertEqual([1.0], effect.holm([1.0]))


@unittest.skipUnless(STATISTICS, "no scipy")
class TestsTest(unittest.TestCase):
    def test_a12(self):
        # Of 9 pairs 6 are greater and 1 is equal.
        self.assertAlmostEqual(6.5 / 9, effect.a12([3, 5, 6], [1, 3, 5.5]))
        self.assertEqual(0, effect.a12([1], [float("inf")]))

    def test_mann_whitney(self):
        """Exact: of the C(10, 5) orders, two are as extreme."""
        found = effect.mann_whitney([6, 7, 8, 9, 10], [1, 2, 3, 4, 5])
        self.assertAlmostEqual(2 / 252, found["p"], 9)
        self.assertEqual(1, found["a12"])
        self.assertIsNone(effect.mann_whitney([], [1]))
        self.assertEqual({"p": 1.0, "a12": 0.5}, effect.mann_whitney([2, 2], [2]))

    def test_one_value_a_side_is_the_sign_test(self):
        """8 of 10 greater: 2 (1 + 10 + 45) / 1024; what is equal is half a win, and no vote."""
        pairs = [([2.0], [1.0])] * 8 + [([1.0], [2.0])] * 2
        found = effect.stratified(pairs)
        self.assertAlmostEqual(112 / 1024, found["p"], 9)
        self.assertAlmostEqual(0.8, found["a12"])
        self.assertEqual(10, found["strata"])
        tied = effect.stratified(pairs + [([1.0], [1.0])] * 10)
        self.assertAlmostEqual(found["p"], tied["p"], 9)
        self.assertAlmostEqual(0.65, tied["a12"])
        self.assertEqual(1.0, effect.stratified([([1], [1])] * 4)["p"])

    def test_like_strata_add_up(self):
        """One half of the values in each of two strata that differ by a thousand: van Elteren ranks
        within, and so is the sum of two U tests, checked against scipy's asymptotic one."""
        x, y = [1.1, 2.2, 5.0, 7.5], [0.3, 2.0, 2.1, 4.0, 4.5]
        one = STATISTICS.mannwhitneyu(x, y, method="asymptotic", use_continuity=False)
        z = STATISTICS.norm.isf(one.pvalue / 2)
        both = effect.stratified([(x, y), ([v + 1000 for v in x], [v + 1000 for v in y])])
        self.assertAlmostEqual(2 * STATISTICS.norm.sf(z * 2 ** 0.5), both["p"], 9)
        self.assertAlmostEqual(effect.a12(x, y), both["a12"], 9)

    def test_ties(self):
        x, y = [1, 1, 2, 3], [1, 2, 2, 3, 3]
        one = STATISTICS.mannwhitneyu(x, y, method="asymptotic", use_continuity=False)
        z = STATISTICS.norm.isf(one.pvalue / 2)
        both = effect.stratified([(x, y)] * 2)
        self.assertAlmostEqual(2 * STATISTICS.norm.sf(z * 2 ** 0.5), both["p"], 9)
        self.assertEqual(1.0, effect.stratified([([1, 1], [1])] * 3)["p"])

    def test_false_alarms(self):
        """Where both sides are the same, 5 % are called different; how strategies differ is no matter.
        Of 2000 worlds, 1 in a million has more than 145 or fewer than 59."""
        import numpy
        random = numpy.random.default_rng(7)
        alarms = 0
        for _ in range(2000):
            pairs = []
            for level in (1, 100, 10000, 5, 70):
                sizes = random.integers(2, 6, 2)
                pairs.append(tuple(list(level * random.lognormal(0, 1, size)) for size in sizes))
            alarms += effect.stratified(pairs)["p"] < 0.05
        self.assertGreater(alarms, 58)
        self.assertLess(alarms, 146)

    def test_a_true_difference_is_seen(self):
        """A side that is faster by half, hidden by strategies that differ by thousands."""
        import numpy
        random = numpy.random.default_rng(7)
        pairs = [(list(1.5 * level * random.lognormal(0, 0.2, 4)),
                  list(level * random.lognormal(0, 0.2, 4))) for level in (1, 100, 10000, 5, 70, 900)]
        found = effect.stratified(pairs)
        self.assertLess(found["p"], 0.001)
        self.assertEqual("large", effect.word(found["a12"]))
        pooled = effect.mann_whitney(sum((x for x, _ in pairs), []), sum((y for _, y in pairs), []))
        self.assertGreater(pooled["p"], 0.05)


if __name__ == "__main__":
    unittest.main(verbosity=2)
