#!/usr/bin/env python3
"""Growth curves of campaigns that are known, and the coverage of their bands."""
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
    from reports import bootstrap, growth, job_curves


@unittest.skipUnless(numpy, "no numpy")
class CurveTest(unittest.TestCase):
    def setUp(self):
        self.campaign = made_up.Campaign()

    def curves(self):
        return job_curves.of_campaign(self.campaign.history, self.campaign.id)

    def test_sessions_after_and_beside_each_other(self):
        job = self.campaign.job("tlsf", "afl", "none")
        self.campaign.session(job, [(10, 9, 100, 5, 50), (20, 18, 200, 7, 60)])
        self.campaign.session(job, [(15, 4, 40, 6, 55), (20, 8, 90, 6, 80)], began=11)
        curve, = self.curves()
        # At 15 the first has still what it had at 10.
        by_time = {at: (cpu, edges, states, executions) for at, cpu, edges, states, executions in zip(
            curve.at, curve.cpu, curve.edges, curve.states, curve.executions)}
        self.assertEqual((13, 6, 55, 140), by_time[15])
        self.assertEqual((26, 7, 80, 290), by_time[20])
        self.assertEqual(11.0, curve.cpu_at(12.5))
        self.assertEqual([0, 50, 55, 80], list(curve.reached(curve.states, [8, 9, 14, 99])))

    def test_nothing_ran(self):
        self.campaign.job("tlsf")
        self.assertEqual([], self.curves())
        for exhibit in growth.exhibits(self.campaign.history, self.campaign.id):
            self.assertFalse(exhibit.enough)
            self.assertIn("Too few data", exhibit.says)
            self.assertEqual(("", []), (exhibit.svg, exhibit.rows))

    def fill(self, strategies, **more):
        """Each strategy has 100 states, of which libFuzzer reaches all and AFL++ half, linearly."""
        for i in range(strategies):
            name = "s%d" % i
            for engine, sanitizer, most in (("libfuzzer", "address", 100), ("afl", "none", 50)):
                self.campaign.session(self.campaign.job(name, engine, sanitizer), [
                    (t, t, 10 * t, 7 * t, most * t // 100) for t in range(10, 101, 10)])
            self.campaign.states(name, [3] * 100)

    def test_known_shares(self):
        self.fill(6)
        self.campaign.finding("s0", 30)
        self.campaign.finding("s1", 60)
        self.campaign.finding("s1", 60, status="fixed")
        self.campaign.finding("s2", None)
        states, edges, findings = growth.exhibits(self.campaign.history, self.campaign.id)
        self.assertEqual(["libFuzzer, address", "AFL++"], [row[0] for row in states.rows])
        self.assertEqual(["100.0 (100.0–100.0) %", "50.0 (50.0–50.0) %"],
                         [row[-1] for row in states.rows])
        self.assertIn("In the end: libFuzzer, address 100.0 (100.0–100.0) % of the states; AFL++ 50.0",
                      states.says)
        # Engines' edges are measured by their own ends.
        self.assertEqual(["100.0 (100.0–100.0) %"] * 2, [row[-1] for row in edges.rows])
        first, second = findings.figures["curves"]
        self.assertEqual((2.0, 0.0), (first["mean"][-1], second["mean"][-1]))
        half = next(i for i, cpu in enumerate(first["cpu_seconds"]) if cpu > 45)
        self.assertEqual(1.0, first["mean"][half])
        for exhibit in (states, edges, findings):
            self.assertTrue(exhibit.enough)
            self.assertEqual({len(exhibit.headings)}, {len(row) for row in exhibit.rows})
            if plot.library():
                self.assertLess(len(exhibit.svg), 100000)
                self.assertIn("libFuzzer, address", exhibit.svg)

    def test_when_near_the_end(self):
        """The one has 95 % of its edges after 60 s of 100, the other's last come with its last job."""
        for i in range(3):
            for engine, edges in (("libfuzzer", [50, 96, 100]), ("afl", [10, 20, 30])):
                longer = 1000 * (engine == "afl" and i == 2)
                self.campaign.session(self.campaign.job("s%d" % i, engine, "none"), [
                    (at, at, at, covered, 1) for at, covered in zip((20, 60, 100), edges)]
                    + [(100 + longer, 100 + longer, 999, 900, 1)] * bool(longer))
        edges = growth.exhibits(self.campaign.history, self.campaign.id, pictures=False)[1]
        self.assertIn("libFuzzer 1:0", edges.says)
        self.assertIn("AFL++ not within 1:40", edges.says)

    def test_no_band_of_few_strategies(self):
        self.fill(bootstrap.FEWEST - 1)
        states = growth.exhibits(self.campaign.history, self.campaign.id)[0]
        self.assertEqual("100.0 %", states.rows[0][-1])
        self.assertIsNone(states.figures["curves"][0]["low"])

    def test_other_campaigns_do_not_count(self):
        self.fill(5)
        other = made_up.Campaign(self.campaign.history)
        self.assertEqual([], job_curves.of_campaign(self.campaign.history, other.id))


@unittest.skipUnless(effect.statistics(), "no scipy")
class BandTest(unittest.TestCase):
    def test_same_each_time(self):
        values = numpy.arange(12.0).reshape(6, 2)
        first, second = bootstrap.band(values), bootstrap.band(values)
        self.assertTrue((first[0] == second[0]).all() and (first[1] == second[1]).all())

    def test_holds_the_truth(self):
        """Shares of coverage of 6 and of 15 strategies, skewed as such shares are."""
        random = numpy.random.default_rng(3)
        for n, least in ((6, 0.89), (15, 0.92)):
            values = random.beta(5, 2, (1000, n))
            held = 0
            for world in values:
                low, high = bootstrap.band(world)
                held += low <= 5 / 7 <= high
            self.assertGreater(held / 1000, least, n)
            self.assertLess(held / 1000, 0.98, n)


if __name__ == "__main__":
    unittest.main(verbosity=2)
