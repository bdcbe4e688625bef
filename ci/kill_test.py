#!/usr/bin/env python3
"""A campaign is killed again and again, at moments chosen at random, and resumed: the supervisor, one of
the processes that it started, or all of them. In the end nothing that the engines did may be
missing, and nothing may be there twice.

KILLS in the environment says how often (100), SEED at which moments.
"""
import os
import random
import signal
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from ci import process, truthful  # noqa: E402

KILLS = int(os.environ.get("KILLS", "100"))
SEED = int(os.environ.get("SEED", "1"))

# Of each campaign: so short that a hundred kills see the beginnings and the ends of several.
SECONDS = 14


def kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def strike(chance, supervisor):
    """Kills the supervisor, a process below it, or all of them at once."""
    children = process.children_of(supervisor.pid)
    if children and chance.random() < 0.2:
        kill(chance.choice(children))
        return
    kill(supervisor.pid)
    if chance.random() < 0.5:
        for child in children:
            kill(child)
    supervisor.wait()


class Kill(truthful.Accounts, unittest.TestCase):

    disturbed = KILLS

    @classmethod
    def setUpClass(cls):
        base = tempfile.TemporaryDirectory(dir=os.environ.get("TEST_TMPDIR"))
        cls.addClassCleanup(base.cleanup)
        cls.campaigns = truthful.Campaigns(base.name, os.path.join(base.name, "campaign"), SECONDS)
        chance = random.Random(SEED)
        supervisor, kills = None, 0
        while kills < KILLS:
            if supervisor is None or supervisor.poll() is not None:
                supervisor = cls.campaigns.start()
            if chance.random() < 0.7:
                cls.campaigns.wait_for_engines(supervisor)
            try:
                supervisor.wait(timeout=chance.uniform(0.05, 1.5))
            except subprocess.TimeoutExpired:
                strike(chance, supervisor)
                kills += 1
        supervisor.wait()
        cls.last = cls.campaigns.finish()
        cls.truth = cls.campaigns.truth()

    def test_there_was_something_to_lose(self):
        self.assertGreater(len(self.truth.kept), KILLS)
        self.assertGreater(len(self.truth.bugs), KILLS // 4)
        self.assertGreater(len(self.truth.executions), KILLS // 4)
        campaigns = self.campaigns.query("SELECT count(*) FROM campaigns")[0][0]
        killed = self.campaigns.query("SELECT count(*) FROM runs WHERE how = 'killed'")[0][0]
        self.assertGreater(campaigns, KILLS // 100)
        self.assertGreater(killed, KILLS // 3)

    def test_the_last_run_says_what_was_found(self):
        self.assertEqual(self.last, 1, self.campaigns.said()[-4000:])
        self.assertNotIn("Traceback", self.campaigns.said())


if __name__ == "__main__":
    unittest.main(verbosity=2)
