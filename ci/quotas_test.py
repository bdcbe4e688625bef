#!/usr/bin/env python3
"""Quotas: who is stopped when memory or disk run short, and what is tried before."""
import os
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from ci import quotas  # noqa: E402

MIB = quotas.MIB


class GuardTest(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = temporary.name
        self.calls = []
        self.now = 0.0
        self.busy = False        # thinning a corpus
        for name in ("logs", "corpus/big", "corpus/small", "sessions/1", "sessions/2"):
            os.makedirs(os.path.join(self.folder, name))

    def guard(self, **limits):
        limits = quotas.Limits(**{"disk": 8 * MIB, "free": 0, "memory": 1000 * MIB, **limits})
        self.watch = quotas.Guard(
            self.folder, limits, stop=lambda session, why: self.calls.append(("stop", session)),
            thin=lambda strategy: self.calls.append(("thin", strategy)) or True,
            busy=lambda: self.busy, end=lambda why: self.calls.append(("end", why)))
        return self.watch

    def look(self, sessions=(), times=1):
        for _ in range(times):
            self.now += 15
            self.watch.look(self.now, dict(sessions))

    def write(self, name, size):
        with open(os.path.join(self.folder, name), "wb") as f:
            f.write(os.urandom(size))

    def test_within_its_limits_nothing_happens(self):
        self.guard()
        self.write("sessions/1/queue", MIB)
        self.look({1: [500 * MIB, 400 * MIB]}, times=10)
        self.assertEqual([], self.calls)
        self.assertEqual(900 * MIB, self.watch.memory)
        self.assertAlmostEqual(MIB, self.watch.disk.known, delta=MIB / 10)

    def test_the_largest_session_goes_when_memory_is_short(self):
        self.guard()
        self.look({1: [300 * MIB], 2: [300 * MIB, 200 * MIB], 3: [300 * MIB]})
        self.assertEqual([("stop", 2)], self.calls)
        # It takes a while to end: nobody else goes for it.
        self.look({1: [300 * MIB], 2: [300 * MIB, 200 * MIB], 3: [300 * MIB]})
        self.assertEqual([("stop", 2)], self.calls)

    def test_one_process_may_not_take_all(self):
        self.guard(process=200 * MIB)
        self.look({1: [240 * MIB], 2: [100 * MIB, 260 * MIB]})
        self.assertEqual([("stop", 2)], self.calls)

    def test_a_full_folder_is_thinned_before_a_session_goes(self):
        self.guard()
        self.write("logs/a.log", MIB)
        self.write("corpus/big/1", 2 * MIB)
        self.write("corpus/small/1", MIB)
        self.write("sessions/2/core", 6 * MIB)
        self.look({1: [MIB], 2: [MIB]}, times=2)
        self.assertEqual(4096, os.path.getsize(os.path.join(self.folder, "logs", "a.log")))
        self.look({1: [MIB], 2: [MIB]}, times=10)
        self.assertEqual([("thin", "big"), ("thin", "small"), ("stop", 2)], self.calls[:3])
        self.assertEqual("end", self.calls[3][0])

    def test_what_helped_is_enough(self):
        self.guard()
        self.write("corpus/big/1", 12 * MIB)
        self.look(times=2)
        self.busy = True
        self.look(times=10)
        self.busy = False
        self.assertEqual([("thin", "big")], self.calls)
        os.unlink(os.path.join(self.folder, "corpus", "big", "1"))
        self.look(times=10)
        self.assertEqual([("thin", "big")], self.calls)
        # And the next time it begins anew.
        self.write("corpus/small/1", 12 * MIB)
        self.look(times=5)
        self.assertEqual(("thin", "small"), self.calls[1])

    def test_a_disk_that_others_fill_ends_the_fuzzing(self):
        self.guard(free=1 << 60)
        self.look({1: [MIB]}, times=6)
        self.assertEqual("end", self.calls[-1][0])
        self.assertNotIn("stop", [call[0] for call in self.calls])


class WalkTest(unittest.TestCase):
    def test_a_walk_goes_on_where_it_was(self):
        with tempfile.TemporaryDirectory() as folder:
            os.makedirs(os.path.join(folder, "corpus", "a"))
            for number in range(1000):
                with open(os.path.join(folder, "corpus", "a", str(number)), "w") as f:
                    f.write("x")
            walk, steps = quotas.Walk(folder), 1
            while not walk.step(0.0):
                steps += 1
            self.assertGreater(steps, 9)
            self.assertGreaterEqual(walk.parts["corpus", "a"], 1000)
            # Listed again when it is all there.
            again = quotas.Walk(folder)
            again.step(60)
            self.assertEqual(again.parts, walk.parts)

    def test_what_vanishes_does_not_matter(self):
        with tempfile.TemporaryDirectory() as folder:
            os.makedirs(os.path.join(folder, "a", "b"))
            walk = quotas.Walk(folder)
            walk.step(0.0)
            os.rmdir(os.path.join(folder, "a", "b"))
            os.rmdir(os.path.join(folder, "a"))
            while not walk.step(1):
                pass


class OptionsTest(unittest.TestCase):
    def test_sizes(self):
        for value, expected in (("8G", 8 << 30), ("512m", 512 << 20), ("1.5GiB", 3 << 29),
                                ("2097152", 2 << 20)):
            self.assertEqual(expected, quotas.size(value))
        for value in ("", "8", "x", "-1G", "nan", "infG", "1Q"):
            with self.assertRaises(ValueError, msg=value):
                quotas.size(value)

    def test_defaults_fit_the_machine(self):
        limits = quotas.Limits()
        self.assertLess(limits.memory, quotas.available_memory())
        self.assertLessEqual(limits.process, limits.memory)
        self.assertIn("8.0 GiB", str(limits))


class PoliteTest(unittest.TestCase):
    def test_engines_step_back(self):
        told = subprocess.run(
            quotas.polite(["sh", "-c", "nice; cat /proc/self/oom_score_adj; ulimit -c"]),
            capture_output=True, text=True, check=True,
            preexec_fn=quotas.limit_children).stdout.split()
        self.assertEqual(os.nice(0) + 10, int(told[0]))
        self.assertEqual(["500", "0"], told[1:])


if __name__ == "__main__":
    unittest.main()
