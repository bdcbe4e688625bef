#!/usr/bin/env python3
"""What becomes of suspects: each identity once, whatever is killed, repeated, flaky, known or fixed."""
import collections
import datetime
import os
import shutil
import sys
import tempfile
import threading
import time
import unittest
from unittest import mock

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from ci import campaign, detective, judge, known_findings, run_folder, suspects  # noqa: E402
from ci.engine_session import Suspect  # noqa: E402
from reports import files, results  # noqa: E402
from reports.history import History  # noqa: E402


class FakeJudge(judge.Judge):
    """Judges without processes. The bytes say what they show: `bug PROPERTY SIGNATURE...`; `asan ...`
    only in that build; `rare ...` in every other replay, first in the first; `late ...` not in the
    first; `slips A B` shows overlap A, and when it is minimised overlap B."""

    def __init__(self):
        super().__init__({})
        self.processes = collections.Counter()
        self.mended = set()      # signatures
        self.seen = collections.Counter()

    def _run(self, build, strategy, paths, seconds=0, stop=None):
        self.processes["run"] += 1
        return 0, {path: self._look(build, path) for path in paths}, ""

    def _look(self, build, path):
        with open(path, "rb") as f:
            data = f.read()
        words = data.decode(errors="replace").split()
        self.seen[data] += 1
        kind = words[0] if words else ""
        if kind == "slips":
            words = ["bug", "overlap", words[1]]
        elif not (kind == "bug" or kind == "asan" and build == judge.ASAN or
                  kind == "rare" and self.seen[data] % 2 or
                  kind == "late" and self.seen[data] > 2):
            return None
        if words[2] in self.mended:
            return None
        return judge.Verdict(words[1], words[2], "operation 1: <diagnosis>", "here", 0, len(words),
                             build)

    def minimise(self, strategy, path, verdict, output, seconds):
        self.processes["minimise"] += 1
        with open(path, "rb") as f:
            words = f.read().split()
        if words[0] == b"slips":
            words = [b"bug", b"overlap", words[2]]
        with open(output, "wb") as f:
            f.write(b" ".join(words[:3]))
        self.processes["run"] -= 1
        return self._run(verdict.build, strategy, [output])[1][output]

    def text_form(self, strategy, path, verdict, folder):
        return "the text\n"

    def c_form(self, strategy, path, verdict):
        return "int main(void);\n"

    def symbolised(self, build, strategy, path):
        return "#0 0x1 in alpha_release /tree/allocators/tlsf.c:12:3 (/x+0x1)\n"

    def story(self, strategy, path, build):
        return {"property_text": "a property", "replays": {"runs": 5, "same": 5}}

    def explanation(self, strategy, path, build):
        return "file\n\nan explanation\n"


def suspect(text, engine="libfuzzer", **more):
    return Suspect("alpha", engine, more.pop("kind", "crash"), text.encode(), "/no/such/program",
                   sanitizer="none", **more)


class Nights(unittest.TestCase):
    """What the tests share: campaigns in one folder."""

    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = os.path.join(temporary.name, "out")
        self.assay = FakeJudge()
        self.told = []
        # None is the test's business, and all are slow.
        for name in ("ci.workbench.source_version", "ci.provenance.source_hash", "os.fsync"):
            patch = mock.patch(name, return_value="0")
            patch.start()
            self.addCleanup(patch.stop)
        patch = mock.patch("ci.campaign.open_history", self.open_history)
        patch.start()
        self.addCleanup(patch.stop)

    @staticmethod
    def open_history(folder):
        """Safe from kills, not from power cuts."""
        history = History(folder.join("history.db"))
        history.write("PRAGMA synchronous = OFF")
        return history

    def work(self, *given, resume=False, known=None, stored=False, later=()):
        """A campaign in which these suspects are reported; returns {(property, signature): Finding}
        as the history has it, and checks that this is what the detective says."""
        folder = run_folder.RunFolder(self.folder)
        history = campaign.open_history(folder)
        try:
            if resume:
                night = campaign.Campaign.resume(history, folder, campaign.last(history))
            else:
                night = campaign.Campaign.begin(history, folder, "fuzz")
            sleuth = detective.Detective(self.assay, night, {}, self.told.append, known)
            if stored:
                sleuth.replay_stored(["alpha"])
            for some in (given, later):
                for one in some:
                    one.job = night.job(("alpha", one.engine, "none"))
                    sleuth.report(one)
                sleuth.finish()
            self.assertEqual((None, [], 0), (sleuth.error, sleuth.problems, sleuth.waiting))
            night.end()
            found = results.Results.from_history(history, night.id, self.folder).findings
            self.assertEqual(
                {(f.name, f.status, f.reason, str(f.replays), str(f.inputs)) for f in found},
                {(f.name, f.status, f.reason, str(f.replays), str(f.inputs))
                 for f in sleuth.findings})
            return {(finding.property, finding.signature): finding for finding in found}
        finally:
            history.close()
            folder.release()

    def stored(self):
        """The names of findings' programs in the folder, after a check of what lies beside them."""
        folder = os.path.join(self.folder, "findings", "alpha")
        names = set(os.listdir(folder)) if os.path.isdir(folder) else set()
        programs = {name for name in names if name[-41] == "-" and "." not in name[-40:]}
        for name in names - programs:
            self.assertIn(os.path.splitext(name)[0], programs)
        for name in programs:
            self.assertIn(name + ".json", names)
        return programs


class DetectiveTest(Nights):
    def test_confirmed_minimised_and_stored(self):
        finding = self.work(suspect("bug overlap 11111111 and much more", executions=7))[
            "overlap", "11111111"]
        self.assertEqual(
            ("new", False, {"runs": 5, "same": 5}, "libfuzzer", 7, 3, {"libfuzzer": 1}),
            (finding.status, finding.flaky, finding.replays, finding.engine, finding.executions,
             finding.operations, finding.inputs))
        with open(finding.path, "rb") as f:
            self.assertEqual(b"bug overlap 11111111", f.read())
        self.assertEqual(("allocators/tlsf.c", 12, "alpha_release"),
                         (finding.file, finding.line, finding.function))
        self.assertIn("a sanitizer stopped it; in alpha_release", finding.guilty)
        self.assertEqual(("the text\n", "int main(void);\n", "an explanation\n"),
                         (finding.text, finding.c_program, finding.explanation))
        self.assertEqual({finding.name}, self.stored())
        self.assertEqual([finding.name], [told.name for told in self.told])

    def test_what_comes_after_the_fuzzing_counts_too(self):
        found = self.work(suspect("bug overlap 11111111"), later=[suspect("bug content 22222222")])
        self.assertEqual({"overlap", "content"}, {name for name, _ in found})

    def test_what_there_is_no_time_for_waits_for_the_next_night(self):
        folder = run_folder.RunFolder(self.folder)
        history = campaign.open_history(folder)
        night = campaign.Campaign.begin(history, folder, "fuzz")
        sleuth = detective.Detective(self.assay, night, {}, self.told.append)
        with sleuth._lock:       # it can begin nothing before it is told to end
            for text in ("bug overlap 11111111 x", "bug content 22222222 x", "clean"):
                sleuth.report(suspect(text))
            ends = threading.Thread(target=sleuth.finish, args=(0,))
            ends.start()
            while not sleuth._late:
                time.sleep(0.001)
        ends.join()
        self.assertEqual((3, []), (sleuth.waiting, sleuth.findings))
        sleuth = detective.Detective(self.assay, night, {}, self.told.append)
        sleuth.finish()
        self.assertEqual((0, 3), (sleuth.waiting, len(sleuth.findings)))
        history.close()
        folder.release()

    def test_each_build_is_asked(self):
        found = self.work(suspect("asan touched-live-block 33333333"), suspect("bug x 1111111f"))
        self.assertEqual({judge.ASAN}, {finding.build for finding in found.values()})

    def test_what_no_replay_shows_is_flaky(self):
        found = self.work(
            suspect("fine", property="content", diagnosis="at 0x12", log="the log"),
            suspect("fine too", property="content", diagnosis="at 0x99"),
            suspect("slow", kind="hang"), Suspect("alpha", "afl", "out-of-memory", None, ""))
        self.assertEqual({"content", "hang", "out-of-memory"}, {key[0] for key in found})
        for (property_id, _), finding in found.items():
            self.assertEqual(("flaky", 0), (finding.status, finding.replays.get("same", 0)))
            self.assertTrue(os.path.exists(finding.path + ".log"))
            self.assertEqual(2 if property_id == "content" else 1,
                             sum(finding.inputs.values()), property_id)

    def test_flaky_ones_do_not_cost_replays_each(self):
        found = self.work(*(suspect("fine %d" % number, engine="afl") for number in range(50)))
        self.assertEqual([{"afl": 50}], [finding.inputs for finding in found.values()])
        # The first costs some; of the others only batches are judged.
        self.assertLess(self.assay.processes["run"], 40)

    def test_some_replays_are_flaky_all_are_not(self):
        found = self.work(suspect("rare overlap 22222222 x"), suspect("late content 33333333"))
        rare, late = found["overlap", "22222222"], found["content", "33333333"]
        self.assertEqual(("flaky", {"runs": 5, "same": 2}), (rare.status, rare.replays))
        self.assertEqual(("new", {"runs": 5, "same": 5}), (late.status, late.replays))
        # An input that shows it each time takes its place.
        rare = self.work(suspect("bug overlap 22222222"), resume=True)["overlap", "22222222"]
        self.assertEqual(("new", 2), (rare.status, sum(rare.inputs.values())))
        self.assertEqual({rare.name, late.name}, self.stored())

    def test_minimising_may_lead_to_what_is_known(self):
        found = self.work(suspect("slips 44444444 55555555"))
        self.assertEqual({("overlap", "55555555")}, set(found))
        self.work(suspect("bug overlap 55555555"), suspect("slips 44444444 55555555 again"),
                  resume=True)
        self.assertEqual(1, self.assay.processes["minimise"])
        found = self.work(suspect("slips 44444444 55555555 yet again"))
        self.assertEqual((1, {("overlap", "55555555")}),
                         (self.assay.processes["minimise"], set(found)))

    def test_known_until_it_expires(self):
        today = datetime.date.today()
        for expires, status, reason in (
                (today + datetime.timedelta(9), "known", "accepted"), (today, "known", "accepted"),
                (today - datetime.timedelta(9), "new", "")):
            known = known_findings.Known([known_findings.Entry(
                "alpha", "overlap", "11111111", "accepted", expires)])
            finding = self.work(suspect("bug overlap 11111111"), known=known, stored=True)[
                "overlap", "11111111"]
            self.assertEqual((status, reason, expires.isoformat() if reason else ""),
                             (finding.status, finding.reason, finding.expires))

    def test_earlier_findings_are_there_still_or_fixed(self):
        self.work(suspect("bug overlap 11111111"), suspect("bug content 22222222"),
                  suspect("rare walk 33333333"), suspect("word", property="bounds"))
        self.assay.mended.add("22222222")
        self.told.clear()
        found = self.work(stored=True)
        self.assertEqual({"overlap": "new", "content": "fixed", "walk": "flaky"},
                         {key[0]: finding.status for key, finding in found.items()})
        self.assertEqual({None}, {finding.seconds for finding in found.values()})
        self.assertEqual("its program is clean now", found["content", "22222222"].reason)
        # That is news once; and a night that goes on does not replay again.
        self.work(stored=True, resume=True)
        self.assertEqual(3, len(self.told))
        self.assertNotIn(("content", "22222222"), self.work(stored=True))
        self.assay.mended.clear()
        self.assertEqual("new", self.work(stored=True)["content", "22222222"].status)

    def test_an_entry_for_what_is_fixed_is_told(self):
        entry = known_findings.Entry("alpha", "overlap", "11111111", "accepted",
                                     datetime.date.today() + datetime.timedelta(9))
        known = known_findings.Known([entry], "known.toml")
        self.work(suspect("bug overlap 11111111"), known=known)
        self.assertEqual([], list(known.complaints()))
        self.assay.mended.add("11111111")
        known = known_findings.Known([entry], "known.toml")
        found = self.work(stored=True, known=known)
        self.assertEqual("fixed", found["overlap", "11111111"].status)
        self.assertIn("remove the entry", "".join(known.complaints()))

    def test_a_fixed_one_that_another_input_shows_is_stored_anew(self):
        before = self.work(suspect("slips 11111111 22222222"))["overlap", "22222222"]
        with open(before.path, "wb") as f:
            f.write(b"mended")
        self.assertEqual("fixed", self.work(stored=True)["overlap", "22222222"].status)
        after = self.work(suspect("bug overlap 22222222"), resume=True)["overlap", "22222222"]
        self.assertEqual(("new", before.since), (after.status, after.since))
        self.assertEqual({after.name}, self.stored())
        # Also if nobody replayed it.
        with open(after.path, "wb") as f:
            f.write(b"mended again")
        after = self.work(suspect("bug overlap 22222222 "))["overlap", "22222222"]
        with open(after.path, "rb") as f:
            self.assertEqual(b"bug overlap 22222222", f.read())

    def test_a_program_that_fails_otherwise_now_is_another_finding(self):
        before = self.work(suspect("bug overlap 11111111"))["overlap", "11111111"]
        with open(before.path, "wb") as f:
            f.write(b"bug content 22222222")
        found = self.work(stored=True)
        self.assertEqual({("overlap", "11111111"): "fixed", ("content", "22222222"): "new"},
                         {key: finding.status for key, finding in found.items()})
        self.assertEqual("its program shows content 22222222 now",
                         found["overlap", "11111111"].reason)

    def test_an_input_counts_once(self):
        for _ in range(2):
            found = self.work(suspect("bug overlap 11111111 x"), suspect("bug overlap 11111111"),
                              suspect("bug overlap 11111111 x", engine="afl"),
                              resume=os.path.exists(self.folder))
        self.assertEqual(2, sum(found["overlap", "11111111"].inputs.values()))

    def test_what_takes_too_long_waits_for_the_next_run(self):
        def look(build, path):
            with open(path, "rb") as f:
                if f.read() != b"endless":
                    return FakeJudge._look(self.assay, build, path)
            end = time.monotonic() + 60
            while time.monotonic() < end and not self.assay.stop():
                time.sleep(0.01)
            raise judge.Stopped

        folder = run_folder.RunFolder(self.folder)
        self.addCleanup(folder.release)
        history = campaign.open_history(folder)
        self.addCleanup(history.close)
        night = campaign.Campaign.begin(history, folder, "fuzz")
        begin = time.monotonic()
        with mock.patch.object(self.assay, "_look", look), mock.patch.object(detective, "_GRACE", 1):
            sleuth = detective.Detective(self.assay, night, {}, self.told.append)
            for text in ("bug overlap 11111111", "endless", "bug overlap 22222222"):
                sleuth.report(suspect(text))
            sleuth.finish(2)
        self.assertLess(time.monotonic() - begin, 30)
        self.assertEqual(None, sleuth.error)
        self.assertTrue(sleuth.waiting)
        with history.transaction():
            history.write("UPDATE campaigns SET state = 'stopped'")
        sleuth = detective.Detective(self.assay, night, {}, self.told.append)
        sleuth.finish()
        self.assertEqual(0, sleuth.waiting)
        self.assertEqual({"11111111", "22222222"}, {finding.signature for finding in sleuth.findings}
                         & {"11111111", "22222222"})

    def test_a_replay_ends_when_it_is_told_to(self):
        program = os.path.join(self.folder, "assay")
        os.makedirs(self.folder)
        with open(program, "w", encoding="utf-8") as f:
            f.write("""#!/bin/sh
echo '{"file": "1", "verdict": "hang", "signature": "1", "diagnosis": "", "operation": 0,' \\
    '"operations": 1}'
exec sleep 60
""")
        os.chmod(program, 0o755)
        begin = time.monotonic()
        judged = list(judge.Judge({judge.PLAIN: program}).failing(
            "alpha", ["1", "2"], lambda: time.monotonic() > begin + 2))
        self.assertEqual([("1", True), (1, None)], judged)
        self.assertLess(time.monotonic() - begin, 30)

    def test_ten_thousand_suspects_of_five_identities(self):
        given = [suspect("slips 0000000%d 00000004 %d" % (5 + number % 3, number)
                         if number % 9 == 4 else "bug overlap %08x %d" % (number % 5, number),
                         engine="afl") for number in range(10000)]
        self.work(given.pop())
        queue = suspects.Queue(os.path.join(self.folder, "suspects"))
        for one in given:
            one.job = 1
            queue.put(one)
        found = self.work(resume=True)
        self.assertEqual({"%08x" % number for number in range(5)}, {key[1] for key in found})
        history = History(os.path.join(self.folder, "history.db"))
        self.addCleanup(history.close)
        self.assertEqual(10000, history.one("SELECT count(*) AS n FROM sightings")["n"])
        # 5 identities, and three more that minimising leads to one.
        self.assertLessEqual(self.assay.processes["minimise"], 9)
        # Batches, and what each identity costs.
        self.assertLess(self.assay.processes["run"], 2 * 10000 / detective._BATCH + 9 * 12)

    def test_a_full_disk_is_told_and_nothing_is_lost(self):
        whole = files.write_whole

        def full(path, data):
            if "findings" in path:
                raise OSError(28, "No space left on device", path)
            whole(path, data)
        with mock.patch("reports.files.write_whole", full), self.assertRaises(AssertionError):
            self.work(suspect("bug overlap 11111111"))
        self.assertEqual("new", self.work(resume=True)["overlap", "11111111"].status)
        self.assertEqual(1, len(self.stored()))

    def test_a_mistake_of_ours_does_not_pass_for_clean(self):
        with mock.patch.object(self.assay, "c_form", side_effect=KeyError("x")):
            with self.assertRaises(AssertionError) as caught:
                self.work(suspect("bug overlap 11111111"))
        self.assertIn("KeyError", str(caught.exception))


class KillTest(Nights):
    """The process dies at each step in turn; the next one goes on."""

    # What changes files or the history, and what takes long.
    STEPS = (("reports.files", "write_whole"), ("os", "unlink"), ("os", "replace"),
             ("reports.history.History", "transaction"), ("ci.judge.Judge", "replays"))

    def die_at(self, step):
        """In a child: everything, but it ends before (odd) or behind (even) a step. True if it got
        to its end."""
        child = os.fork()
        if child:
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        left = [step]

        def count():
            left[0] -= 1
            if left[0] == 0:
                os._exit(9)

        class Counted:
            """Around a context manager's end."""
            def __init__(self, inner):
                self.inner = inner

            def __enter__(self):
                return self.inner.__enter__()

            def __exit__(self, *error):
                count()
                result = self.inner.__exit__(*error)
                count()
                return result

        def counting(function, name):
            def counted(*arguments, **options):
                if name == "transaction":
                    return Counted(function(*arguments, **options))
                count()
                result = function(*arguments, **options)
                count()
                return result
            return counted
        try:
            for place, name in self.STEPS:
                module, _, cls = place.rpartition(".")
                owner = getattr(sys.modules[module], cls) if cls[:1].isupper() else sys.modules[
                    place]
                setattr(owner, name, counting(getattr(owner, name), name))
            self.one_night()
            os._exit(0)
        except BaseException as error:  # pylint: disable=broad-except
            print("in the child:", repr(error), file=sys.stderr)
            os._exit(1)

    GIVEN = ("bug overlap 11111111 x", "bug overlap 11111111 y", "slips 22222222 33333333",
             "rare walk 44444444", "clean", "bug content 55555555", "bug gone 66666666 x")

    def one_night(self):
        given = [suspect(text, property="said" if text == "clean" else "") for text in self.GIVEN]
        # An input that is in the queue again, since a kill came before its session was accounted for.
        return self.work(*given, given[0], stored=True,
                         resume=os.path.exists(os.path.join(self.folder, "begun")))

    def start(self):
        shutil.rmtree(self.folder, ignore_errors=True)
        self.assay.mended.clear()
        self.assay.seen.clear()
        self.work(suspect("bug gone 66666666"), suspect("bug content 55555555"))
        self.assay.mended.add("55555555")
        campaign.Campaign.begin(*self.opened(), "fuzz")
        with open(os.path.join(self.folder, "begun"), "w", encoding="utf-8"):
            pass

    def opened(self):
        folder = run_folder.RunFolder(self.folder)
        history = campaign.open_history(folder)
        self.addCleanup(history.close)
        folder.release()
        return history, folder

    def account(self):
        found = self.one_night()
        return {(f.name, f.status, tuple(f.inputs.values())) for f in found.values()}, self.stored()

    def test_killed_at_each_step_in_turn(self):
        self.start()
        expected = self.account()
        self.assertEqual(7, len(expected[0]))
        step, done = 0, False
        while not done:
            step += 1
            self.start()
            done = self.die_at(step)
            self.assay.seen.clear()
            self.assertEqual(expected, self.account(), "killed at step %d" % step)
            self.assertEqual([], os.listdir(os.path.join(self.folder, "suspects")))
        self.assertGreater(step, 50)


if __name__ == "__main__":
    unittest.main()
