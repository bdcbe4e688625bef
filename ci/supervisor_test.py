#!/usr/bin/env python3
"""Engines that crash, hang, flood, die and lie: nothing is lost, and nothing is called clean."""
import json
import os
import sys
import tempfile
import time
import unittest
from unittest import mock

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from ci import campaign, corpora, corpus_folder, detective, engine_kinds, engine_session  # noqa: E402
from ci import fakes  # noqa: E402
from ci import judge, live, process, quotas, run_folder, shares, supervisor  # noqa: E402
from reports import results  # noqa: E402


class Quiet:
    """A status line that nobody reads."""

    def __init__(self):
        self.lines = []
        self.shown = []

    def due(self):
        return True

    def show(self, now):
        self.shown.append(now)

    def last(self, now):
        self.shown.append(now)

    def say(self, line):
        self.lines.append(line)


class SupervisorTest(unittest.TestCase):
    def setUp(self):
        self._temporary = tempfile.TemporaryDirectory()
        self.addCleanup(self._temporary.cleanup)
        self.tree = fakes.build_tree(os.path.join(self._temporary.name, "tree"))
        self.out = os.path.join(self._temporary.name, "out")
        path = os.environ["PATH"]
        os.environ["PATH"] = os.path.join(self.tree, "bin") + ":" + path
        self.addCleanup(os.environ.__setitem__, "PATH", path)

    def fuzz(self, what, engine="libfuzzer", seconds=1.3, replay=False, stop=None, seeds=(),
             limits=None, policy=None):
        """Runs one engine on alpha; returns its job, the findings and the detective."""
        folder = run_folder.RunFolder(self.out)
        self.addCleanup(folder.release)
        job = results.Job("alpha", engine)
        assay = judge.Judge({name: os.path.join(self.tree, name + ".elf")
                             for name in (judge.PLAIN, judge.ASAN)})
        environments = {"alpha": {"FAKE": what}}
        self.status = Quiet()
        key = "alpha", engine, "none"
        history = campaign.open_history(folder)
        self.addCleanup(history.close)
        night = campaign.Campaign.begin(history, folder, "fuzz")
        sleuth = detective.Detective(assay, night, environments)
        stored = corpora.Corpora(folder, ["alpha"], lambda strategy: seeds)
        chief = self.chief = supervisor.Supervisor(
            night, {key: job}, {key: os.path.join(self.tree, "fuzz", "alpha_%s.elf" % engine)},
            stored, sleuth, self.status, environments=environments,
            stop=stop or (lambda: 0), limits=limits)
        self.replayed = corpora.replay(night, stored, sleuth, assay) if replay else []
        chief.run(policy(key) if policy else shares.Fixed(
            [[shares.Slice(key, 0, seconds)]], seconds), 1, seconds)
        sleuth.finish()
        night.end()
        self.check_accounts(night, key, job)
        folder.release()
        for finding in sleuth.findings:
            if finding.inputs.get(engine):
                job.findings.append(finding.name)
        self.assertEqual([], sleuth.problems)
        return job, {finding.property: finding for finding in sleuth.findings}, sleuth

    def check_accounts(self, night, key, job):
        """The history says what the supervisor does, and nothing in it is still open."""
        total = night.totals()[key]
        self.assertEqual(
            (job.executions, job.coverage, job.crashes, job.problem, job.note),
            tuple(total[name] for name in (
                "executions", "coverage", "crashes", "problem", "note")))
        self.assertEqual([], night.history.query("SELECT * FROM sessions WHERE state = 'running'"))
        self.assertEqual([], os.listdir(os.path.join(self.out, "sessions")))

    def test_a_clean_engine_is_clean_on_libfuzzer(self):
        job, findings, _ = self.fuzz("clean")
        self.assertEqual(({}, "clean", 100, 7), (findings, job.verdict, job.executions,
                                                job.coverage))

    def test_a_clean_engine_is_clean_on_afl(self):
        job, findings, _ = self.fuzz("clean", "afl")
        self.assertEqual(({}, "clean", 100, 12), (findings, job.verdict, job.executions,
                                                 job.coverage))

    def test_an_engine_that_executed_nothing_could_not_run(self):
        for engine in engine_kinds.ENGINES:
            job, _, _ = self.fuzz("idle", engine)
            self.assertEqual("could not run", job.verdict)

    def test_a_shallow_bug_is_one_finding_and_does_not_spin(self):
        started = time.monotonic()
        job, findings, _ = self.fuzz("crash", seconds=60)
        self.assertLess(time.monotonic() - started, 50)
        self.assertEqual(["overlap"], list(findings))
        # Some sessions more than the cap: those that ended while the first was being judged.
        self.assertIn(job.crashes, range(supervisor.CAP, 2 * supervisor.CAP))
        # They all are the same input.
        self.assertEqual({"libfuzzer": 1}, findings["overlap"].inputs)
        self.assertEqual(10 * job.crashes, job.executions)
        self.assertIn("stored already", job.note)

    def test_a_job_that_goes_in_circles_rests_and_is_tried_again(self):
        rests = []

        class Patient(shares.Fixed):
            def __init__(self, key):
                super().__init__([[]], 8)
                self._key = key

            def next(self, now, _running, core):
                return self._key, 8

            def rest(self, key, until):
                rests.append(until - time.monotonic())
                return True

        with mock.patch.multiple(supervisor, CAP=4, _AGAIN=1):
            job, _, _ = self.fuzz("crash", seconds=8, policy=Patient)
        self.assertGreater(len(rests), 1)
        self.assertGreater(rests[1], 1.5 * rests[0])
        self.assertGreater(job.crashes, len(rests))
        self.assertIn("rests", job.note)
        self.assertEqual("", job.problem)

    def check_stored(self, findings):
        with open(findings["overlap"].path, "rb") as f:
            data = f.read()
        self.assertEqual(b"bug overlap 11111111", data)
        name = "overlap-11111111-" + corpus_folder.sha1(data)
        self.assertEqual(name, findings["overlap"].name)
        self.assertEqual(
            {name} | {name + end for end in (".json", ".txt", ".c", ".svg", ".md")},
            {other for other in os.listdir(os.path.dirname(findings["overlap"].path))
             if other.startswith("overlap-11111111")})
        self.assertTrue(findings["invariant:alpha.I3"].name.startswith("invariant-alpha.I3-2222"))
        self.assertEqual(("assay_asan", "assay"), (findings["touched-live-block"].build,
                                                   findings["overlap"].build))

    def test_the_live_status_credits_the_job_that_found(self):
        self.fuzz("crashes")
        last = live.document(self.chief.snapshot())
        self.assertEqual(last, json.loads(json.dumps(last)))
        self.assertEqual((last["findings"].get("new"), last["jobs"][0]["findings"]), (4, 4))

    def test_the_live_status_ends_with_what_the_history_says(self):
        for engine in engine_kinds.ENGINES:
            with self.subTest(engine):
                self.out = os.path.join(self._temporary.name, engine)
                job, _, _ = self.fuzz("clean", engine)
                last = live.document(self.status.shown[-1])
                self.assertEqual(job.executions, last["executions"])
                self.assertEqual(0, last["rate"])

    def test_each_identity_is_stored_once(self):
        for engine in engine_kinds.ENGINES:
            with self.subTest(engine):
                self.out = os.path.join(self._temporary.name, engine)
                job, findings, sleuth = self.fuzz("crashes", engine)
                self.assertEqual("finding", job.verdict)
                # The second `overlap` would slip to `content` if it were minimised.
                self.assertEqual({"overlap", "invariant:alpha.I3", "touched-live-block"},
                                 set(findings))
                self.assertEqual(4, len(sleuth.findings))
                self.check_stored({finding.property: finding for finding in sleuth.findings
                                   if finding.signature != "44444444"})

    def test_an_earlier_run_s_finding_is_known(self):
        self.fuzz("crash", seconds=1.2)
        _, findings, _ = self.fuzz("crash", seconds=1.2)
        self.assertTrue(findings["overlap"].known)
        folder = os.path.dirname(findings["overlap"].path)
        self.assertEqual(1, sum(name.endswith(".json") for name in os.listdir(folder)))

    def test_what_replays_clean_is_flaky_not_lost(self):
        job, findings, _ = self.fuzz("flaky", seconds=1.2)
        finding = findings["content"]
        self.assertTrue(finding.flaky)
        self.assertEqual("finding", job.verdict)
        with open(finding.path + ".log", encoding="utf-8") as f:
            self.assertIn("ASSERTION FAILED: content", f.read())

    def test_hangs_and_memory_are_findings(self):
        for engine in engine_kinds.ENGINES:
            _, findings, _ = self.fuzz("timeout", engine, seconds=1.2)
            self.assertIn("hang", findings)
        _, findings, _ = self.fuzz("oom", seconds=1.2)
        self.assertIn("out-of-memory", findings)

    def test_an_exit_code_that_hides_a_violation(self):
        job, findings, _ = self.fuzz("swallowed")
        self.assertIn("bounds", findings)
        self.assertEqual("finding", job.verdict)

    def test_garbage_is_survived_and_bounded(self):
        job, findings, _ = self.fuzz("garbage")
        self.assertEqual(({}, 5), (findings, job.executions))
        log = os.path.join(self.out, "logs", "alpha-libfuzzer-none.log")
        self.assertLessEqual(os.path.getsize(log), 3 * process.TAIL)

    def test_numbers_that_cannot_be_are_not_believed(self):
        """SQLite could not store them, nor anybody add them up."""
        path = os.path.join(self._temporary.name, "counters")
        for engine, wild in zip(engine_kinds.ENGINES, (1 << 63, 0x7f12_3456_7890)):
            fakes.write_counters(path, 5, exercised={"overlap": wild})
            with open(path, "rb") as f:
                os.environ["FAKE_COUNTERS"] = f.read().hex()
            self.addCleanup(os.environ.pop, "FAKE_COUNTERS", None)
            self.out = os.path.join(self._temporary.name, engine)
            job, findings, _ = self.fuzz("boasts", engine, seconds=1.5)
            self.assertEqual(["overlap"], list(findings))
            self.assertEqual(5 * (job.restarts + 1), job.executions)

    def test_an_engine_that_dies_could_not_run(self):
        job, _, _ = self.fuzz("dies", seconds=9)
        self.assertEqual("could not run", job.verdict)
        self.assertIn("exit code 3", job.problem)
        self.assertIn("no such thing", job.problem)
        job, _, _ = self.fuzz("dies", "afl", seconds=9)
        self.assertEqual("could not run", job.verdict)

    def test_an_engine_that_is_killed_again_and_again_could_not_run(self):
        job, _, _ = self.fuzz("killed", seconds=9)
        self.assertEqual(("could not run", 2), (job.verdict, job.restarts))
        self.assertIn("signal 9", job.problem)

    def test_an_engine_that_dies_each_time_but_not_at_once_could_not_run(self):
        before, supervisor._OF_USE = supervisor._OF_USE, 0.0  # pylint: disable=protected-access
        self.addCleanup(setattr, supervisor, "_OF_USE", before)
        job, findings, _ = self.fuzz("killed", seconds=3)
        self.assertEqual({}, findings)
        self.assertGreater(job.executions, 0)
        self.assertEqual("could not run", job.verdict)
        self.assertRegex(job.problem, "sessions? died, without a finding")

    def test_a_missing_program_could_not_run(self):
        os.unlink(os.path.join(self.tree, "fuzz", "alpha_libfuzzer.elf"))
        job, _, _ = self.fuzz("clean", seconds=5)
        self.assertEqual("could not run", job.verdict)

    def test_an_engine_that_does_not_end_is_killed(self):
        limits = engine_session.GRACE_TO_END, engine_session.GRACE_TO_OBEY
        engine_session.GRACE_TO_END, engine_session.GRACE_TO_OBEY = 0.3, 0.3
        try:
            started = time.monotonic()
            self.fuzz("stubborn", seconds=1.2)
        finally:
            engine_session.GRACE_TO_END, engine_session.GRACE_TO_OBEY = limits
        self.assertLess(time.monotonic() - started, 30)

    def test_what_a_target_forks_ends_with_it(self):
        for engine in engine_kinds.ENGINES:
            ready = os.environ["FAKE_READY"] = tempfile.mkdtemp(dir=self._temporary.name)
            self.addCleanup(os.environ.pop, "FAKE_READY", None)
            job, _, _ = self.fuzz("forks", engine)
            self.assertEqual("clean", job.verdict)
            children = [int(name) for name in os.listdir(ready)]
            self.assertEqual(3, len(children))
            entries = process.table()
            self.assertEqual([], [pid for pid in children
                                  if pid in entries and entries[pid].state != "Z"])

    def test_a_target_that_leaks_is_stopped_and_told(self):
        job, _, _ = self.fuzz("leaks", "afl", seconds=30, limits=quotas.Limits(
            free=quotas.MIB, process=256 * quotas.MIB), stop=self.noted)
        self.assertIn("a session was stopped: a process of it held", job.note)

    def noted(self):
        """A session has been stopped by a quota, and is gone."""
        return any("was stopped" in line for line in self.status.lines if isinstance(line, str))

    def test_a_stop_ends_the_engines(self):
        def runs():
            return any(shown.executions == 100 for shown in self.status.shown)
        started = time.monotonic()
        job, _, _ = self.fuzz("clean", "afl", seconds=60, stop=runs)
        self.assertLess(time.monotonic() - started, 30)
        self.assertEqual(40, job.executions)

    def test_afl_s_inputs_come_into_the_corpus(self):
        self.fuzz("keeps", "afl")
        self.assertIn(corpus_folder.sha1(b"new input"),
                      os.listdir(os.path.join(self.out, "corpus", "alpha")))

    def test_the_corpus_is_replayed_and_cleaned(self):
        seeds = os.path.join(self._temporary.name, "seeds", "deep")
        os.makedirs(seeds)
        for name, data in (("good", b"fine"), ("bad", b"bug reset 55555555 x")):
            with open(os.path.join(seeds, name), "wb") as f:
                f.write(data)
        job, findings, _ = self.fuzz("clean", replay=True, seeds=[os.path.dirname(seeds)])
        self.assertEqual(2, self.replayed[0].executions)
        self.assertEqual({"corpus": 1}, findings["reset"].inputs)
        self.assertEqual([corpus_folder.sha1(b"fine")],
                         os.listdir(os.path.join(self.out, "corpus", "alpha")))


class SharesTest(unittest.TestCase):
    def check(self, jobs, cores, seconds):
        share, slots = shares.plan(list(range(jobs)), cores, seconds)
        self.assertEqual(cores, len(slots))
        self.assertAlmostEqual(share * jobs, seconds * cores, places=6)
        got = {}
        for slot in slots:
            self.assertLessEqual(sum(part.seconds for part in slot), seconds + 1e-6)
            for part in slot:
                got[part.job] = got.get(part.job, 0) + part.seconds
        for job in range(jobs):
            # A sliver may be left out at each core's end.
            self.assertAlmostEqual(got[job], share, delta=2 * shares.SHORTEST_SLICE)

    def test_every_job_gets_its_share(self):
        for jobs in (1, 2, 3, 5, 8, 40):
            for cores in (1, 2, 3, 4, 7, 64):
                with self.subTest(jobs=jobs, cores=cores):
                    self.check(jobs, cores, 600.0)

    def test_too_short_says_what_would_do(self):
        with self.assertRaises(shares.TooShort) as caught:
            shares.plan(list(range(60)), 2, 30)
        shares.plan(list(range(60)), 2, caught.exception.minutes * 60)


class ShortCommands(unittest.TestCase):
    """What process.run() promises."""

    def left(self):
        time.sleep(0.1)
        return [pid for pid, entry in process.table().items() if entry.parent in (1, os.getpid())
                and entry.state != "Z" and b"sleep\x00599" in self.command_of(pid)]

    @staticmethod
    def command_of(pid):
        try:
            with open("/proc/%d/cmdline" % pid, "rb") as f:
                return f.read()
        except OSError:
            return b""

    def test_what_a_command_leaves_behind_holds_up_nobody(self):
        before = self.left()
        for command, seconds, code in (("setsid sleep 599 & exit 3", 300, 3),
                                       ("setsid sleep 599 & sleep 598", 1, None)):
            begin = time.monotonic()
            self.assertEqual((code, "said\n", ""), process.run(
                ["sh", "-c", "echo said; " + command], seconds=seconds))
            self.assertLess(time.monotonic() - begin, 100)
        self.assertEqual([], sorted(set(self.left()) - set(before)))

    def test_it_ends_when_it_is_told_to(self):
        begin = time.monotonic()
        self.assertEqual((None, "", ""), process.run(["sleep", "598"], stop=lambda: True))
        self.assertLess(time.monotonic() - begin, 100)


if __name__ == "__main__":
    unittest.main()
