#!/usr/bin/env python3
"""The accounts of a campaign: whatever step a kill comes before, they come out the same."""
import os
import shutil
import signal
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from ci import campaign, corpus_folder, fakes, phases, recovery, run_folder, suspects  # noqa: E402

INPUTS = {b"one", b"two", b"three"}
CRASHES = {b"bug overlap 11111111 a", b"bug content 22222222 b"}


class Steps:
    """Kills this process before its `last`-th change of a file or of the history."""

    # Of os; what else changes files is made of these, or harmless.
    CHANGES = ("replace", "unlink", "rmdir", "fsync", "mkdir")

    def __init__(self, last):
        self.count, self.last = 0, last

    def _step(self):
        self.count += 1
        if self.count == self.last:
            os.kill(os.getpid(), signal.SIGKILL)

    def install(self, history):
        for name in self.CHANGES:
            setattr(os, name, self._stepping(getattr(os, name)))
        history._db = Watched(history._db, self._step)  # pylint: disable=protected-access

    def _stepping(self, function):
        def stepping(*arguments, **more):
            self._step()
            return function(*arguments, **more)
        return stepping


class Watched:
    """A connection whose every statement is a step."""

    def __init__(self, db, step):
        self._db, self._step = db, step

    def execute(self, *arguments):
        self._step()
        return self._db.execute(*arguments)

    def executemany(self, *arguments):
        self._step()
        return self._db.executemany(*arguments)

    def __getattr__(self, name):
        return getattr(self._db, name)


class Case(unittest.TestCase):
    def setUp(self):
        # In memory, where there is such a folder: hundreds of syncs take a disk a minute.
        self._temporary = tempfile.TemporaryDirectory(
            dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
        self.addCleanup(self._temporary.cleanup)
        self.out = os.path.join(self._temporary.name, "out")

    def open(self):
        """The folder, claimed, and its history."""
        folder = run_folder.RunFolder(self.out)
        self.addCleanup(folder.release)
        history = campaign.open_history(folder, self.fail)
        self.addCleanup(history.close)
        return folder, history


class KillTest(Case):
    def leave_orphans(self):
        """A campaign of which only files and rows are left: three sessions, two of them running."""
        folder, history = self.open()
        night = campaign.Campaign.begin(history, folder, "overnight", options={"hours": 1})
        row = night.job(("alpha", "afl", "none"))
        done, _ = night.open_session(row)
        night.close_session(done, {"executions": 5, "cpu_seconds": 1.0}, "over", 0,
                            {"overlap": 7}, {1: 1, 1 << 63: 2})
        for number in range(2):
            session, work = night.open_session(row)
            fakes.write_counters(os.path.join(work, "counters"), 100, 1000, {"overlap": 50},
                                 {1: 10, 2: 20})
            self.put(work, "queue", INPUTS)
            # The same crash in both, and one of its own in each.
            self.put(work, "crashes", CRASHES | {b"bug reset 33333333 %d" % number})
            night.sample({session: {"executions": 60, "cpu_seconds": 2.0}})
        corpus = folder.join("corpus", "alpha")
        os.makedirs(corpus)
        for name, data in ((corpus_folder.sha1(b"whole"), b"wh"), (".x.tmp", b"")):
            with open(os.path.join(corpus, name), "wb") as f:
                f.write(data)
        history.close()
        folder.release()

    @staticmethod
    def put(work, kind, inputs):
        folder = os.path.join(work, "default", kind)
        os.makedirs(folder)
        for number, data in enumerate(sorted(inputs)):
            with open(os.path.join(folder, "id:%06d" % number), "wb") as f:
                f.write(data)

    def recover(self, steps=None):
        """In a process of its own, killed before a step. True if it came to its end."""
        child = os.fork()
        if not child:
            code = 1
            try:
                folder = run_folder.RunFolder(self.out)
                history = campaign.open_history(folder)
                if steps:
                    steps.install(history)
                row = campaign.last(history)
                night = campaign.Campaign.resume(history, folder, row)
                queue = suspects.Queue(folder.join("suspects"))
                recovery.recover(history, folder, queue.put)
                night.end()
                code = 0
            finally:
                os._exit(code)  # pylint: disable=protected-access
        status = os.waitpid(child, 0)[1]
        self.assertIn(status, (0, signal.SIGKILL))
        return status == 0

    def check(self):
        folder, history = self.open()
        self.assertEqual(
            [("ended", "over", 5), ("lost", "killed", 100), ("lost", "killed", 100)],
            [tuple(row) for row in history.query(
                "SELECT state, how, executions FROM sessions ORDER BY id")])
        self.assertEqual([(7 + 2 * 50,)], [tuple(row) for row in history.query(
            "SELECT sum(times) FROM exercised")])
        self.assertEqual({1: 21, 2: 40, -(1 << 63): 2}, {row["state"]: row["hits"] for row in
                         history.query("SELECT state, hits FROM state_hits")})
        self.assertEqual((5.0, 3), tuple(history.one(
            "SELECT sum(cpu_seconds), max(crashes) FROM sessions")))
        corpus = folder.join("corpus", "alpha")
        self.assertEqual({corpus_folder.sha1(data) for data in INPUTS}, set(os.listdir(corpus)))
        entries = suspects.Queue(folder.join("suspects")).take(100)
        waiting = sorted(entry.read().data for entry in entries)
        self.assertEqual(sorted(CRASHES | {b"bug reset 33333333 0", b"bug reset 33333333 1"}),
                         sorted(set(waiting)))
        self.assertEqual([], os.listdir(folder.join("sessions")))
        self.assertIsNone(history.one("SELECT * FROM runs WHERE ended IS NULL"))
        self.assertEqual("ended", campaign.last(history)["state"])
        history.close()
        folder.release()

    def test_a_kill_before_any_step_of_the_accounting_changes_nothing(self):
        step, ended = 0, False
        while not ended:
            step += 1
            self.out = os.path.join(self._temporary.name, str(step))
            self.leave_orphans()
            ended = self.recover(Steps(step))
            if not ended:
                self.assertTrue(self.recover())
            with self.subTest(step=step):
                self.check()
            shutil.rmtree(self.out)
        # Else nothing was killed: there is much to do.
        self.assertGreater(step, 60)


class CampaignTest(Case):
    def test_numbers_are_replaced_not_added(self):
        folder, history = self.open()
        night = campaign.Campaign.begin(history, folder, "fuzz")
        key = "alpha", "libfuzzer", "address"
        session, work = night.open_session(night.job(key), seed=7)
        self.assertTrue(os.path.isdir(work))
        for executions in (10, 20, 20, 30):
            night.sample({session: {"executions": executions, "coverage": 3}})
        self.assertEqual(30, night.totals()[key]["executions"])
        night.close_session(session, {"executions": 31}, "over", 0)
        self.assertFalse(os.path.exists(work))
        # Whoever closes it again closes nothing.
        self.assertFalse(campaign.close_session(history, session, {"executions": 99}, "died",
                                                "ended", {"overlap": 1}, {1: 1}))
        self.assertEqual((31, 1), (night.totals()[key]["executions"], night.totals()[key]["sessions"]))
        self.assertEqual([], history.query("SELECT * FROM state_hits"))

    def test_campaign_seconds_are_those_of_all_runs(self):
        folder, history = self.open()
        night = campaign.Campaign.begin(history, folder, "overnight", options={"hours": 2})
        history.write("UPDATE runs SET seconds = 100")
        night = campaign.Campaign.resume(history, folder, campaign.last(history))
        self.assertEqual({"hours": 2}, campaign.options_of(campaign.last(history)))
        self.assertGreaterEqual(night.clock(), 100)
        self.assertEqual(["killed", ""], [row["how"] for row in history.query(
            "SELECT how FROM runs ORDER BY id")])
        night.end("SIGTERM")
        self.assertEqual("stopped", campaign.last(history)["state"])

    def test_a_campaign_that_nobody_resumes_is_closed(self):
        folder, history = self.open()
        campaign.Campaign.begin(history, folder, "overnight")
        self.assertEqual(1, campaign.close_killed(history))
        self.assertEqual(0, campaign.close_killed(history))
        row = campaign.last(history)
        self.assertEqual(("stopped", "killed"), (row["state"], row["stopped"]))

    def test_phases_go_on_from_the_first_that_is_not_done(self):
        folder, history = self.open()
        night = campaign.Campaign.begin(history, folder, "overnight")
        for name, state in (("replay", "done"), ("fuzz", "begun"), ("settle", "done"),
                            ("coverage", "skipped")):
            night.set_phase(name, state, 2.0, "stopped")
        night.reopen_phases(phases.NAMES)
        self.assertEqual(["done", "begun", "begun", "begun"],
                         [night.phase(name) for name in ("replay", "fuzz", "settle", "coverage")])
        night.set_phase("fuzz", "done", 3.0)
        self.assertEqual(5.0, history.one("SELECT seconds FROM phases WHERE name = 'fuzz'")[0])

    def test_sessions_that_a_rebuilt_history_does_not_know_are_harvested(self):
        folder, history = self.open()
        night = campaign.Campaign.begin(history, folder, "overnight")
        session, work = night.open_session(night.job(("alpha", "afl", "none")))
        KillTest.put(work, "queue", INPUTS)
        KillTest.put(work, "crashes", CRASHES)
        history.write("DELETE FROM sessions WHERE id = ?", session)
        found = []
        recovery.recover(history, folder, found.append)
        self.assertEqual(CRASHES, {suspect.data for suspect in found})
        self.assertEqual(len(INPUTS), len(os.listdir(folder.join("corpus", "alpha"))))
        self.assertEqual([], os.listdir(folder.join("sessions")))

    def test_a_damaged_history_is_rebuilt(self):
        folder, history = self.open()
        night = campaign.Campaign.begin(history, folder, "overnight")
        night.end()
        history.close()
        with open(folder.join("history.db"), "r+b") as f:
            f.write(b"garbage" * 500)
        said = []
        history = campaign.open_history(folder, said.append)
        self.addCleanup(history.close)
        self.assertTrue(said)
        self.assertEqual(night.uuid, campaign.last(history)["uuid"])


class PlanTest(unittest.TestCase):
    def test_every_phase_has_its_time(self):
        plan = phases.Plan(8 * 3600)
        self.assertEqual({}, plan.skipped)
        ends = [plan.until(name) for name in phases.NAMES]
        self.assertEqual(sorted(ends), ends)
        self.assertEqual(8 * 3600, ends[-1])
        self.assertGreater(plan.until("fuzz"), 0.75 * 8 * 3600)

    def test_a_short_campaign_says_what_it_goes_without(self):
        plan = phases.Plan(120)
        self.assertEqual({"coverage", "power", "benchmarks"}, set(plan.skipped))
        self.assertIn("too short", plan.skipped["power"])
        self.assertGreater(plan.until("fuzz"), 100)
        self.assertGreater(phases.Plan(4).until("fuzz"), 3)

    def test_what_is_not_wanted_costs_no_time(self):
        plan = phases.Plan(8 * 3600, phases.OPTIONAL)
        self.assertIn("asked for", plan.skipped["benchmarks"])
        self.assertGreater(plan.until("fuzz"), 0.95 * 8 * 3600)


if __name__ == "__main__":
    unittest.main()
