#!/usr/bin/env python3
"""ci/report on the history of some nights: each format, lists, queries, and what is refused."""
import csv
import io
import json
import os
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree as ET

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from ci import report_command  # noqa: E402
from reports import catalogue, history, record, results, sample_campaign  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

REPORTS = ["report.html", "report.json", "report.md", "report.sarif", "report.xml"]

# Where home cannot be written to, matplotlib complains.
_DRAWN = tempfile.TemporaryDirectory()


def report(*arguments, folder=None):
    """(exit code, output, errors) of the command."""
    done = subprocess.run([os.path.join(ROOT, "ci", "report"), *arguments], cwd=folder,
                          env=dict(os.environ, MPLCONFIGDIR=_DRAWN.name), stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


class ReportTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.TemporaryDirectory()
        cls.folder = os.path.join(cls.scratch.name, "nights")
        os.mkdir(cls.folder)
        db = sample_campaign.write(os.path.join(cls.folder, history.NAME), small=True)
        cls.executions = [row[0] for row in db.query(
            "SELECT sum(executions) FROM sessions JOIN jobs ON jobs.id = job GROUP BY campaign")]
        for campaign in (1, 2, 3):
            record.checkpoint(db, campaign, cls.folder)
        db.close()

    @classmethod
    def tearDownClass(cls):
        cls.scratch.cleanup()

    def copy(self):
        """Of the folder, for a test that changes it."""
        scratch = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, scratch)
        return shutil.copytree(self.folder, os.path.join(scratch, "nights"))

    def refused(self, *arguments, says, folder=None):
        code, out, errors = report(*arguments, folder=folder)
        self.assertEqual((2, ""), (code, out))
        self.assertTrue(errors.startswith("ci/report: "), errors)
        self.assertEqual(1, errors.count("\n"), errors)
        self.assertIn(says, errors)

    def query(self, sql, kind="json"):
        code, out, errors = report(self.folder, "--format", kind, "--query", sql)
        self.assertEqual((0, ""), (code, errors), sql)
        return json.loads(out) if kind == "json" else out

    def test_each_format(self):
        for kind, check in (
                ("text", lambda out: self.assertIn("5 findings (2 new, 1 flaky, 1 known, 1 fixed), ",
                                                   out.splitlines()[-1])),
                ("markdown", lambda out: self.assertTrue(out.startswith("# Assay: finding\n"))),
                ("json", lambda out: self.assertEqual("finding", json.loads(out)["verdict"])),
                ("junit", lambda out: self.assertEqual("testsuites", ET.fromstring(out).tag)),
                ("sarif", lambda out: self.assertEqual("2.1.0", json.loads(out)["version"]))):
            code, out, errors = report(self.folder, "--format", kind)
            self.assertEqual((1, ""), (code, errors), kind)
            check(out)
        self.assertEqual(set(report_command.FORMATS),
                         set(report_command.RENDERERS) | {"html", "all"})

    def test_another_campaign_and_a_file(self):
        for wanted, number in (("1", 0), ("00001001", 1), ("last", 2)):
            path = os.path.join(self.scratch.name, "out.json")
            code, out, _ = report(self.folder, "--campaign", wanted, "--format", "json", "--output",
                                  path)
            self.assertEqual((1, ""), (code, out))
            with open(path, encoding="utf-8") as f:
                self.assertEqual(self.executions[number], json.load(f)["executions"])

    def test_all_of_them_beside_the_record(self):
        folder = self.copy()
        code, out, _ = report(folder, "--format", "all", "--campaign", "2")
        self.assertEqual((1, 5), (code, len(out.splitlines())))
        uuid = "00001001-0000-4000-8000-000000000001"
        self.assertEqual([record.NAME] + REPORTS, sorted(os.listdir(
            os.path.join(folder, "campaigns", uuid))))
        self.assertFalse(os.path.exists(os.path.join(folder, "report.md")))

    def test_the_exit_code_is_the_campaigns(self):
        folder = self.copy()
        db = history.History(os.path.join(folder, history.NAME))
        for change, code in (
                ("UPDATE campaign_findings SET status = 'known' WHERE status IN ('new', 'flaky')", 2),
                ("UPDATE jobs SET problem = '', not_started = 1 WHERE problem != ''", 3),
                ("UPDATE phases SET state = 'failed' WHERE name = 'power' AND campaign = 3", 2),
                ("UPDATE phases SET state = 'done'", 3),
                ("UPDATE campaign_findings SET status = 'fixed'", 0),
                ("UPDATE campaigns SET error = 'no space left'", 2)):
            db.write(change)
            self.assertEqual(code, report(folder)[0], change)
            listed = json.loads(report(folder, "--list", "--format", "json")[1])[0]
            self.assertEqual(code, results.EXIT_CODES[listed["verdict"]], change)
        db.close()

    def test_list(self):
        code, out, _ = report(self.folder, "--list")
        lines = out.splitlines()
        self.assertEqual((0, 5), (code, len(lines)))
        self.assertIn("2 new, 1 flaky, 1 known, 1 fixed", lines[2])
        told = json.loads(report(self.folder, "--list", "--format", "json")[1])
        self.assertEqual(self.executions, [row["executions"] for row in reversed(told)])
        self.assertEqual([3, 2, 1], [row["id"] for row in told])

    def test_a_query_as_table_csv_and_json(self):
        sql = "SELECT strategy, count(*) AS n, NULL AS absent FROM jobs GROUP BY strategy"
        rows = self.query(sql)
        self.assertEqual({"strategy": "bump", "n": 12, "absent": None},
                         next(row for row in rows if row["strategy"] == "bump"))
        self.assertEqual(["strategy", "n", "absent"], next(csv.reader(io.StringIO(
            self.query(sql, "csv")))))
        lines = self.query(sql, "text").splitlines()
        self.assertEqual(["strategy      n  absent", "-----------  --  ------",
                          "buddy        12"], lines[:3])

    def test_hostile_text_cannot_drive_the_terminal(self):
        out = self.query("SELECT diagnosis, text FROM findings", "text")
        self.assertIn("<script>", out)
        self.assertNotRegex(out, "[\x00-\x09\x0b-\x1f\x7f-\x9f]")
        self.assertIn("\x1b[31m", self.query("SELECT diagnosis FROM findings WHERE id = "
                                             "(SELECT id FROM findings WHERE property LIKE "
                                             "'invariant%')")[0]["diagnosis"])

    def test_a_query_changes_nothing(self):
        for sql in ("DELETE FROM campaigns", "UPDATE campaigns SET uuid = 'x'",
                    "CREATE TABLE t (a)", "DROP TABLE campaigns", "PRAGMA user_version = 9"):
            report(self.folder, "--query", sql)
            with sqlite3.connect(os.path.join(self.folder, history.NAME)) as db:
                self.assertEqual([(3,)], db.execute("SELECT count(*) FROM campaigns WHERE uuid != 'x'"
                                                    ).fetchall(), sql)
                self.assertEqual(history.SCHEMA, db.execute("PRAGMA user_version").fetchone()[0])
            db.close()
        self.refused(self.folder, "--query", "DELETE FROM campaigns", says="only reads")

    def test_every_query_of_the_documentation_answers(self):
        with open(os.path.join(ROOT, "reports", "README.md"), encoding="utf-8") as f:
            queries = re.findall(r"```sql\n(.*?)```", f.read(), re.DOTALL)
        self.assertGreaterEqual(len(queries), 8)
        for sql in queries:
            self.assertTrue(self.query(sql), sql)
        never = next(sql for sql in queries if "applicable" in sql)
        self.assertEqual({"strategy": "buddy", "property": "double-release-missed", "times": None},
                         self.query(never)[0])

    def test_every_example_of_the_help_works(self):
        folder = self.copy()
        examples = re.split(r"\n  (?=ci/report)", report_command.EPILOG.partition("exit codes")[0])[1:]
        self.assertGreaterEqual(len(examples), 8)
        for example in examples:
            words = shlex.split(re.sub(r"\s{3,}[^-\s\"].*", "", example, flags=re.DOTALL)
                                if '"' not in example else example)[1:]
            words = [folder if word == "DIR" else "00001001" if word == "3f2a" else word
                     for word in words]
            if not words:
                continue    # the checkout's own campaigns
            code, out, errors = report(*words, folder=os.path.dirname(folder))
            self.assertEqual("", errors, words)
            self.assertIn(code, (0, 1), words)
            self.assertTrue(out or "--output" in words, words)
        with open(os.path.join(os.path.dirname(folder), "report.html"), encoding="utf-8") as f:
            self.assertIn("<!DOCTYPE html>", f.read())
        # Those of the last campaign lie beside the history too.
        self.assertLessEqual(set(REPORTS), set(os.listdir(folder)))

    def test_refused(self):
        empty = os.path.join(self.scratch.name, "empty")
        os.makedirs(empty, exist_ok=True)
        self.refused(empty, says="no such history: ci/overnight and ci/fuzz make one")
        self.assertEqual([], os.listdir(empty))
        self.refused(self.folder, "--campaign", "nosuch", says="--list shows all 3")
        self.refused(self.folder, "--campaign", "0000", says="not one alone")
        self.refused(self.folder, "--query", "SELECT nonsense", says="reports/history.sql")
        self.refused(self.folder, "--query", "", says="begin with SELECT")
        self.refused(self.folder, "--query", "SELECT 1; SELECT 2", says="one statement")
        self.refused(self.folder, "--list", "--format", "html", says="text, csv, json")
        self.refused(self.folder, "--format", "csv", says="is not for this")
        self.refused(self.folder, "--nonsense", says="--help")
        self.refused(self.folder, "--format", "json", "--output", empty + "/a/b", says="a/b")
        history.History(os.path.join(empty, history.NAME)).close()
        self.refused(empty, says="has none yet")

    def test_a_mistake_of_ours_does_not_pass_for_a_finding(self):
        folder = self.copy()
        db = history.History(os.path.join(folder, history.NAME))
        db.write("UPDATE campaigns SET assay = X'ff'")
        db.close()
        code, _, errors = report(folder, "--format", "json")
        self.assertEqual(2, code)
        self.assertIn("Error", errors)

    def test_damage_is_said_and_repaired_when_asked_for(self):
        folder = self.copy()
        path = os.path.join(folder, history.NAME)
        with open(path, "r+b") as f:
            f.seek(4096)
            f.write(b"\x5a" * (os.path.getsize(path) - 8192))
        self.refused(folder, says="--rebuild")
        code, out, errors = report(folder, "--rebuild")
        self.assertEqual((0, ""), (code, errors))
        self.assertIn("history.db.damaged-", out)
        self.assertEqual(3, out.count("recovered from its record"))
        self.assertIn("3 campaigns", out.splitlines()[-1])
        self.assertEqual(report(self.folder)[1].replace(self.folder, ""),
                         report(folder)[1].replace(folder, ""))

    def test_a_folder_in_use_is_not_rebuilt(self):
        from ci import run_folder
        folder = self.copy()
        claimed = run_folder.RunFolder(folder, space=0, folders=())
        self.refused(folder, "--rebuild", says="in use by process %d" % os.getpid())
        self.assertEqual(1, report(folder)[0])      # but read
        claimed.release()


class CatalogueTest(unittest.TestCase):
    """What assay itself says there is to test, kept and read back."""

    def test_it_is_understood(self):
        # In the runfiles, or built in the checkout.
        program = next(path for path in (os.path.join(ROOT, *folder, "assay.elf")
                                         for folder in ((), ("bazel-bin",))) if os.path.exists(path))
        document = json.loads(subprocess.run([program, "list", "--json"], capture_output=True,
                                             check=True).stdout)
        db = history.History(":memory:")
        campaign = db.insert("campaigns", uuid="u", command="fuzz", started="t")
        for _ in range(2):
            catalogue.store(db, campaign, document)
        db.insert("jobs", campaign=campaign, strategy="bump", engine="afl", sanitizer="none")
        found = results.Results.from_history(db, campaign, folder="x")
        self.assertEqual([each["id"] for each in document["properties"]],
                         [each.id for each in found.properties])
        self.assertEqual("not applicable", found.cell("bump", "double-release-missed").state)
        self.assertEqual("never exercised", found.cell("bump", "overlap").state)
        self.assertTrue(found.property_text("invariant:bump.I1"))
        with self.assertRaises(ValueError):
            catalogue.store(db, campaign, dict(document, schema=99))
        db.close()


if __name__ == "__main__":
    unittest.main()
