#!/usr/bin/env python3
"""ci/pr on a fake Bazel and a fake campaign: verdicts, shared time, summaries; and what a change
affects, in a repository made for it."""
import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from ci import changes, pr_command, pr_steps, pr_summary  # noqa: E402

# Behaves as the files in its own folder say: <step>.json is {label: status}, or there is `hang`.
_BAZEL = r'''#!/usr/bin/env python3
import json, os, signal, sys, time
here = os.path.dirname(os.path.abspath(__file__))
if sys.argv[1] == "build":
    sys.exit(0)
events = [a.partition("=")[2] for a in sys.argv if a.startswith("--build_event_json_file=")][0]
tags = [a.partition("=")[2] for a in sys.argv if a.startswith("--test_tag_filters=")][0]
step = {"regression": "regressions", "kill": "plants"}.get(tags, "tests")
with open(os.path.join(here, step + ".json")) as file:
    told = json.load(file)
signal.signal(signal.SIGINT, lambda *_: sys.exit(8))
xml = os.path.join(here, "good.xml")
with open(xml, "w") as file:
    file.write("<testsuites><testcase name='a'/></testsuites>")
with open(os.path.join(here, "bad.log"), "w") as file:
    file.write("what the test said | `x` ``` <b>\n")
with open(events, "w") as file:
    def event(**what):
        file.write(json.dumps(what) + "\n")
    for label in told:
        event(id={"targetConfigured": {"label": label}}, configured={"targetKind": "sh_test rule"})
    for label, status in told.items():
        if status in ("PASSED", "FAILED"):
            name = "test.xml" if status == "PASSED" else "test.log"
            event(id={"testResult": {"label": label}}, testResult={"status": status,
                "testActionOutput": [{"name": name, "uri": "file://" + (
                    xml if status == "PASSED" else os.path.join(here, "bad.log"))}]})
        if status == "HANGS":
            # As Bazel says of what it was interrupted in.
            event(id={"testResult": {"label": label}}, aborted={"reason": "USER_INTERRUPTED"})
if "HANGS" in told.values():
    time.sleep(600)
sys.exit(3 if "FAILED" in told.values() else 1 if "BROKEN" in told.values() else 0)
'''

_OVERNIGHT = r'''#!/usr/bin/env python3
import json, os, sys
here = os.path.dirname(os.path.abspath(__file__))
out = sys.argv[sys.argv.index("--out") + 1]
code = int(open(os.path.join(here, "code")).read())
os.makedirs(out, exist_ok=True)
with open(os.path.join(here, "asked.json"), "w") as file:
    json.dump(sys.argv[1:], file)
if code == 101:
    raise SystemExit(1)
if code == 102:
    import sqlite3
    with sqlite3.connect(os.path.join(out, "history.db")) as history:
        history.execute("CREATE TABLE IF NOT EXISTS campaigns (id INTEGER PRIMARY KEY)")
        history.execute("INSERT INTO campaigns DEFAULT VALUES")
    os.kill(os.getpid(), 9)
with open(os.path.join(out, "report.md"), "w") as file:
    file.write("# Fuzzing\n```\n# no heading\n```\n")
with open(os.path.join(out, "report.sarif"), "w") as file:
    file.write('{"version": "2.1.0", "runs": ["the campaign\'s"]}')
print("the campaign's verdict")
sys.exit(code)
'''


# Finds something in whatever a campaign has left.
_REPORT = '''#!/bin/sh
echo "{\\"version\\": \\"2.1.0\\", \\"runs\\": [\\"$3\\"]}" >"$5"
exit 1
'''


class VerdictTest(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder, self.out = scratch.name, os.path.join(scratch.name, "out")
        for name, text in (("bazel", _BAZEL), ("overnight", _OVERNIGHT), ("report", _REPORT)):
            path = os.path.join(self.folder, name)
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
            os.chmod(path, 0o755)
        self.tell(tests={"//a:b": "PASSED"}, regressions={"//c:d": "PASSED"},
                  plants={"//e:f": "PASSED"}, code=0)
        self.summary = os.path.join(self.folder, "step_summary")

    def tell(self, **what):
        for name, value in what.items():
            with open(os.path.join(self.folder, name + ("" if name == "code" else ".json")), "w",
                      encoding="utf-8") as file:
                json.dump(value, file)

    def judge(self, *arguments, strategies=("buddy", "tlsf")):
        """(exit code, what was printed, summary.json)."""
        change = pr_command.Change("0" * 40, ["allocators/buddy.c"], list(strategies), "for a reason")
        environment = {"PATH": self.folder + ":" + os.environ["PATH"],
                       "GITHUB_STEP_SUMMARY": self.summary}
        printed = io.StringIO()
        with mock.patch.dict(os.environ, environment), \
                mock.patch.object(pr_command, "find_change", lambda _: change), \
                contextlib.redirect_stdout(printed):
            code = pr_command.main(["--out", self.out, "--commands", self.folder, *arguments])
        with open(os.path.join(self.out, "summary.json"), encoding="utf-8") as file:
            return code, printed.getvalue(), json.load(file)

    def read(self, name):
        return pr_summary.read(os.path.join(self.out, name))

    def states(self, told):
        return {step["name"]: step["state"] for step in told["steps"]}

    def test_clean(self):
        code, printed, told = self.judge()
        self.assertEqual((code, told["exit_code"]), (0, 0), printed)
        self.assertEqual(set(self.states(told).values()), {pr_steps.PASSED})
        self.assertIn("clean", printed)
        self.assertIn("the campaign's", self.read("report.sarif"))
        summary = self.read("summary.md")
        self.assertEqual(pr_summary.read(self.summary), summary)
        self.assertIn("\n## Fuzzing\n```\n# no heading\n", summary)
        with open(os.path.join(self.folder, "asked.json"), encoding="utf-8") as file:
            asked = json.load(file)
        self.assertEqual(asked[asked.index("--strategies") + 1], "buddy,tlsf")
        self.assertEqual(asked[asked.index("--engines") + 1], "libfuzzer,afl")

    def test_a_failed_test_hides_nothing(self):
        self.tell(tests={"//a:b": "FAILED", "//a:c": "PASSED"})
        code, printed, told = self.judge()
        self.assertEqual(code, 1)
        self.assertEqual(self.states(told), {
            "tests": pr_steps.FAILED, "regressions": pr_steps.PASSED,
            "planted bugs": pr_steps.PASSED, "fuzzing": pr_steps.PASSED})
        self.assertIn("1 passed, 1 failed", printed)
        # The test's own fences do not end the block.
        self.assertIn("````\nwhat the test said | `x` ``` <b>\n````", self.read("summary.md"))

    def test_what_cannot_be_built_has_failed(self):
        self.tell(plants={"//e:f": "BROKEN"})
        code, _, told = self.judge()
        self.assertEqual(code, 1)
        self.assertEqual(self.states(told)["planted bugs"], pr_steps.FAILED)

    def test_nothing_tested_is_not_passed(self):
        self.tell(regressions={})
        code, _, told = self.judge()
        self.assertEqual(code, 2)
        self.assertEqual(self.states(told)["regressions"], pr_steps.BROKEN)

    def test_a_step_that_hangs_leaves_the_others_their_time(self):
        self.tell(tests={"//a:b": "PASSED", "//a:slow": "HANGS"})
        with mock.patch.object(pr_command, "_REPORT", 0):
            code, printed, told = self.judge("--minutes", "0.5")
        self.assertEqual(code, 2)
        self.assertEqual(self.states(told), {
            "tests": pr_steps.UNFINISHED, "regressions": pr_steps.PASSED,
            "planted bugs": pr_steps.PASSED, "fuzzing": pr_steps.PASSED}, printed)
        self.assertIn("1 passed, 0 failed, 1 not run", printed)

    def test_a_failure_outweighs_a_hanging_step(self):
        self.tell(tests={"//a:b": "FAILED", "//a:slow": "HANGS"})
        self.assertEqual(self.judge("--minutes", "0.1", "--only", "tests")[0], 1)

    def test_campaigns_exit_codes(self):
        for campaign, expected, state in ((1, 1, pr_steps.FAILED), (2, 2, pr_steps.BROKEN),
                                          (3, 3, pr_steps.KNOWN), (77, 2, pr_steps.BROKEN)):
            self.tell(code=campaign)
            code, _, told = self.judge("--only", "fuzzing", "--minutes", "1")
            self.assertEqual((code, self.states(told)["fuzzing"]), (expected, state))

    def test_a_campaign_that_breaks_down_has_found_nothing(self):
        self.judge("--only", "fuzzing", "--minutes", "1")    # its reports must not be taken for new
        self.tell(code=101)
        code, _, told = self.judge("--only", "fuzzing", "--minutes", "1")
        self.assertEqual((code, self.states(told)["fuzzing"]), (2, pr_steps.BROKEN))
        self.assertEqual(json.loads(self.read("report.sarif"))["runs"][0]["results"], [])

    def test_a_campaign_that_is_killed_after_a_finding_has_found_it(self):
        self.tell(code=102)
        code, _, told = self.judge("--only", "fuzzing", "--minutes", "1")
        self.assertEqual((code, self.states(told)["fuzzing"]), (1, pr_steps.FAILED))
        self.assertEqual(json.loads(self.read("report.sarif"))["runs"], ["sarif"])
        # Another one that does not even begin has not.
        self.tell(code=101)
        self.assertEqual(self.judge("--only", "fuzzing", "--minutes", "1")[0], 2)

    def test_known_findings_outweigh_nothing(self):
        self.tell(code=3, tests={"//a:b": "FAILED"})
        self.assertEqual(self.judge()[0], 1)

    def test_nothing_to_fuzz(self):
        code, _, told = self.judge(strategies=())
        self.assertEqual(code, 0)
        self.assertEqual(self.states(told)["fuzzing"], pr_steps.SKIPPED)
        sarif = json.loads(self.read("report.sarif"))
        self.assertEqual((sarif["version"], sarif["runs"][0]["results"]), ("2.1.0", []))

    def test_a_missing_bazel_is_told(self):
        os.unlink(os.path.join(self.folder, "bazel"))
        with mock.patch.dict(os.environ, {"PATH": "/nonexistent"}):
            code, printed, told = self.judge("--only", "tests")
        self.assertEqual((code, self.states(told)["tests"]), (2, pr_steps.BROKEN), printed)

    def test_too_many_strategies_are_left_out_and_named(self):
        with mock.patch.object(os, "sched_getaffinity", lambda _: {0}):
            fit = pr_command.Judgement._fitting  # pylint: disable=protected-access
            self.assertEqual(fit(["a", "b"], 24), (["a", "b"], ["libfuzzer", "afl"], ""))
            self.assertEqual(fit(["a", "b"], 13)[:2], (["a", "b"], ["libfuzzer"]))
            chosen, engines, note = fit(["a", "b", "c"], 13)
            self.assertEqual((len(chosen), engines), (2, ["libfuzzer"]))
            self.assertIn(next(iter({"a", "b", "c"} - set(chosen))), note)
            self.assertEqual(fit(["a"], -3)[:2], ([], []))


class ChangeTest(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.root = scratch.name
        self.write("allocators/registry.bzl", 'strategy("buddy"),\n')
        self.write("harness/oracle.c", "")
        self.git("init", "-q", "-b", "main")
        self.commit()
        self.git("checkout", "-q", "-b", "topic")

    def git(self, *arguments):
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments],
                       cwd=self.root, check=True, stdout=subprocess.DEVNULL)

    def commit(self):
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "x")

    def write(self, path, text):
        path = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)

    def test_counts_from_where_the_branches_parted(self):
        self.write("README.md", "ours")
        self.commit()
        self.git("checkout", "-q", "main")
        self.write("theirs.txt", "theirs")
        self.commit()
        self.git("checkout", "-q", "topic")
        self.write("a new\nfile", "not known to git")
        base = changes.base_of("main", self.root)
        self.assertEqual(changes.changed_files(base, self.root), ["README.md", "a new\nfile"])
        with mock.patch.dict(os.environ, {"GITHUB_BASE_REF": ""}):
            self.assertEqual(changes.base_of(None, self.root), base)
        with self.assertRaisesRegex(changes.CannotRun, "no common commit with nowhere"):
            changes.base_of("nowhere", self.root)

    def test_what_a_change_affects(self):
        def affected(*paths):
            return changes.affected(list(paths), "main")[0]
        every = affected("harness/oracle.c")
        self.assertIn("buddy", every)
        self.assertEqual(affected("allocators/buddy.c"), ["buddy"])
        self.assertEqual(affected("allocators/free_list.c"), ["free_list", "locked_free_list"])
        self.assertEqual(affected("allocators/size_class_chunks.h"), ["size_class"])
        self.assertEqual(affected("allocators/strategy.h"), every)
        self.assertEqual(affected("fuzz/target.c"), every)
        self.assertEqual(affected("corpus/regression/x"), every)
        self.assertEqual(affected("README.md", "ci/pr", "allocators/buddy_test.c", "ci/BUILD"), [])
        self.assertEqual(affected("collections/vector.c"), ["vector"])
        self.assertEqual(affected("collections/utf8.c"), ["string"])
        self.assertEqual(affected("harness/drive_list.c"), ["list"])
        collections = affected("collections/handle.h")
        self.assertLessEqual({"hash_map", "list", "string", "vector"}, set(collections))
        self.assertNotIn("buddy", collections)
        self.assertEqual(affected("corpus/collections/x"), collections)

    def test_a_line_of_the_registry(self):
        self.write("allocators/registry.bzl", 'strategy("buddy", threads = True),\n')
        base = changes.base_of("main", self.root)
        self.assertEqual(changes.affected(["allocators/registry.bzl"], base, self.root)[0], ["buddy"])


if __name__ == "__main__":
    unittest.main()
