#!/usr/bin/env python3
"""ci/overnight as people type it, on fake engines: exit codes, phases, signals, kills and resuming."""
import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
import unittest

CI = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(CI))
from ci import fuzz_command_test  # noqa: E402

SHORT = "0.0017"


class OvernightTest(fuzz_command_test.CommandTest):
    def setUp(self):
        super().setUp()
        # Where the home is not writable, it would say so.
        self.environment["MPLCONFIGDIR"] = self.path("matplotlib")

    def command(self, *arguments, command="overnight_command.py"):
        more = ["--prebuilt", self.tree]
        return [sys.executable, os.path.join(CI, command), *arguments, *more] + (
            [] if "--out" in arguments else ["--out", self.path("out")])

    def query(self, sql):
        with contextlib.closing(sqlite3.connect(self.path("out", "history.db"))) as db:
            return db.execute(sql).fetchall()

    def phases(self):
        return dict(self.query("SELECT name, state FROM phases WHERE campaign = "
                               "(SELECT max(id) FROM campaigns)"))

    def one_job(self, *arguments):
        return self.run_it("--strategies", "alpha", "--engines", "libfuzzer", "--jobs", "1",
                           *arguments)

    def begin(self, *arguments, hours="0.1"):
        """Starts a campaign with a job on each of two cores; returns it and the engines."""
        ready = self.path("ready")
        os.makedirs(ready, exist_ok=True)
        for name in os.listdir(ready):
            os.unlink(os.path.join(ready, name))
        if not arguments:
            arguments = ("--hours", hours, "--strategies", "alpha", "--jobs", "2")
        child = subprocess.Popen(
            self.command(*arguments), env=dict(self.environment, FAKE_READY=ready),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(lambda: (child.kill(), child.communicate()))
        end = time.monotonic() + 60
        while len(os.listdir(ready)) < 2 and time.monotonic() < end:
            time.sleep(0.05)
        engines = [int(name) for name in os.listdir(ready)]
        self.assertEqual(2, len(engines))
        return child, engines

    assert_gone = fuzz_command_test.FuzzTest.assert_gone
    alive = staticmethod(fuzz_command_test.FuzzTest.alive)

    # What it says.

    def test_clean(self):
        code, out, err = self.one_job("--hours", SHORT)
        self.assertEqual((0, ""), (code, err))
        self.assertIn("benchmarks: skipped: 0:06 is too short", out)
        self.assertIn("clean: no finding", out)
        phases = self.phases()
        self.assertEqual(("done", "done", "done"),
                         tuple(phases[name] for name in ("replay", "fuzz", "settle")))
        self.assertEqual("skipped", phases["benchmarks"])
        self.assertEqual([("ended", "", "")],
                         self.query("SELECT state, stopped, error FROM campaigns"))
        self.assertEqual(self.report()["executions"],
                         self.query("SELECT sum(executions) FROM sessions")[0][0])
        self.assertFalse(os.path.exists(self.path("out", "tmp")))

    def test_finding(self):
        self.environment["FAKE"] = "crashes"
        code, out, _ = self.one_job("--hours", SHORT)
        self.assertEqual(1, code)
        self.assertIn("alpha: overlap", out)

    def test_could_not_run(self):
        self.environment["FAKE"] = "dies"
        code, out, _ = self.one_job("--hours", SHORT)
        self.assertEqual(2, code)
        self.assertIn("could not run", out)

    def test_nobody_reads_what_it_says(self):
        command = self.command("--hours", SHORT, "--strategies", "alpha", "--engines", "libfuzzer",
                               "--jobs", "1")
        read, write = os.pipe()
        os.close(read)
        for number, streams in enumerate((
                {"stdout": write, "stderr": write},          # such as `| head`, or a closed terminal
                {"preexec_fn": lambda: [os.close(i) for i in range(3)]})):
            self.assertEqual(0, subprocess.run(
                command, env=self.environment, timeout=60, check=False, **streams).returncode)
            self.assertEqual((number + 1, 0), self.query(
                "SELECT count(*), sum(error != '') FROM campaigns WHERE state = 'ended'")[0])
        os.close(write)

    def test_a_mistake_of_its_own_is_no_finding(self):
        for place, reported in (("ci.corpora.replay", True), ("ci.supervisor.Supervisor._look", True),
                                ("reports.results.Results.from_history", False),
                                ("ci.fuzzing_run.files.write_all", False),
                                ("ci.workbench.Workbench.strategies", False)):
            script = "import sys; sys.path.insert(0, %r)\n" \
                     "from ci import overnight_command\n" \
                     "import ci, reports\n" \
                     "def fail(*_, **__): raise ValueError('a joker')\n" \
                     "%s = fail\n" \
                     "sys.exit(overnight_command.main())" % (os.path.dirname(CI), place)
            child = subprocess.run(
                [sys.executable, "-c", script, *self.command("--hours", SHORT, "--jobs", "1",
                                                             "--strategies", "alpha", "--engines",
                                                             "libfuzzer")[2:]],
                env=self.environment, capture_output=True, text=True, timeout=60, check=False)
            with self.subTest(place):
                self.assertEqual(2, child.returncode, child.stdout + child.stderr)
                self.assertIn("in fail", child.stderr)
                self.assertIn("a mistake in Assay: ValueError: a joker",
                              self.report()["error"] if reported else child.stdout + child.stderr)

    def test_bad_options(self):
        self.refused(says="say how long: --hours H, or --resume")
        for hours in ("0", "-1", "nan", "eight", "1e6"):
            self.refused("--hours", hours, says="no number of hours")
        self.refused("--hours", "1", "--strategies", "gamma",
                     says="unknown strategy 'gamma'; there is: alpha beta")
        self.refused("--hours", "1", "--engines", "honggfuzz", says="there is: libfuzzer afl")
        self.refused("--hours", "1", "--sanitizers", "leak", says="there is: address none")
        self.refused("--hours", "1", "--without", "fuzz", says="unknown phase 'fuzz'; there is: mini")
        self.refused("--hours", "1", "--seed", "-1", says="from 0 to")
        self.refused("--hours", "0.0001", says="give at least --hours 0.00")
        self.refused("--resume", "--hours", "1", says="leave --hours out")
        self.refused("--resume", says="has no campaign to resume: start one with --hours")
        err = self.refused("--hours", "1", "--speed", "9", says="see ci/overnight --help")
        self.assertEqual(1, err.count("\n"))

    def test_the_advice_on_hours_is_enough(self):
        _, _, err = self.run_it("--hours", "0.0001", "--jobs", "1")
        least = err.partition("--hours ")[2].partition(",")[0]
        code, _, err = self.run_it("--hours", least, "--jobs", "1")
        self.assertEqual((0, ""), (code, err))

    # Stopped, killed and resumed.

    def test_a_stop_ends_in_a_report_and_can_be_resumed(self):
        before = 0
        for number, runs in ((signal.SIGTERM, ["stopped"]), (signal.SIGINT, ["stopped"] * 2)):
            name = signal.Signals(number).name
            child, engines = self.begin(*(["--resume"] if before else []))
            child.send_signal(number)
            out, err = child.communicate(timeout=60)
            self.assertEqual((0, ""), (child.returncode, err))
            self.assertIn("stopped early by " + name, out)
            self.assertEqual(bool(before), "the sources are others than when it began (old" in out)
            with contextlib.closing(sqlite3.connect(self.path("out", "history.db"))) as db, db:
                db.execute("UPDATE campaigns SET assay = 'old'")
            self.assertIn("minimise: skipped: stopped by " + name, out)
            self.assert_gone(engines)
            self.assertEqual([("stopped", name)],
                             self.query("SELECT state, stopped FROM campaigns"))
            self.assertEqual(runs, [how for how, in self.query("SELECT how FROM runs")])
            after = self.query("SELECT sum(executions) FROM sessions")[0][0]
            self.assertGreater(after, before)
            self.assertEqual(after, self.report()["executions"])
            before = after

    def test_a_second_signal_ends_at_once(self):
        self.environment["FAKE"] = "stubborn"
        child, engines = self.begin()
        child.send_signal(signal.SIGINT)
        time.sleep(0.5)
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=60)
        self.assertEqual(2, child.returncode)
        self.assertIn("--resume goes on with it", err)
        for engine in engines:       # they ignore what their supervisor's death sends them
            os.kill(engine, signal.SIGKILL)

    def test_a_killed_campaign_goes_on(self):
        child, engines = self.begin(hours="0.015")
        self.refused("--hours", "1", says="in use by process %d" % child.pid)
        child.kill()
        child.communicate()
        self.assert_gone(engines)
        self.assertEqual({("running",)}, set(self.query(
            "SELECT state FROM sessions JOIN jobs ON jobs.id = job WHERE engine != 'corpus'")))
        child, engines = self.begin("--resume")
        child.kill()
        child.communicate()
        self.assert_gone(engines)
        code, _, err = self.run_it("--resume")
        self.assertEqual((0, ""), (code, err))
        self.assertEqual([("killed",), ("killed",), ("ended",)],
                         self.query("SELECT how FROM runs ORDER BY id"))
        self.assertEqual([(4,)], self.query("SELECT count(*) FROM sessions WHERE state = 'lost'"))
        self.assertEqual([], self.query("SELECT * FROM sessions WHERE state = 'running'"))
        self.assertEqual([], os.listdir(self.path("out", "sessions")))
        self.refused("--resume", says="came to its end: start another with --hours")

    def test_a_killed_campaign_that_is_not_resumed(self):
        child, _ = self.begin()
        child.kill()
        child.communicate()
        code, out, err = self.one_job("--hours", SHORT)
        self.assertEqual((0, ""), (code, err))
        self.assertIn("was cut off; what it had found is kept", out)
        self.assertEqual([("stopped", "killed"), ("ended", "")],
                         self.query("SELECT state, stopped FROM campaigns ORDER BY id"))
        self.assertEqual([], self.query("SELECT * FROM sessions WHERE state = 'running'"))

    def test_stragglers_of_a_killed_campaign_are_ended(self):
        self.environment["FAKE"] = "stubborn"
        child, engines = self.begin(hours="0.004")
        child.kill()
        child.communicate()
        self.assertTrue(all(map(self.alive, engines)))
        self.environment["FAKE"] = "clean"
        # On a slow machine what is left of the time may be too short for a job: that is no matter here.
        _, _, err = self.run_it("--resume")
        self.assertEqual("", err)
        self.assert_gone(engines)
        self.assertEqual([("killed",), ("ended",)], self.query("SELECT how FROM runs ORDER BY id"))


if __name__ == "__main__":
    unittest.main()
