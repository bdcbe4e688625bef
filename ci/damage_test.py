#!/usr/bin/env python3
"""A campaign is killed and its history damaged, in one way after the other, and resumed: what files know
is there again, and a finding is never told as clean.

What came after the last checkpoint may be missing from accounts of executions, but from nothing else.
"""
import contextlib
import glob
import os
import random
import sqlite3
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from ci import process, truthful  # noqa: E402

SEED = int(os.environ.get("SEED", "1"))

# Of all runs together.
SECONDS = 45

# Between kills, at most.
PATIENCE = 8


def garbage(path, chance):
    with open(path, "wb") as f:
        f.write(chance.randbytes(20000))


def _fold(path):
    """Has the database hold what is in its log, which would heal it."""
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def torn(path, chance):
    _fold(path)
    with open(path, "r+b") as f:
        for page in range(2, os.path.getsize(path) // 4096, 2):
            f.seek(page * 4096)
            f.write(chance.randbytes(4096))


def cut(path, _):
    _fold(path)
    os.truncate(path, max(1, os.path.getsize(path) // 2))


def gone(path, _):
    for name in glob.glob(path + "*"):
        if ".damaged-" not in name:
            os.unlink(name)


def log_lost(path, _):
    os.unlink(path + "-wal")


DAMAGES = (garbage, log_lost, cut, gone, torn)


class Campaigns(truthful.Campaigns):
    """One campaign, whose history cannot always be asked whether it is unfinished."""
    begun = False

    def unfinished(self):
        return self.begun

    def start(self):
        supervisor = super().start()
        self.begun = True
        return supervisor


class Damage(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        base = tempfile.TemporaryDirectory(dir=os.environ.get("TEST_TMPDIR"))
        cls.addClassCleanup(base.cleanup)
        cls.campaigns = Campaigns(base.name, os.path.join(base.name, "campaign"), SECONDS)
        supervisor = cls.campaigns.start()
        chance = random.Random(SEED)
        path = os.path.join(cls.campaigns.folder, "history.db")
        cls.found = []
        for damage in DAMAGES:
            cls._until_it_finds(supervisor)
            children = process.children_of(supervisor.pid)
            supervisor.kill()
            supervisor.wait()
            for child in children:
                try:
                    os.kill(child, 9)
                except ProcessLookupError:
                    pass
            cls.found.append({(strategy, signature) for strategy, signature, _ in
                              cls.campaigns.truth().bugs})
            damage(path, chance)
            supervisor = cls.campaigns.start()
        supervisor.wait()
        cls.last = supervisor.returncode
        cls.truth = cls.campaigns.truth()

    @classmethod
    def _until_it_finds(cls, supervisor):
        """Something that it had not found when this was called, or nothing for a while."""
        known, end = len(cls.campaigns.truth().bugs), time.monotonic() + PATIENCE
        while time.monotonic() < end and len(cls.campaigns.truth().bugs) == known:
            if supervisor.poll() is not None:
                raise AssertionError("it ended too soon:\n" + cls.campaigns.said()[-2000:])
            time.sleep(0.2)
        time.sleep(1)

    test_no_corpus_entry_is_lost_or_torn = truthful.Accounts.test_no_corpus_entry_is_lost_or_torn
    test_nothing_is_left_open = truthful.Accounts.test_nothing_is_left_open
    test_every_finding_is_whole = truthful.Accounts.test_every_finding_is_whole
    test_no_process_is_left = truthful.Accounts.test_no_process_is_left

    def test_it_went_on(self):
        self.assertEqual(1, self.last, self.campaigns.said()[-4000:])
        self.assertNotIn("Traceback", self.campaigns.said())
        self.assertEqual([(1,)], self.campaigns.query("SELECT count(*) FROM campaigns"))

    def test_the_campaign_tells_all_that_it_found_before_and_after(self):
        told = {(strategy, signature): status for strategy, signature, status in self.campaigns.query(
            "SELECT strategy, signature, status FROM campaign_findings JOIN findings ON id = finding")}
        self.assertTrue(any(self.found))
        for before, damage in zip(self.found, DAMAGES):
            self.assertEqual(set(), before - set(told), damage.__name__)
        bugs = {(strategy, signature) for strategy, signature, _ in self.truth.bugs}
        self.assertEqual({bug: "new" for bug in bugs},
                         {bug: status for bug, status in told.items() if status == "new"})
        # An input that its engine did not write to the end shows nothing.
        self.assertLessEqual({status for bug, status in told.items() if bug not in bugs}, {"flaky"})

    def test_no_session_counts_what_it_did_not_do(self):
        # A number that was lost with the history may come again, for a replay as well.
        rows = dict(self.campaigns.query(
            "SELECT sessions.id, executions FROM sessions JOIN jobs ON jobs.id = job "
            "WHERE engine != 'corpus'"))
        self.assertTrue(set(rows) & set(self.truth.executions))
        for session, executions in self.truth.executions.items():
            self.assertLessEqual(rows.get(session, 0), executions + 5, "session %d" % session)

    def test_what_was_damaged_is_kept_and_told(self):
        kept = [path for path in glob.glob(os.path.join(self.campaigns.folder, "history.db.damaged-*"))
                if not path.endswith(("-wal", "-shm"))]
        self.assertGreaterEqual(len(kept), 2)      # cut and torn; a log may heal the others
        said = self.campaigns.said()
        for path in kept:
            self.assertIn(os.path.basename(path), said)
        self.assertGreaterEqual(said.count("recovered from its record"), 3)


if __name__ == "__main__":
    unittest.main(verbosity=2)
