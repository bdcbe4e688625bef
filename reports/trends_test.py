#!/usr/bin/env python3
"""Changes outside the noise in histories where it is known what changed, and the Pareto front."""
import math
import os
import random
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from reports import effect, made_up, noise, plot, speed_memory  # noqa: E402

try:
    import numpy  # noqa: F401
except ImportError:
    trends = None
else:
    from reports import benchmark_history, trends

WORKLOADS = ("churn", "fixed", "lifo64", "pow2")
ALLOCATORS = ("buddy", "tlsf", "slab", "glibc", "jemalloc")


@unittest.skipUnless(effect.statistics(), "no scipy")
class NoiseTest(unittest.TestCase):
    def series(self, chance, count, former, change=1.0):
        """Of 3 %, more or less, for one series. The first changes by `change`."""
        made = {}
        for key in range(count):
            level = 10 ** chance.uniform(0, 3)
            scatter = 0.03 * chance.lognormvariate(0, 0.5)
            values = [level * chance.lognormvariate(0, scatter) for _ in range(former + 1)]
            made[key] = values[:-1], values[-1] * (change if key == 0 else 1), None
        return made

    def test_false_alarms(self):
        """In at most 5 % of nights is one of 40 series called changed for nothing (of 200 nights, 20
        are too many in 1 of 1000), whether 3 or 8 were before."""
        chance = random.Random(3)
        for former in (3, 8):
            alarms = sum(any(change.outside for change in noise.changes(
                self.series(chance, 40, former)).values()) for _ in range(200))
            self.assertLess(alarms, 20, former)

    def test_a_true_change_is_seen(self):
        chance = random.Random(4)
        for factor in (1.6, 1 / 1.6):
            seen = sum(noise.changes(self.series(chance, 40, 5, factor))[0].outside
                       for _ in range(40))
            self.assertGreater(seen, 34)

    def test_interval_of_what_did_not_change(self):
        """Holds at least 95 % of all values; the noise of one series is lent by others."""
        chance = random.Random(5)
        within = total = 0
        for _ in range(60):
            for change in noise.changes(self.series(chance, 40, 4)).values():
                within += abs(math.log1p(change.change)) <= math.log1p(change.noise)
                total += 1
        self.assertGreater(within / total, 0.95)

    def test_too_few(self):
        told = noise.changes({"a": ([1.0, 1.1], 5.0, None), "b": ([], 5.0, None)})
        self.assertEqual(["a"], list(told))
        self.assertIsNone(told["a"].p)
        self.assertIsNone(told["a"].noise)
        self.assertFalse(told["a"].outside)

    def test_exact_figures(self):
        """What never scattered has changed when it changes, but not by its last digit."""
        told = noise.changes({"a": ([1.137] * 5, 1.16, None), "b": ([2.5] * 5, 2.5001, None)})
        self.assertTrue(told["a"].outside)
        self.assertFalse(told["b"].outside)
        self.assertAlmostEqual(0.0202, told["a"].change, 4)

    def test_noisy_today(self):
        """A night whose rounds scatter by a third says nothing of 20 %."""
        former = [10.0, 10.1, 9.9, 10.0, 10.05]
        self.assertTrue(noise.changes({"a": (former, 12.0, (11.9, 12.1))})["a"].outside)
        self.assertFalse(noise.changes({"a": (former, 12.0, (9.0, 15.0))})["a"].outside)

    def test_groups_lend_nothing(self):
        quiet = ([10.0, 10.0, 10.0, 10.0], 10.5, None)
        loud = ([5.0, 9.0, 14.0, 7.0], 9.0, None)
        self.assertFalse(noise.changes({"a": quiet, "b": loud})["a"].outside)
        self.assertTrue(noise.changes({"a": quiet, "b": loud}, group=str)["a"].outside)


class FrontTest(unittest.TestCase):
    def test_front(self):
        points = [speed_memory.Point(name, time, memory) for name, time, memory in (
            ("a", 1, 9), ("b", 2, 4), ("c", 3, 4), ("d", 4, 1), ("e", 9, 9), ("b2", 2, 4))]
        self.assertEqual(["a", "b", "d", "b2"], [
            point.name for point in speed_memory.mark_front(points) if point.front])

    def test_over_all(self):
        """Twice the time on one workload, half of it on the other: as fast."""
        campaign = made_up.Campaign()
        for name, times in (("glibc", (10, 10)), ("tlsf", (20, 5)), ("buddy", (20, 20))):
            for workload, time in zip(("w1", "w2"), times):
                campaign.benchmark(name, workload, "time", time, time * 0.9, time * 1.1)
                campaign.benchmark(name, workload, "memory", 1.5 if name == "glibc" else 3.0)
        campaign.benchmark("slab", "w1", "time", 1.0)
        reference, points = speed_memory.over_all(speed_memory.read(campaign.history, campaign.id))
        self.assertEqual("glibc", reference)
        told = {point.name: (round(point.time, 9), point.memory, point.front) for point in points}
        self.assertEqual({"glibc": (1, 1, True), "tlsf": (1, 2, False), "buddy": (2, 2, False)},
                         told)
        found = speed_memory.exhibits(campaign.history, campaign.id)
        self.assertEqual(["speed-memory", "speed-memory-w1", "speed-memory-w2"],
                         [exhibit.name for exhibit in found])
        for exhibit in found:
            self.assertEqual({len(exhibit.headings)}, {len(row) for row in exhibit.rows})
            if plot.library():
                self.assertLess(len(exhibit.svg), 100000)
                self.assertIn("buddy", exhibit.svg)
        self.assertIn("tlsf, glibc", found[2].says)

    def test_nothing(self):
        told, = speed_memory.exhibits(made_up.Campaign().history, 1)
        self.assertFalse(told.enough)


@unittest.skipUnless(trends and effect.statistics(), "no scipy")
class TrendsTest(unittest.TestCase):
    def setUp(self):
        self.history = made_up.Campaign(machine="another").history
        self.chance = random.Random(6)

    def night(self, machine="m", shift=1.0, changed=None):
        """Times scatter by 1 %, the whole machine by `shift`; `changed`: {(allocator, workload):
        factor}."""
        made = made_up.Campaign(self.history, machine=machine)
        for allocator in ALLOCATORS:
            for i, workload in enumerate(WORKLOADS):
                time = (5 + 3 * i) * shift * self.chance.lognormvariate(0, 0.01)
                time *= (changed or {}).get((allocator, workload), 1.0)
                made.benchmark(allocator, workload, "time", time, time * 0.99, time * 1.01)
                made.benchmark(allocator, workload, "memory", 1.25)
            made.session(made.job(allocator), [
                (10, 10, int(1e6 * shift * self.chance.lognormvariate(0, 0.01)), 50, 40)])
        return made

    def test_what_changed(self):
        for _ in range(4):
            self.night()
        made = self.night(changed={("tlsf", "churn"): 1.3})
        told, campaigns = trends.exhibits(self.history, made.id)
        outside = [key for key, change in trends.benchmark_changes(self.history, made.id).items()
                   if change.outside]
        self.assertEqual([("tlsf", "churn", "time")], outside)
        self.assertIn("1 of 40 series changed by more than the noise: tlsf on churn: time +", told.says)
        row = next(row for row in told.rows if row[:2] == ("tlsf", "time"))
        self.assertIn("churn +", row[2])
        self.assertIn("are within the noise", campaigns.says)
        self.assertEqual(5, len(campaigns.rows))
        for exhibit in (told, campaigns):
            self.assertEqual({len(exhibit.headings)}, {len(row) for row in exhibit.rows})
            if plot.library():
                self.assertLess(len(exhibit.svg), 100000)

    def test_a_slow_machine_is_no_change(self):
        for _ in range(4):
            self.night()
        made = self.night(shift=1.25)
        self.assertEqual([], [key for key, change in trends.benchmark_changes(
            self.history, made.id).items() if change.outside])
        # There is no control of executions: they were more, and that is told.
        self.assertEqual(5, sum(change.outside for change in trends.speed_changes(
            self.history, made.id).values()))

    def test_other_machines_are_left_out(self):
        for _ in range(4):
            self.night(machine="other")
        made = self.night()
        self.assertEqual({}, trends.benchmark_changes(self.history, made.id))
        told, _ = trends.exhibits(self.history, made.id)
        self.assertFalse(told.enough)
        self.assertIn("0 former campaigns on this machine", told.says)

    def test_past(self):
        """The night before took 1.5 times as long for tlsf on one of four workloads, and everything
        twice as long, which was the machine."""
        self.night(shift=2, changed={("tlsf", "churn"): 1.5})
        made = self.night()
        told = benchmark_history.read(self.history, made.id)
        then, now = told["tlsf", "time"]
        self.assertAlmostEqual(1.5 ** 0.25, then.value, 1)
        self.assertLess(then.low, then.value)
        self.assertEqual((1, made.id, 4), (now.value, now.campaign, now.workloads))
        self.assertAlmostEqual(1, told["buddy", "time"][0].value, 1)
        exhibit, = benchmark_history.exhibits(self.history, made.id)
        self.assertEqual(3, len(exhibit.headings))
        self.assertEqual({3}, {len(row) for row in exhibit.rows})
        if plot.library():
            self.assertLess(len(exhibit.svg), 100000)
            self.assertIn("jemalloc", exhibit.svg)
        self.assertFalse(benchmark_history.exhibits(self.history, then.campaign)[0].enough)

    def test_later_campaigns_are_left_out(self):
        first = self.night()
        for _ in range(4):
            self.night()
        self.assertEqual({}, trends.benchmark_changes(self.history, first.id))
        told = trends.totals(self.history, first.id)
        self.assertEqual([first.id], [row["id"] for row in told])

    def test_totals(self):
        made = self.night()
        made.states("tlsf", [1, 2, 3, 0])
        made.finding("tlsf", 1.0)
        made.finding("tlsf", 2.0, status="known")
        made.finding("tlsf", None, status="flaky")
        made.kill("tlsf+x", "afl", 1, 2.0)
        made.kill("tlsf+x", "afl", 2, 2.0, killed=0)
        told, = trends.totals(self.history, made.id)
        self.assertEqual((3, 2, 1, 0, 0.5, None), tuple(told[key] for key in (
            "states", "new", "known", "fixed", "killed", "lines")))
        self.assertAlmostEqual(50, told["cpu"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
