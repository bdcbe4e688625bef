#!/usr/bin/env python3
"""Each renderer on results as they come, and on text that was made to break it."""
import dataclasses
import json
import os
import re
import sys
import tempfile
import unittest
import xml.etree.ElementTree as ET

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from reports import files, html_verdict, junit, markdown, results, sarif, terminal, text  # noqa: E402

HOSTILE = "<b>]]> & \"'| `tick` ``` \x00\x1b[31m\ud800 *a* [l](x) \u2028\ufffe\r\nE: 1"

# What a terminal is sent for three jobs and a finding.
GOLDEN = """\
strategy   engine     time  executions  exec/s  coverage  corpus  findings  verdict
---------  ---------  ----  ----------  ------  --------  ------  --------  -------------
bump       libFuzzer  0:15   1 234 567  82 304        85     119         0  clean
free_list  libFuzzer  0:10         500      50         9       3         1  finding
free_list  AFL++      0:00           0       -         -       -         0  could not run: no afl-fuzz

free_list: overlap (flaky)
    operation 3: overlaps
    4 operations; found by libFuzzer, after 400 executions and 1.5 s; 2 inputs
    out/x/overlap-1
    reproduce: ci/repro out/x/overlap-1

1 finding (1 flaky), 1 235 067 executions in 1:01"""


def example():
    return results.Results(
        started="2026-01-02T03:04:05Z", seconds=61.2, minutes=1.0, cores=2, seed=7,
        version="abc+", folder="out/x", jobs=[
            results.Job("bump", "libfuzzer", 15.0, 15.0, 1234567, 85, 119),
            results.Job("free_list", "libfuzzer", 15.0, 10.0, 500, 9, 3, crashes=2,
                        findings=["overlap-1"]),
            results.Job("free_list", "afl", 15.0, problem="no afl-fuzz")],
        findings=[results.Finding(
            "overlap-1", "free_list", "overlap", "00000001", "operation 3: overlaps", "here", 4,
            "out/x/overlap-1", flaky=True, engine="libfuzzer", executions=400, seconds=1.5,
            inputs={"libfuzzer": 2}, commands={"repro": "ci/repro out/x/overlap-1"},
            text="heap\nallocate 0\n")])


def hostile():
    made = example()
    made.jobs[0].note = made.jobs[2].problem = made.stopped = made.plant = made.version = HOSTILE
    for field in ("strategy", "property", "signature", "diagnosis", "site", "path", "engine",
                  "text"):
        setattr(made.findings[0], field, HOSTILE)
    made.findings[0].commands = {"repro": HOSTILE}
    return made


class VerdictTest(unittest.TestCase):
    def test_nothing_is_clean_by_default(self):
        self.assertEqual(2, results.Results().exit_code)
        self.assertEqual("could not run", results.Job("a", "afl").verdict)

    def test_one_job_that_could_not_run_spoils_clean(self):
        clean = results.Job("a", "afl", executions=1)
        self.assertEqual(0, results.Results(jobs=[clean]).exit_code)
        self.assertEqual(2, results.Results(jobs=[clean, results.Job("b", "afl")]).exit_code)
        self.assertEqual(2, results.Results(jobs=[clean], error="disk full").exit_code)

    def test_a_finding_outweighs(self):
        self.assertEqual(1, example().exit_code)

    def test_an_accepted_finding_does_not_hide_what_could_not_run(self):
        known = results.Finding("n", "a", "p", "s", status=results.KNOWN_ONE)
        ran, idle = results.Job("a", "afl", executions=1), results.Job("b", "afl")
        phase = results.Phase("coverage", "failed")
        for made, code in ((results.Results(jobs=[ran], findings=[known]), 3),
                           (results.Results(jobs=[ran, idle], findings=[known]), 2),
                           (results.Results(jobs=[ran], findings=[known], phases=[phase]), 2),
                           (results.Results(jobs=[ran], phases=[phase]), 2)):
            self.assertEqual(code, made.exit_code)

    def test_a_replay_alone_is_not_clean(self):
        replay = results.Job("a", "corpus", executions=5)
        waiting = results.Job("a", "afl", not_started=True)
        ran = results.Job("b", "afl", executions=1)
        for jobs, code in (([replay], 2), ([replay, waiting], 2), ([replay, waiting, ran], 0)):
            self.assertEqual(code, results.Results(jobs=jobs).exit_code, jobs)

    def test_a_campaign_that_nobody_ended_is_not_clean(self):
        ran = results.Job("a", "afl", executions=1)
        known = results.Finding("n", "a", "p", "s", status=results.KNOWN_ONE)
        for state, stopped, code in (("ended", "", 0), ("stopped", "SIGTERM", 0),
                                     ("running", "", 2), ("stopped", "killed", 2)):
            made = results.Results(jobs=[ran], state=state, stopped=stopped)
            self.assertEqual(code, made.exit_code, (state, stopped))
            self.assertEqual(text.summary(made).startswith("clean"), not code)
            made.findings = [known]
            self.assertEqual(code or 3, made.exit_code, (state, stopped))
            made.findings = [dataclasses.replace(known, status=results.NEW)]
            self.assertEqual(1, made.exit_code)

    def test_less_than_nothing_was_not_executed(self):
        self.assertEqual("could not run", results.Job("a", "afl", executions=-5).verdict)

    def test_whatever_is_not_clean_is_told_to_machines_too(self):
        """Exit codes are lost where only the file is kept."""
        ran, waiting = (results.Job("a", "afl", executions=1),
                        results.Job("a", "afl", not_started=True))
        found = results.Finding("n", "a", "p", "s")
        for made in (results.Results(), results.Results(jobs=[waiting]),
                     results.Results(jobs=[ran], state="running"),
                     results.Results(jobs=[ran], error="x"),
                     results.Results(jobs=[ran, results.Job("b", "afl")], findings=[found]),
                     results.Results(jobs=[ran], phases=[results.Phase("p", "failed")])):
            self.assertGreaterEqual(int(ET.fromstring(junit.render(made)).get("errors")), 1, made)
            invocation, = json.loads(sarif.render(made))["runs"][0]["invocations"]
            self.assertFalse(invocation["executionSuccessful"], made)
            self.assertTrue(invocation["toolExecutionNotifications"], made)

    def test_what_kept_a_job_from_its_time_is_told(self):
        made = results.Results(jobs=[results.Job("a", "afl", sanitizer="none", executions=1, note="rests")])
        invocation, = json.loads(sarif.render(made))["runs"][0]["invocations"]
        self.assertEqual([{"level": "warning", "message": {"text": "a: AFL++: rests"}}],
                         invocation["toolExecutionNotifications"])
        self.assertIn(("a on AFL++, none", "rests"), html_verdict.tested(made).skipped)
        self.assertTrue(invocation["executionSuccessful"])

    def test_what_was_fixed_is_no_finding_of_this_campaign(self):
        fixed = results.Finding("n", "a", "p", "s", status=results.FIXED)
        self.assertEqual(0, results.Results(jobs=[results.Job("a", "afl", executions=1)],
                                            findings=[fixed]).exit_code)


class TerminalTest(unittest.TestCase):
    def test_golden(self):
        self.maxDiff = None
        self.assertEqual(GOLDEN, terminal.render(example()))

    def test_hostile_text_cannot_drive_the_terminal(self):
        self.assertNotRegex(terminal.render(hostile()), "[\x00-\x09\x0b-\x1f\x7f-\x9f]")

    def test_how_found(self):
        found = example().findings[0]
        self.assertEqual("libFuzzer, after 400 executions and 1.5 s; 2 inputs", text.how_found(found))
        found.engine, found.executions = "corpus", 0
        self.assertEqual("replay of the corpus, after 1.5 s; 2 inputs", text.how_found(found))
        found.engine, found.executions, found.seconds, found.inputs = "", None, None, {}
        self.assertEqual("an earlier campaign", text.how_found(found))

    def test_summary_of_each_verdict(self):
        ran = results.Job("a", "afl", executions=5)
        found = {status: results.Finding(status, "a", "p", "s", status=status)
                 for status in results.STATUSES}
        for statuses, jobs, begins in (
                ((), [ran], "clean: no finding, 5 executions"),
                (("fixed",), [ran], "clean: no finding, 1 fixed, 5 executions"),
                (("known",), [ran], "only known findings: 1 known, 5 executions"),
                (("new",), [ran], "1 finding, 5 executions"),
                (("new", "known"), [ran], "2 findings (1 new, 1 known), 5 executions"),
                (("known",), [], "could not run: no job was begun, 0 executions")):
            made = results.Results(jobs=jobs, findings=[found[status] for status in statuses])
            self.assertTrue(text.summary(made).startswith(begins), text.summary(made))
        failed = results.Results(jobs=[ran], phases=[results.Phase("power", "failed", note="no disk")])
        self.assertEqual("could not run: 5 executions in 0:00; power failed: no disk",
                         text.summary(failed))


class MarkdownTest(unittest.TestCase):
    def rows(self, made):
        lines = markdown.render(made).splitlines()
        return [line for line in lines if line.startswith("|")]

    def test_table(self):
        rows = self.rows(example())
        self.assertEqual("| bump | libFuzzer | 0:15 | 1 234 567 | 82 304 | 85 | 119 | 0 | clean |",
                         rows[2])
        self.assertEqual(5, len(rows))

    def test_hostile_text_adds_no_cell_and_no_markup(self):
        for row in self.rows(hostile()):
            self.assertEqual(len(text.HEADINGS) + 1, len(re.findall(r"(?<!\\)\|", row)))
            self.assertNotRegex(row, r"(?<!\\)[<`*]")

    def test_a_block_cannot_be_closed_from_inside(self):
        lines = markdown.block("a\n````\nb")
        self.assertEqual(["`````", "a\n````\nb", "`````"], lines)
        self.assertEqual("`` a`b` ``", markdown.code("a`b`"))


class JunitTest(unittest.TestCase):
    """Of runs without a history; campaign_test.py has those with one."""

    def test_cases(self):
        root = ET.fromstring(junit.render(example()))
        self.assertEqual(("3", "1", "1"), tuple(map(root.get, ("tests", "failures", "errors"))))
        cases = root.findall("testsuite/testcase")
        self.assertEqual(["assay.bump.libfuzzer", "assay.free_list.libfuzzer", "assay.free_list.afl"],
                         [case.get("classname") for case in cases])
        self.assertIsNone(cases[0].find("failure"))
        failure = cases[1].find("failure")
        self.assertEqual("overlap", failure.get("type"))
        self.assertIn("heap\nallocate 0", failure.get("message"))
        for part in ("operation 3: overlaps", "allocate 0", "ci/repro out/x/overlap-1", "flaky"):
            self.assertIn(part, failure.text)
        self.assertEqual("no afl-fuzz", cases[2].find("error").get("message"))

    def test_hostile_text_stays_text(self):
        made = hostile()
        made.jobs[1].strategy = made.findings[0].strategy
        data = junit.render(made)
        root = ET.fromstring(data)
        # What broke it off is a case of its own.
        self.assertEqual(3, len(root.findall("testsuite/testcase")))
        self.assertIn("<b>]]> & \"'| `tick`", root.find(".//failure").text)
        self.assertNotIn(b"\x1b", data)


class JsonTest(unittest.TestCase):
    def test_it_reads_back(self):
        for made in (example(), hostile()):
            document = json.loads(files.render_json(made))
            self.assertEqual(made, results.Results.from_dict(document))

    def test_a_job_whose_turn_never_came_does_not_spoil_the_others(self):
        done = results.Job("a", "libfuzzer", executions=7)
        waiting = results.Job("b", "libfuzzer", not_started=True)
        both = results.Results(jobs=[done, waiting], stopped="SIGINT")
        self.assertEqual((results.NOT_STARTED, results.CLEAN), (waiting.verdict, both.verdict))
        self.assertIn("1 job not started", terminal.render(both))
        self.assertEqual(results.COULD_NOT_RUN, results.Results(jobs=[waiting]).verdict)

    def test_the_fields_of_the_documentation_are_those_of_the_file(self):
        readme = os.path.join(os.path.dirname(os.path.abspath(__file__)), "README.md")
        with open(readme, encoding="utf-8") as f:
            results_part = f.read().partition("\n## report.json")[2].partition("\n## ")[0]
        documented = set()
        for cell in re.findall(r"^\| (`.*?`) \|", results_part, re.MULTILINE):
            documented |= set(re.findall(r"`(\w+)`", cell))
        document = example().to_dict()
        fields = set(document) | set(document["jobs"][0]) | set(document["findings"][0])
        fields |= {field.name for field in dataclasses.fields(results.Cell)}
        self.assertEqual(fields, documented)


class FilesTest(unittest.TestCase):
    def test_whole_or_not_at_all(self):
        with tempfile.TemporaryDirectory() as folder:
            files.write_all(hostile(), folder)
            self.assertEqual(["report.json", "report.md", "report.sarif", "report.xml"],
                             sorted(os.listdir(folder)))
            path = os.path.join(folder, "report.md")
            with self.assertRaises(TypeError):
                files.write_whole(path, 7)
            with self.assertRaises(OSError):
                files.write_whole(os.path.join(path, "x"), "data")
            self.assertEqual(4, len(os.listdir(folder)))


if __name__ == "__main__":
    unittest.main()
