#!/usr/bin/env python3
"""The numbers that real targets keep of themselves, as read by counters.py."""
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from fuzz import counters  # noqa: E402

TARGET = ""


class Numbers(unittest.TestCase):
    def setUp(self):
        self._folder = tempfile.TemporaryDirectory()
        self.addCleanup(self._folder.cleanup)
        self.path = os.path.join(self._folder.name, "counters")
        self.corpus = os.path.join(self._folder.name, "corpus")
        os.mkdir(self.corpus)

    def start(self, *arguments, **environment):
        return subprocess.Popen([TARGET, *arguments], cwd=self._folder.name,
                                stderr=subprocess.DEVNULL,
                                env=dict(os.environ, ASSAY_COUNTERS=self.path, **environment))

    def run_to_end(self, *arguments, **environment):
        process = self.start(*arguments, **environment)
        process.wait(120)
        return process.returncode, counters.read(self.path)

    def test_counts_what_it_ran(self):
        code, told = self.run_to_end("-runs=2000", "-seed=1", self.corpus)
        self.assertEqual(code, 0)
        self.assertEqual(told.executions, 2000)
        self.assertGreater(told.operations, 2000)
        self.assertGreater(told.exercised["overlap"], 0)
        self.assertEqual(told.violations, 0)
        self.assertEqual(told.states_lost, 0)
        self.assertGreater(len(told.states), 20)
        self.assertLess(max(told.states.values()), 2001)

    def test_later_processes_go_on_there(self):
        self.run_to_end("-runs=100", "-seed=1", self.corpus)
        _, told = self.run_to_end("-runs=50", "-seed=2", self.corpus + "2")
        self.assertGreaterEqual(told.executions, 100)

    def test_killed_target_has_counted(self):
        process = self.start("-seed=1", self.corpus)
        for _ in range(600):
            told = counters.read(self.path)
            if told and told.operations > 1000:
                break
            time.sleep(0.1)
        process.send_signal(signal.SIGKILL)
        process.wait()
        last = counters.read(self.path)
        self.assertGreaterEqual(last.executions, told.executions)
        self.assertGreater(last.operations, 1000)

    def test_program_that_violates_counts(self):
        code, told = self.run_to_end("-seed=1", self.corpus,
                                     ASSAY_STRATEGY="free_list+double_release_accepted")
        self.assertNotEqual(code, 0)
        self.assertEqual(told.violations, 1)
        self.assertGreater(told.exercised["double-release-missed"], 0)

    def test_absent_or_damaged_is_none(self):
        self.assertIsNone(counters.read(self.path))
        self.run_to_end("-runs=10", self.corpus)
        with open(self.path, "rb") as f:
            whole = f.read()
        self.assertIsNotNone(counters.read(self.path))
        for damaged in (b"", whole[:-1], whole[:20], b"\0" * len(whole),
                        whole[:50] + b"?" + whole[51:], whole[:8] + b"\x07" + whole[9:]):
            with open(self.path, "wb") as f:
                f.write(damaged)
            self.assertIsNone(counters.read(self.path))


if __name__ == "__main__":
    TARGET = os.path.abspath(sys.argv.pop(1))
    unittest.main()
