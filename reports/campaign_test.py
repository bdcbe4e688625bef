#!/usr/bin/env python3
"""What the history of some nights becomes in each report for machines, and that these agree."""
import dataclasses
import json
import os
import re
import sys
import tempfile
import unittest
import xml.etree.ElementTree as ET

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from reports import files, history, junit, markdown, matrix, read_history  # noqa: E402
from reports import results as R  # noqa: E402
from reports import sample_campaign, sarif, terminal  # noqa: E402

_HERE = os.path.dirname(os.path.abspath(__file__))

# The third night has something of everything.
NIGHT = 3


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.db = sample_campaign.write(os.path.join(cls.folder.name, history.NAME), small=True)
        cls.nights = [R.Results.from_history(cls.db, i, folder="out/x") for i in (1, 2, 3)]

    @classmethod
    def tearDownClass(cls):
        cls.db.close()
        cls.folder.cleanup()

    def setUp(self):
        self.results = self.nights[NIGHT - 1]

    def fresh(self):
        """For a test that changes them."""
        return R.Results.from_dict(json.loads(json.dumps(self.results.to_dict())))


class ResultsTest(Case):
    def total(self, expression, tables="sessions JOIN jobs ON jobs.id = job"):
        return self.db.one("SELECT %s FROM %s WHERE campaign = ?" % (expression, tables), NIGHT)[0]

    def test_every_number_can_be_asked_for(self):
        made = self.results
        self.assertEqual(self.total("sum(executions)"), made.executions)
        self.assertEqual(self.total("sum(operations)"), made.operations)
        self.assertAlmostEqual(self.total("sum(cpu_seconds)"), made.cpu_seconds, places=3)
        self.assertEqual(self.total("sum(seconds)", "runs"), made.seconds)
        self.assertEqual(2, made.runs)
        self.assertEqual(
            self.total("sum(times)", "exercised JOIN sessions ON sessions.id = session "
                                     "JOIN jobs ON jobs.id = job"),
            sum(cell.exercised for cell in made.matrix))
        self.assertEqual(self.total("count(*)", "state_hits"), sum(row.seen for row in made.states))
        for name, table in (("kills", "kills"), ("benchmarks", "benchmarks"), ("phases", "phases"),
                            ("coverage", "line_coverage"), ("findings", "campaign_findings")):
            self.assertEqual(self.total("count(*)", table), len(getattr(made, name)), table)
            self.assertTrue(getattr(made, name), table)

    def test_a_job_is_the_sum_of_its_sessions(self):
        job = next(job for job in self.results.jobs
                   if (job.strategy, job.engine, job.sanitizer) == ("buddy", "afl", "none"))
        row = self.db.one(
            "SELECT sum(s.executions), max(s.coverage), count(*), max((SELECT max(states) FROM samples "
            "WHERE session = s.id)) FROM sessions AS s JOIN jobs ON jobs.id = job "
            "WHERE campaign = 3 AND strategy = 'buddy' AND engine = 'afl'")
        self.assertEqual(tuple(row), (job.executions, job.coverage, job.restarts + 1, job.states))
        self.assertEqual(["invariant:buddy.I2"], [
            self.results.finding(name).property for name in job.findings])

    def test_findings_have_their_status_and_their_past(self):
        told = {finding.signature: (finding.status, finding.before) for finding in
                self.results.findings}
        self.assertEqual({"0000a001": ("new", ""), "0000b002": ("new", "new"),
                          "0000c003": ("known", "known"), "0000d004": ("flaky", ""),
                          "0000e005": ("fixed", "new")}, told)
        self.assertEqual(["new", "new", "flaky", "known", "fixed"],
                         [finding.status for finding in self.results.findings])
        overlap = next(f for f in self.results.findings if f.property == "overlap")
        self.assertEqual(({"libfuzzer": 3, "afl": 2}, {"runs": 5, "same": 5}, 212),
                         (overlap.inputs, overlap.replays, overlap.line))
        self.assertEqual("overlap", overlap.story["verdict"])
        self.assertTrue(overlap.path.startswith("out/x/findings/free_list/overlap-"))

    def test_it_reads_back_from_json(self):
        self.assertEqual(self.results, self.fresh())

    def test_former_campaigns(self):
        self.assertEqual([2, 1], [int(row.uuid[4:8], 16) - 0x1000 + 1 for row in self.results.former])
        for former, night in zip(self.results.former, (self.nights[1], self.nights[0])):
            self.assertEqual((night.verdict, night.executions, night.seconds),
                             (former.verdict, former.executions, former.seconds))
            self.assertEqual({"new": len(night.of_status("new"))}, {
                key: value for key, value in former.findings.items() if key == "new"})
        self.assertEqual([], self.nights[0].former)

    def test_planted_bugs_of_an_earlier_night_are_told_as_such(self):
        self.assertEqual("", self.results.kills_from)
        self.assertEqual(self.nights[0].started, self.nights[1].kills_from)
        self.assertEqual(self.nights[0].kills, self.nights[1].kills)
        self.assertEqual([len(night.kills) for night in self.nights],
                         [self.nights[0].kills_here, 42, self.nights[2].kills_here])
        self.assertEqual(0, self.nights[1].kills_here)

    def test_a_campaign_is_found_by_its_names(self):
        for wanted, found in (("last", 3), ("2", 2), ("00001000", 1), ("0000100", None),
                              ("nonsense", None), ("", None),
                              ("00001001-0000-4000-8000-000000000001", 2)):
            self.assertEqual(found, read_history.campaign_of(self.db, wanted), wanted)

    def test_a_campaign_that_measures_is_neither_a_verdict_nor_a_baseline(self):
        path = os.path.join(self.folder.name, "more.db")
        db = sample_campaign.write(path, small=True)
        self.addCleanup(db.close)
        for command in ("bench", "bugs"):
            measured = db.insert("campaigns", uuid=command, command=command, started="t", ended="t",
                                 state="ended")
            self.assertEqual(R.COULD_NOT_RUN, R.Results.from_history(db, measured).verdict)
            db.insert("benchmarks", campaign=measured, strategy="bump", workload="w", metric="time",
                      unit="ns", value=1.0)
            self.assertEqual(R.CLEAN, R.Results.from_history(db, measured).verdict)
        self.assertEqual(3, read_history.campaign_of(db, "last"))
        db.insert("campaigns", uuid="new", command="overnight", started="t")
        self.assertEqual(6, read_history.campaign_of(db, "last"))
        after = R.Results.from_history(db, 6)
        self.assertEqual(["clean", "clean", "finding"], [row.verdict for row in after.former[:3]])
        self.assertEqual("00001002-0000-4000-8000-000000000002", after.baseline.uuid)
        db.write("UPDATE campaigns SET plant = 'buddy+x' WHERE id = 3")
        self.assertEqual(2, read_history.campaign_of(db, R.Results.from_history(
            db, 6).baseline.uuid))
        db.write("UPDATE campaigns SET plant = '' WHERE id = 3")
        self.assertEqual(after.baseline.uuid,
                         json.loads(sarif.render(after))["runs"][0]["baselineGuid"])

    def test_former_verdicts_are_those_of_the_campaigns(self):
        """The same rules, once in SQL."""
        path = os.path.join(self.folder.name, "verdicts.db")
        db = sample_campaign.write(path, small=True)
        self.addCleanup(db.close)
        db.write("DELETE FROM campaign_findings")
        told = []
        for change in (
                "UPDATE campaigns SET error = 'x'", "UPDATE campaigns SET error = ''",
                "UPDATE jobs SET not_started = 1 WHERE problem != ''",
                "UPDATE jobs SET problem = '' WHERE problem != ''",
                "UPDATE campaigns SET state = 'running', ended = NULL",
                "UPDATE campaigns SET state = 'stopped', stopped = 'killed'",
                "UPDATE campaigns SET state = 'stopped', stopped = 'SIGTERM'",
                "UPDATE sessions SET executions = -1 WHERE id = (SELECT max(id) FROM sessions)",
                "UPDATE sessions SET executions = 1",
                "UPDATE phases SET state = 'failed' WHERE name = 'power'",
                "UPDATE phases SET state = 'done'",
                "UPDATE jobs SET not_started = 1 WHERE engine != 'corpus'",
                "DELETE FROM sessions WHERE job IN (SELECT id FROM jobs WHERE engine != 'corpus')",
                "DELETE FROM jobs WHERE engine != 'corpus'", "DELETE FROM jobs",
                "UPDATE campaigns SET command = 'bugs'", "DELETE FROM benchmarks",
                "DELETE FROM kills WHERE campaign = 3 AND bug LIKE 'buddy%'",
                "DELETE FROM kills WHERE campaign = 3"):
            db.write(change)
            ours, = read_history.former(db, 4)[:1]
            told.append(R.Results.from_history(db, 3).verdict)
            self.assertEqual(told[-1], ours.verdict, change)
        self.assertEqual({R.CLEAN, R.COULD_NOT_RUN}, set(told))

    def test_the_rows_of_a_former_campaign_are_not_counted(self):
        self.assertEqual(self.db.one("SELECT sum(executions) FROM sessions")[0],
                         sum(night.executions for night in self.nights))


class MatrixTest(Case):
    def state(self, strategy, property_id):
        return self.results.cell(strategy, property_id).state

    def test_states(self):
        for strategy, property_id, state in (
                ("bump", "overlap", matrix.GREEN), ("bump", "race", matrix.NOT_APPLICABLE),
                ("free_list", "overlap", matrix.FINDING), ("free_list", "content", matrix.FINDING),
                ("buddy", "invariant", matrix.FINDING), ("tlsf", "touched-live-block", matrix.KNOWN),
                ("buddy", "double-release-missed", matrix.NEVER),
                ("buddy", "bounds", matrix.GREEN),       # fixed
                ("free_list", "not-pristine", matrix.WEAK), ("tlsf", "zeroed", matrix.GREEN)):
            self.assertEqual(state, self.state(strategy, property_id), (strategy, property_id))

    def test_a_check_that_never_ran_is_not_green(self):
        made = self.fresh()
        for job in made.jobs:
            job.exercised = {}
        for cell in matrix.build(made):
            self.assertNotIn(cell.state, (matrix.GREEN, matrix.WEAK), cell)
        for cell in self.results.matrix:
            self.assertTrue(cell.exercised or cell.state not in (matrix.GREEN, matrix.WEAK), cell)

    def test_without_a_catalogue_nothing_is_taken_for_not_applicable(self):
        made = self.fresh()
        for strategy in made.strategies:
            strategy.applicable = None
        self.assertNotIn(matrix.NOT_APPLICABLE, [cell.state for cell in matrix.build(made)])

    def test_power_counts_what_the_property_itself_reported(self):
        overlap, bounds = (self.results.cell(*key) for key in (
            ("free_list", "overlap"), ("buddy", "bounds")))
        self.assertEqual((["free_list+header_size_wraps"], ["free_list+split_keeps_size"], []),
                         (overlap.killed, overlap.otherwise, overlap.survived))
        self.assertEqual((1, 1), overlap.power)
        self.assertEqual((1, 1), bounds.power)
        self.assertIsNone(self.results.cell("bump", "crash").power)
        self.assertEqual((0, 1), self.results.cell("free_list", "not-pristine").power)

    def test_one_seed_that_survives_is_not_weak_and_a_bug_that_all_survive_is(self):
        made = self.fresh()
        runs = [kill for kill in made.kills if kill.bug == "buddy+order_rounded_down"]
        self.assertIn(False, [run.killed for run in runs])
        made.kills = [dataclasses.replace(run, killed=False) for run in runs]
        cells = {(cell.strategy, cell.property): cell for cell in matrix.build(made)}
        self.assertEqual((matrix.WEAK, ["buddy+order_rounded_down"]),
                         (cells["buddy", "bounds"].state, cells["buddy", "bounds"].survived))

    def test_a_bench_of_planted_bugs_stands_for_its_strategy(self):
        made = self.fresh()
        made.strategies[1].name = "bump+alignment_of_offset"
        made.jobs[4].strategy = "bump+alignment_of_offset"
        cell = next(cell for cell in matrix.build(made) if cell.property == "alignment"
                    and "+" in cell.strategy)
        self.assertEqual(["bump+alignment_of_offset"], cell.killed)


class JunitTest(Case):
    def cases(self, made=None):
        """{(class, name): element}; no two have the same."""
        self.root = ET.fromstring(junit.render(made or self.results))
        found = self.root.findall("testsuite/testcase")
        by_key = {(case.get("classname"), case.get("name")): case for case in found}
        self.assertEqual(len(found), len(by_key))
        return by_key

    def group(self, job):
        return junit.class_name(job, job.strategy == "vector")

    def outcome(self, case):
        return next((child.tag for child in case if child.tag != "system-out"), "passed")

    def test_one_case_for_each_strategy_property_and_engine(self):
        cases = self.cases()
        for job in self.results.jobs:
            for property_ in self.results.properties:
                cell = self.results.cell(job.strategy, property_.id)
                self.assertEqual(cell.state != matrix.NOT_APPLICABLE,
                                 (self.group(job), property_.id) in cases)

    def test_outcomes(self):
        cases = self.cases()
        for engine, strategy, name, expected in (
                ("libfuzzer.address", "bump", "overlap", "passed"),
                ("libfuzzer.address", "free_list", "overlap", "failure"),
                ("afl.none", "free_list", "overlap", "failure"),
                ("libfuzzer.none", "free_list", "overlap", "passed"),
                ("libfuzzer.address", "free_list", "content", "failure"),
                ("libfuzzer.address", "tlsf", "touched-live-block", "skipped"),
                ("libfuzzer.address", "buddy", "bounds", "passed"),
                ("libfuzzer.address", "buddy", "double-release-missed", "skipped"),
                ("afl.none", "bump", "undefined-behaviour", "skipped"),
                ("afl.none", "tlsf", junit.RUNS, "error"),
                ("afl.none", "tlsf", "overlap", "skipped"),
                ("libfuzzer.none", "bump", junit.RUNS, "skipped"),
                ("corpus.none", "buddy", "overlap", "passed"),
                ("libfuzzer.address", "collections.vector", "overlap", "passed")):
            case = cases["assay.%s.%s" % (strategy, engine), name]
            self.assertEqual(expected, self.outcome(case), (strategy, engine, name))

    def test_a_case_passes_only_if_it_was_exercised(self):
        cases = self.cases()
        for job in self.results.jobs:
            for name in [property_.id for property_ in self.results.properties]:
                case = cases.get((self.group(job), name))
                if case is not None and self.outcome(case) == "passed":
                    self.assertGreater(job.exercised.get(name, 0), 0)

    def test_what_a_replay_does_not_count_has_no_case_and_its_findings_have(self):
        made = self.fresh()
        job = next(job for job in made.jobs if (job.strategy, job.engine) == ("free_list", "corpus"))
        job.exercised, job.findings = {}, [made.findings[1].name]
        names = {name: self.outcome(case) for (group, name), case in self.cases(made).items()
                 if group == junit.class_name(job)}
        self.assertEqual({"runs": "passed", "overlap": "failure"}, names)
        job.engine = "libfuzzer2"       # what fuzzes must count
        cases = self.cases(made)
        self.assertIn("not counted", cases[junit.class_name(job), "bounds"].find("skipped").get(
            "message"))

    def test_a_failure_has_the_minimal_program_in_its_message(self):
        case = self.cases()["assay.free_list.libfuzzer.address", "overlap"]
        failure = case.find("failure")
        self.assertEqual("overlap", failure.get("type"))
        for part in (sample_campaign.PROGRAM.strip(), "lies over the live block", "0000a001"):
            self.assertIn(part, failure.get("message"))
        for part in ("ci/repro out/x/findings/", "allocators/free_list.c:212 (split)"):
            self.assertIn(part, failure.text)

    def test_what_is_skipped_says_why(self):
        cases = self.cases()
        for (_, name), case in cases.items():
            skipped = case.find("skipped")
            if skipped is not None:
                self.assertRegex(skipped.get("message"),
                                 "^(never exercised|not started|not counted|known: accepted until "
                                 "2026-12-31: accepted until the rewrite)", name)

    def test_the_counts_are_those_of_the_cases(self):
        outcomes = [self.outcome(case) for case in self.cases().values()]
        for element in (self.root, self.root.find("testsuite")):
            self.assertEqual(
                [len(outcomes), outcomes.count("failure"), outcomes.count("error"),
                 outcomes.count("skipped")],
                [int(element.get(key)) for key in ("tests", "failures", "errors", "skipped")])

    def test_no_open_finding_is_missing_whatever_job_it_is_of(self):
        made = self.fresh()
        for job in made.jobs:
            job.findings = []
        messages = " ".join(failure.get("message") for case in self.cases(made).values()
                            for failure in case.findall("failure"))
        for finding in made.findings:
            self.assertEqual(finding.status in R.OPEN, finding.signature in messages)

    def test_what_broke_the_campaign_is_an_error(self):
        made = self.fresh()
        made.error = "no space left"
        made.phases[3].state, made.phases[3].note = "failed", "afl-cmin: exit code 9"
        cases = self.cases(made)
        self.assertEqual("no space left",
                         cases["assay.campaign", "error"].find("error").get("message"))
        self.assertEqual("afl-cmin: exit code 9",
                         cases["assay.campaign", "minimise"].find("error").get("message"))

    def test_names_are_the_same_each_night(self):
        names = [set(self.cases(night)) for night in self.nights]
        self.assertEqual(names[0], names[1])
        self.assertEqual(names[1], names[2])


class SarifTest(Case):
    def document(self, made=None):
        return json.loads(sarif.render(made or self.results))

    def by_signature(self, made=None):
        return {result["properties"]["signature"]: result
                for result in self.document(made)["runs"][0]["results"]}

    def check(self, document):
        import jsonschema      # Debian's python3-jsonschema; ci/setup installs it
        with open(os.path.join(_HERE, "sarif_required.json"), encoding="utf-8") as f:
            schema = json.load(f)
        checker = jsonschema.Draft7Validator(schema)
        return ["%s: %s" % (list(error.path), error.message)
                for error in checker.iter_errors(document)]

    def test_the_standards_required_parts(self):
        for made in self.nights + [R.Results()]:
            self.assertEqual([], self.check(self.document(made)))

    def test_the_check_can_fail(self):
        for change in (lambda run: run["results"][0].pop("message"),
                       lambda run: run["results"][0].update(baselineState="old"),
                       lambda run: run["results"][0].update(rule="x"),
                       lambda run: run["tool"]["driver"].pop("name"),
                       lambda run: run["invocations"][0].pop("executionSuccessful"),
                       lambda run: run["results"][-1].update(level="error"),
                       lambda run: run.update(baselineGuid="x")):
            document = self.document()
            change(document["runs"][0])
            self.assertTrue(self.check(document))

    def test_rules_are_properties_with_help(self):
        run = self.document()["runs"][0]
        rules = run["tool"]["driver"]["rules"]
        for result in run["results"]:
            self.assertEqual(result["ruleId"], rules[result["ruleIndex"]]["id"])
        by_id = {rule["id"]: rule for rule in rules}
        self.assertLessEqual({name for name, _ in sample_campaign.PROPERTIES}, set(by_id))
        self.assertIn("A block overlaps another live block.", by_id["overlap"]["help"]["text"])
        self.assertIn("Free ones are linked.", by_id["invariant:buddy.I2"]["help"]["text"])

    def test_a_finding_of_a_collection_says_so(self):
        made = self.fresh()
        made.findings[0].strategy = "vector"
        kinds = {result["properties"]["strategy"]: result["properties"]["kind"]
                 for result in sarif.document(made)["runs"][0]["results"]}
        self.assertEqual({"collection", "strategy"}, set(kinds.values()))
        self.assertEqual("collection", kinds["vector"])

    def test_location_is_the_guilty_line(self):
        location, = self.by_signature()["0000a001"]["locations"]
        self.assertEqual({"artifactLocation": {"uri": "allocators/free_list.c",
                                               "uriBaseId": "SRCROOT"},
                          "region": {"startLine": 212}}, location["physicalLocation"])
        location, = self.by_signature()["0000b002"]["locations"]
        self.assertEqual("allocators/buddy.c",
                         location["physicalLocation"]["artifactLocation"]["uri"])
        self.assertNotIn("region", location["physicalLocation"])

    def test_fingerprints_are_of_the_identity_and_nothing_else(self):
        nights = [{signature: result["partialFingerprints"] for signature, result in
                   self.by_signature(night).items()} for night in self.nights]
        self.assertEqual(nights[0]["0000c003"], nights[2]["0000c003"])
        self.assertEqual(5, len({str(each) for each in nights[2].values()}))
        made = self.fresh()
        finding = next(f for f in made.findings if f.signature == "0000a001")
        finding.diagnosis, finding.path, finding.line, finding.name = "other", "p", 3, "n"
        self.assertEqual(nights[2]["0000a001"],
                         self.by_signature(made)["0000a001"]["partialFingerprints"])

    def test_compared_with_what_was_before(self):
        self.assertEqual(
            {"0000a001": "new", "0000b002": "unchanged", "0000c003": "unchanged",
             "0000d004": "new", "0000e005": "absent"},
            {key: result["baselineState"] for key, result in self.by_signature().items()})
        for result in self.by_signature(self.nights[0]).values():
            self.assertNotIn("baselineState", result)

    def test_only_what_is_known_is_suppressed_and_says_why(self):
        for signature, result in self.by_signature().items():
            self.assertEqual(signature == "0000c003", bool(result["suppressions"]))
        justification = self.by_signature()["0000c003"]["suppressions"][0]["justification"]
        self.assertIn("accepted until the rewrite of merging", justification)
        self.assertIn("2026-12-31", justification)

    def test_what_could_not_run_is_told(self):
        invocation, = self.document()["runs"][0]["invocations"]
        told = [each["message"]["text"] for each in invocation["toolExecutionNotifications"]]
        self.assertIn("tlsf: AFL++: AFL++ ended with exit code 1", told[0])
        self.assertIn("buddy: double-release-missed was never exercised", told)
        self.assertEqual(1, invocation["exitCode"])
        broken = R.Results(jobs=[R.Job("a", "afl")])
        self.assertFalse(self.document(broken)["runs"][0]["invocations"][0]["executionSuccessful"])


class TextTest(Case):
    def test_the_verdict_comes_first_in_markdown_and_last_on_a_terminal(self):
        line = "5 findings (2 new, 1 flaky, 1 known, 1 fixed), "
        self.assertEqual("# Assay: finding", markdown.render(self.results).splitlines()[0])
        self.assertTrue(markdown.render(self.results).splitlines()[2].startswith(line))
        self.assertTrue(terminal.render(self.results).splitlines()[-1].startswith(line))

    def test_what_was_not_tested_is_named(self):
        self.assertIn("| `buddy` | 10 | `invariant` | – | `double-release-missed` | – |",
                      markdown.render(self.results))
        self.assertIn("never exercised: double-release-missed on buddy",
                      terminal.render(self.results))

    def test_markdown_is_closed_and_takes_no_orders(self):
        made = self.fresh()
        made.findings[0].strategy = made.phases[-1].note = sample_campaign.HOSTILE
        made.phases[-1].state = "failed"
        document = markdown.render(made)
        outside = re.sub(r"^(`{3,}).*?^\1$", "", document, flags=re.DOTALL | re.MULTILINE)
        self.assertEqual(outside.count("<details>"), outside.count("</details>"))
        self.assertNotIn("<script>", re.sub(r"`[^`\n]*`", "", outside))
        self.assertNotRegex(document, "[\x00-\x09\x0b-\x1f\x7f-\x9f]")

    def test_tables_have_as_many_cells_in_each_row(self):
        tables = re.findall(r"(?:^\|.*\n)+", markdown.render(self.results), re.MULTILINE)
        self.assertGreaterEqual(len(tables), 4)
        for table in tables:
            self.assertEqual(1, len({len(re.findall(r"(?<!\\)\|", row))
                                     for row in table.splitlines()}), table)

    def test_it_stays_short_whatever_there_is(self):
        made = self.fresh()
        made.findings = [dataclasses.replace(made.findings[0], name="n%d" % i, text="x" * 100000)
                         for i in range(500)]
        self.assertLess(len(markdown.render(made)), 1 << 20)    # GitHub's limit for a summary
        made.findings = [dataclasses.replace(made.findings[0], name="n%d" % i, diagnosis="x" * 400,
                                             status=R.STATUSES[i % 4]) for i in range(8000)]
        lines = markdown.render(made).splitlines()
        self.assertLess(sum(map(len, lines)), 1 << 20)
        self.assertTrue("- and 3 780 more, which the other reports list" in lines)

    def test_what_no_campaign_writes_costs_no_report(self):
        """As after a disk that damages what it holds, or the hand of somebody."""
        db = sample_campaign.write(os.path.join(self.folder.name, "odd.db"), small=True)
        self.addCleanup(db.close)
        for change in ("UPDATE runs SET seconds = 9e999", "UPDATE sessions SET cpu_seconds = 9e999",
                       "UPDATE campaign_findings SET status = 'strange' WHERE status = 'known'",
                       "UPDATE jobs SET note = CAST(x'41ff42' AS TEXT)",
                       "UPDATE campaigns SET started = started || char(27), command = 'a' || char(1)"):
            db.write(change)
        made = R.Results.from_history(db, 3)
        self.assertIn("A\ufffdB", {job.note for job in made.jobs})
        self.assertEqual({R.NEW, R.FLAKY, R.FIXED}, {finding.status for finding in made.findings})
        self.assertEqual(3, len(made.of_status(R.NEW)))
        self.assertEqual(made.verdict, R.FINDING)
        self.assertEqual({}, {name: n for night in made.former for name, n in night.findings.items()
                              if name not in R.STATUSES})
        ET.fromstring(junit.render(made))

        def infinite(name):
            raise AssertionError(name)
        for render in (files.render_json, sarif.render):
            json.loads(render(made), parse_constant=infinite)
        self.assertIn("in ?", terminal.render(made))
        markdown.render(made)

    def test_all_tell_the_same(self):
        for night in self.nights:
            counts = matrix.counts(night)
            document = json.loads(files.render_json(night))
            run = json.loads(sarif.render(night))["runs"][0]
            root = ET.fromstring(junit.render(night))
            verdicts = {document["verdict"], run["properties"]["verdict"],
                        root.find(".//property[@name='verdict']").get("value"),
                        re.match("# Assay: (.*)", markdown.render(night)).group(1)}
            self.assertEqual({night.verdict}, verdicts)
            failed = {(case.get("classname").split(".")[1], case.get("name"))
                      for case in root.iter("testcase") if case.find("failure") is not None}
            red = {(cell.strategy, cell.property) for cell in night.matrix
                   if cell.state == matrix.FINDING}
            self.assertEqual(failed, red)
            self.assertEqual(len(red), counts[matrix.FINDING])


if __name__ == "__main__":
    unittest.main()
