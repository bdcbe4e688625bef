#!/usr/bin/env python3
"""Saturation estimates against the literature's examples, and in worlds whose truth is known."""
import math
import os
import random
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from reports import made_up, plot, species  # noqa: E402

# Words that Shakespeare used once, twice ... (Efron and Thisted 1976, Table 1; 31 534 in all).
SHAKESPEARE = (14376, 4343, 2292, 1463, 1043, 837, 638, 519, 430, 364)


def sample(executions, singles, doubles, seen):
    """The rest was seen often."""
    return species.Sample(executions, {1: singles, 2: doubles, 99: seen - singles - doubles})


class LiteratureTest(unittest.TestCase):
    def test_shakespeare(self):
        """As much again would have 11 430 new words, give or take 178."""
        told = species.Sample(884647, dict(enumerate(SHAKESPEARE, 1)))
        estimate, low, high = species.more(told)
        self.assertLess(abs(estimate - 11430), 20)
        self.assertTrue(low < 11430 - 178 and high > 11430 + 178)

    def test_spiders(self):
        """Sackett et al. (2011), as in Chao et al. (2014): estimate, and 95 % interval."""
        for told, known in ((sample(168, 12, 4, 26), (43.893, 30.511, 96.971)),
                            (sample(252, 14, 4, 37), (61.403, 43.502, 128.583))):
            for expected, found in zip(known, species.richness(told)):
                self.assertAlmostEqual(expected, found, 2)

    def test_good_and_turing(self):
        rate, low, high = species.discovery(sample(10000, 100, 50, 400))
        self.assertEqual(0.01, rate)
        reach = 1.96 * math.sqrt(100 + 2 * 50) / 10000      # Esty
        self.assertAlmostEqual(0.01 - reach, low, 6)
        self.assertAlmostEqual(0.01 + reach, high, 6)

    def test_rule_of_three(self):
        told = sample(3000, 0, 0, 50)
        self.assertEqual((0, 0, 0.001), species.discovery(told))
        self.assertEqual((0, 0, 3), species.more(told))
        self.assertEqual((50, 50, 50), species.richness(told))

    def test_no_doubles(self):
        """Chao's form for f2 = 0: seen + f1 (f1 - 1) / 2, but for a factor near 1."""
        estimate, low, high = species.richness(sample(10 ** 6, 5, 0, 20))
        self.assertAlmostEqual(30, estimate, 3)
        self.assertTrue(20 < low < 30 < high)

    def test_not_further_than_known(self):
        for times in (0, 1.5):
            with self.assertRaises(ValueError):
                species.more(sample(100, 5, 5, 20), times)


def world(kind, states, chance):
    """Rates of states, of mean 1."""
    rates = {"uniform": lambda i: 1.0, "lognormal": lambda i: chance.lognormvariate(0, 2.5),
             "zipf": lambda i: 1 / (i + 1), "geometric": lambda i: math.exp(-30 * i / states)}[kind]
    made = [rates(i) for i in range(states)]
    mean = sum(made) / states
    return [rate / mean for rate in made]


def poisson(chance, mean):
    """Knuth's for small means, the normal distribution's for others, which are never near 0."""
    if mean > 40:
        return max(1, round(chance.gauss(mean, math.sqrt(mean))))
    limit, product, k = math.exp(-mean), chance.random(), 0
    while product > limit:
        product, k = product * chance.random(), k + 1
    return k


class SimulatedTest(unittest.TestCase):
    """Executions are drawn, then as many again: what does come is held against what was said. 150 times
    each; a 95 % interval that holds fewer than 86 % of these is none (1 in 100 000)."""

    def held(self, kind, states, depth):
        chance = random.Random("%s %d %d" % (kind, states, depth))
        rates = [depth * rate for rate in world(kind, states, chance)]
        n = round(sum(rates))
        came = found = rare = 0
        for _ in range(150):
            counts, new, unseen = {}, 0, 0.0
            for rate in rates:
                k = poisson(chance, rate)
                if k:
                    counts[k] = counts.get(k, 0) + 1
                else:
                    unseen += rate
                    new += chance.random() < 1 - math.exp(-rate)
            told = species.Sample(n, counts)
            _, low, high = species.more(told)
            came += low - 0.5 <= new <= high + 0.5
            _, low, high = species.discovery(told)
            found += low <= unseen / n <= high
            rare += species.richness(told)[1] <= states + 0.5
        return came / 150, found / 150, rare / 150

    def test_coverage(self):
        for kind in ("uniform", "lognormal", "zipf", "geometric"):
            for depth in (1, 5):
                came, found, bound = self.held(kind, 400, depth)
                self.assertGreaterEqual(came, 0.86, (kind, depth))
                self.assertGreaterEqual(found, 0.86, (kind, depth))
                # A lower bound's lower end is below the truth.
                self.assertGreaterEqual(bound, 0.86, (kind, depth))

    def test_strategies_add_up(self):
        chance = random.Random(5)
        samples = [species.Sample(1000, {k: chance.randrange(50) for k in range(1, 6)})
                   for _ in range(4)]
        whole = species.together(samples)
        self.assertEqual(4000, whole.executions)
        self.assertAlmostEqual(sum(species.more(one)[0] for one in samples),
                               species.more(whole)[0], 6)


class ExhibitTest(unittest.TestCase):
    def test_from_history(self):
        campaign = made_up.Campaign()
        for name in ("tlsf", "buddy"):
            campaign.session(campaign.job(name), [(10, 9, 600, 5, 50)])
            campaign.session(campaign.job(name, "afl", "none"), [(10, 9, 400, 5, 50)])
            campaign.session(campaign.job(name, "corpus", "address"), [(10, 9, 77, 5, 50)])
            campaign.states(name, [1] * 10 + [2] * 5 + [7] * 25)
        campaign.session(campaign.job("fresh"), [(10, 9, 600, 5, 3)])
        campaign.states("fresh", [1, 2, 3])
        told, = species.exhibits(campaign.history, campaign.id)
        self.assertTrue(told.enough)
        self.assertEqual(["buddy", "tlsf", "all together"], [row[0] for row in told.rows])
        self.assertEqual({len(told.headings)}, {len(row) for row in told.rows})
        self.assertEqual(("1 000", "40", "10", "5"), told.rows[0][1:5])
        self.assertEqual((2000, 80, 20), tuple(told.figures[key] for key in (
            "executions", "seen", "once")))
        self.assertEqual(100, told.figures["next_after"]["estimate"])
        self.assertIn("Too few data: fresh", told.says)
        self.assertIn("after about 100 executions", told.says)
        if plot.library():
            self.assertLess(len(told.svg), 100000)
            self.assertIn("tlsf", told.svg)

    def test_looking_back(self):
        """Half as many executions as the campaign before: of the states 3 are new."""
        first = made_up.Campaign()
        first.session(first.job("tlsf"), [(10, 9, 1000, 5, 50)])
        first.states("tlsf", [1] * 20 + [2] * 10 + [9] * 70)
        second = made_up.Campaign(first.history)
        second.session(second.job("tlsf"), [(10, 9, 500, 5, 50)])
        # buddy was not there before; slab was, with fewer executions.
        for name, times in (("buddy", 0), ("slab", 2)):
            second.session(second.job(name), [(10, 9, 500, 5, 50)])
            second.states(name, [5] * 30)
            if times:
                first.session(first.job(name), [(10, 9, 250, 5, 50)])
                first.states(name, [5] * 20)
        second.states("tlsf", [4] * 103)
        told = species.looked_back(first.history, second.id)
        expected = species.more(species.Sample(1000, {1: 20, 2: 10, 9: 70}), 0.5)
        for name, value in zip(("estimate", "low", "high"), expected):
            self.assertAlmostEqual(value, told[name], 9)
        self.assertEqual((3, 1), (told["came"], told["strategies"]))
        says = species.exhibits(first.history, second.id)[0].says
        self.assertIn("new states in 1 strategy, and 3 came.", says)
        # States of both are counted once; another night is as long as the second.
        self.assertIn("that the last 2 saw", says)
        both = species.read(first.history, species.nights(first.history, second.id))["tlsf"]
        self.assertEqual((1500, 103, {5: 20, 6: 10, 13: 70, 4: 3}),
                         (both.executions, both.seen, both.counts))
        self.assertNotIn("Looking back", species.exhibits(first.history, first.id)[0].says)

    def test_too_few(self):
        campaign = made_up.Campaign()
        campaign.states("fresh", [1, 2, 3])
        told, = species.exhibits(campaign.history, campaign.id)
        self.assertFalse(told.enough)
        self.assertEqual([], told.rows)


if __name__ == "__main__":
    unittest.main(verbosity=2)
