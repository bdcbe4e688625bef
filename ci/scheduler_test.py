#!/usr/bin/env python3
"""The scheduler on jobs whose yield is known."""
import collections
import contextlib
import os
import random
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from ci import scheduler  # noqa: E402
from reports import history  # noqa: E402

HOUR = 3600.0


def simulate(chief, rates, cores, end, seed=1, sample=2.0, begin=0.0):
    """Runs the cores. `rates`: {key: f(now) -> events per CPU second}. Returns {key: seconds},
    {key: events}, and the order of (now, key, seconds)."""
    chance = random.Random(seed)
    busy = {core: None for core in range(cores)}
    seconds, events, turns = collections.Counter(), collections.Counter(), []
    now = begin
    while now < end:
        for core in busy:
            if busy[core] and busy[core][1] <= now:
                busy[core] = None
        for core in busy:
            if not busy[core]:
                turn = chief.next(now, [other[0] for other in busy.values() if other])
                if turn:
                    busy[core] = (turn[0], now + turn[1])
                    turns.append((now, *turn))
        if not any(busy.values()):
            break
        for slot in busy.values():
            if slot:
                new = sum(chance.random() < rates[slot[0]](now) * sample / 20 for _ in range(20))
                seconds[slot[0]] += sample
                events[slot[0]] += new
                chief.moved(slot[0], sample, new)
        now += sample
    return seconds, events, turns


def constant(rate):
    return lambda now: rate


class ChoiceTest(unittest.TestCase):
    def test_every_job_is_tried_before_any_is_repeated(self):
        keys = list(range(20))
        chief = scheduler.Scheduler(keys, 3, 1, 8 * HOUR)
        _, _, turns = simulate(chief, {key: constant(0.1) for key in keys}, 3, 900)
        self.assertEqual(set(keys), {key for _, key, _ in turns[:20]})

    def test_ten_times_the_yield_gets_most_of_the_time(self):
        for seed in range(5):
            for cores in (1, 2):
                rates = {key: constant(0.005) for key in range(9)}
                rates["good"] = constant(0.05)
                chief = scheduler.Scheduler(rates, cores, seed, 8 * HOUR)
                seconds, _, _ = simulate(chief, rates, cores, 8 * HOUR, seed)
                self.assertGreater(seconds["good"], 0.5 * sum(seconds.values()), (seed, cores))
                self.assertAlmostEqual(8 * HOUR * cores, sum(seconds.values()), delta=10)

    def test_a_dead_job_gets_nearly_none(self):
        for seed in range(5):
            rates = {key: constant(0.01) for key in range(5)}
            rates["dead"] = constant(0)
            chief = scheduler.Scheduler(rates, 2, seed, 8 * HOUR)
            seconds, _, _ = simulate(chief, rates, 2, 8 * HOUR, seed)
            self.assertLess(seconds["dead"], 0.04 * sum(seconds.values()), seed)
            self.assertTrue(chief.parked("dead"))

    def test_a_job_that_wakes_up_is_found_again(self):
        for seed in range(5):
            rates = {key: constant(0.01) for key in range(8)}
            rates["sleeper"] = lambda now: 0.1 if now > 4 * HOUR else 0
            chief = scheduler.Scheduler(rates, 2, seed, 8 * HOUR)
            _, _, turns = simulate(chief, rates, 2, 8 * HOUR, seed)
            spent = collections.Counter()
            for now, key, slice_ in turns:
                if key == "sleeper":
                    spent[now > 4 * HOUR] += slice_
            self.assertLess(spent[False], 0.1 * 8 * HOUR)
            self.assertGreater(spent[True], 0.4 * 8 * HOUR, seed)

    def test_where_nothing_moves_all_are_equal(self):
        rates = {key: constant(0) for key in range(10)}
        chief = scheduler.Scheduler(rates, 2, 1, 8 * HOUR)
        seconds, _, _ = simulate(chief, rates, 2, 8 * HOUR)
        self.assertEqual(16 * HOUR, sum(seconds.values()))
        self.assertGreater(min(seconds.values()), 0.5 * 1.6 * HOUR)
        self.assertLess(max(seconds.values()), 2 * 1.6 * HOUR)

    def test_findings_weigh_more_than_edges(self):
        chief = scheduler.Scheduler("ab", 1, 1, HOUR)
        chief.moved("a", 60, new_coverage=3)
        chief.moved("b", 60, new_findings=1)
        self.assertGreater(chief.rate("b"), 2 * chief.rate("a"))

    def test_one_burst_of_edges_is_one_large_event(self):
        chief = scheduler.Scheduler("ab", 1, 1, HOUR)
        chief.moved("a", 60, new_coverage=1000)
        for _ in range(20):
            chief.moved("b", 3, new_coverage=1)
        self.assertGreater(chief.rate("b"), chief.rate("a"))

    def test_it_is_deterministic(self):
        rates = {key: constant(0.01 * key) for key in range(6)}
        runs = [simulate(scheduler.Scheduler(rates, 2, seed, HOUR), rates, 2, HOUR)[2]
                for seed in (7, 7, 8)]
        self.assertEqual(runs[0], runs[1])
        self.assertNotEqual(runs[0], runs[2])


class SliceTest(unittest.TestCase):
    def test_slices_grow_and_never_pass_the_end(self):
        rates = {"only": constant(0.1)}
        chief = scheduler.Scheduler(rates, 1, 1, HOUR)
        _, _, turns = simulate(chief, rates, 1, HOUR)
        lengths = [slice_ for _, _, slice_ in turns]
        self.assertEqual((scheduler.FIRST, scheduler.LONGEST), (lengths[0], max(lengths[:-1])))
        self.assertEqual(sorted(lengths[:-1]), lengths[:-1])
        self.assertEqual(HOUR, turns[-1][0] + lengths[-1])

    def test_a_long_start_up_makes_longer_slices(self):
        chief = scheduler.Scheduler("a", 1, 1, HOUR)
        chief.moved("a", 30)
        chief.started("a", 12)
        self.assertEqual(("a", 120), chief.next(30, []))

    def test_short_campaigns_try_all_and_then_choose(self):
        keys = list(range(30))
        rates = {key: constant(0.02) for key in keys}
        chief = scheduler.Scheduler(keys, 2, 1, 600)
        seconds, _, turns = simulate(chief, rates, 2, 600)
        self.assertEqual(set(keys), set(seconds))
        self.assertEqual(20, turns[0][2])
        self.assertLessEqual(max(now + slice_ for now, _, slice_ in turns), 600)

    def test_too_little_time_is_refused_with_what_would_do(self):
        with self.assertRaises(scheduler.TooShort) as caught:
            scheduler.Scheduler(range(100), 2, 1, 60)
        self.assertEqual(150, caught.exception.seconds)
        scheduler.Scheduler(range(100), 2, 1, caught.exception.seconds)

    def test_more_cores_than_jobs_run_several_instances(self):
        chief = scheduler.Scheduler("ab", 4, 1, HOUR)
        running = []
        for _ in range(4):
            running.append(chief.next(0, running)[0])
        self.assertEqual({"a": 2, "b": 2}, dict(collections.Counter(running)))

    def test_a_job_that_was_dropped_gets_nothing_more(self):
        chief = scheduler.Scheduler("ab", 1, 1, HOUR)
        chief.drop("a")
        self.assertEqual({"b"}, {chief.next(now, [])[0] for now in range(0, 300, 30)})
        chief.drop("b")
        self.assertIsNone(chief.next(300, []))

    def test_a_job_rests_while_another_can_run(self):
        chief = scheduler.Scheduler("ab", 1, 1, HOUR)
        self.assertTrue(chief.rest("a", 120))
        self.assertEqual({"b"}, {chief.next(now, [])[0] for now in range(0, 120, 30)})
        chosen = {chief.next(120, [])[0] for _ in range(20)}
        self.assertIn("a", chosen)
        chief.rest("a", 400)
        chief.rest("b", 300)
        self.assertEqual("b", chief.next(200, [])[0])


class GainsTest(unittest.TestCase):
    def test_what_the_corpus_covers_is_not_new(self):
        gains = scheduler.Gains()
        self.assertEqual((2, 0, 0), gains.sample("a", 1, 2, 500, 900))
        self.assertEqual((3, 7, 0), gains.sample("a", 1, 5, 507, 900))
        # The next session reaches it again.
        self.assertEqual((4, 0, 2), gains.sample("a", 2, 4, 507, 902))
        self.assertEqual((1, 0, 0), gains.sample("a", 2, 5))

    def test_what_others_put_into_the_corpus_is_not_new(self):
        gains = scheduler.Gains()
        gains.sample("a", 1, 2, 500, 900)
        gains.begin("a", 2, 550, 990)
        self.assertEqual((4, 1, 10), gains.sample("a", 2, 4, 551, 1000))
        gains.begin("a", 2, 600, 2000)
        self.assertEqual((1, 49, 0), gains.sample("a", 2, 5, 600, 1000))

    def test_the_state_is_rebuilt_from_the_history(self):
        keys = [("bump", "afl", "none"), ("slab", "libfuzzer", "address")]
        chief = scheduler.Scheduler(keys, 1, 1, HOUR)
        gains = scheduler.Gains()
        with contextlib.closing(self.history()) as past:
            for at, (key, session, cpu, edges) in enumerate([
                    (keys[0], 1, 20, 100), (keys[1], 2, 20, 50), (keys[0], 1, 50, 103),
                    (keys[1], 3, 700, 50)]):
                chief.moved(key, *gains.sample(key, session, cpu, edges)[:2])
                past.write("INSERT INTO samples VALUES (?,?,?,0,0,?,NULL,0,0,0)",
                           session, at, cpu, edges)
            chief.moved(keys[0], 0, new_findings=1)
            again = scheduler.Scheduler(keys, 1, 1, HOUR)
            events = past.query(scheduler.EVENTS, 1)
            self.assertEqual(5 + 3, len(events))
            scheduler.recall(again, scheduler.Gains(), [tuple(event) for event in events])
        for key in keys:
            self.assertAlmostEqual(chief.rate(key), again.rate(key))
            self.assertEqual(chief.parked(key), again.parked(key))
        self.assertTrue(again.parked(keys[1]))

    def history(self):
        """A history with the sessions 1 of bump, 2 and 3 of slab, and a finding of bump's."""
        past = history.History(":memory:")
        past.write("INSERT INTO campaigns (id, uuid, command, started) VALUES (1, 'u', 'x', '')")
        past.write("INSERT INTO runs (id, campaign, started) VALUES (1, 1, '')")
        for job, (strategy, engine, sanitizer) in enumerate(
                [("bump", "afl", "none"), ("slab", "libfuzzer", "address")], 1):
            past.write("INSERT INTO jobs (id, campaign, strategy, engine, sanitizer) "
                       "VALUES (?, 1, ?, ?, ?)", job, strategy, engine, sanitizer)
        for session, job, began, cpu, edges in ((1, 1, 0, 50, 103), (2, 2, 0, 20, 50),
                                                (3, 2, 2, 700, 50)):
            past.write("INSERT INTO sessions (id, job, run, began, seconds, cpu_seconds, coverage) "
                       "VALUES (?, ?, 1, ?, 3, ?, ?)", session, job, began, cpu, edges)
        past.write("INSERT INTO findings (id, strategy, property, signature, name, path, stored) "
                   "VALUES (1, 'bump', 'overlap', '1', 'n', 'p', '')")
        past.write("INSERT INTO campaign_findings (campaign, finding, status, engine, sanitizer, "
                   "seconds) VALUES (1, 1, 'new', 'afl', 'none', 9)")
        return past


if __name__ == "__main__":
    unittest.main()
