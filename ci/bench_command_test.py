#!/usr/bin/env python3
"""ci/bench as people type it, on the real programs, for a moment: what it writes is well-formed. No
figure is judged."""
import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import xml.etree.ElementTree as ET

CI = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(CI)
sys.path.insert(0, ROOT)
from ci import bench_command, run_folder, workbench  # noqa: E402
from reports import made_up  # noqa: E402
from reports.history import History  # noqa: E402

TRACE = """heap source=fixed capacity=65536
allocate 0 size=100 align=16
resize 0 size=5000 align=16
zeroed 1 count=3 size=10 align=16
release 0
reset
"""


class BenchTest(unittest.TestCase):
    def setUp(self):
        self._temporary = tempfile.TemporaryDirectory()
        self.addCleanup(self._temporary.cleanup)
        self.out = self.path("out")
        self.environment = dict(os.environ, MPLCONFIGDIR=self.path("matplotlib"))

    def path(self, *names):
        return os.path.join(self._temporary.name, *names)

    def command(self, *arguments):
        return [sys.executable, os.path.join(CI, "bench_command.py"), "--prebuilt", ROOT, "--out",
                self.out, *arguments]

    def run_it(self, *arguments):
        """Returns exit code, stdout, stderr."""
        result = subprocess.run(self.command(*arguments), env=self.environment, cwd=self.path(),
                                capture_output=True, text=True, timeout=250, check=False)
        self.assertNotIn("Traceback", result.stderr)
        return result.returncode, result.stdout, result.stderr

    def results(self):
        with open(os.path.join(self.out, "results.json"), encoding="utf-8") as file:
            return json.load(file)

    def test_quick(self):
        trace = self.path("mine <1>.txt")
        with open(trace, "w", encoding="utf-8") as file:
            file.write(TRACE)
        code, printed, err = self.run_it(
            "--quick", "--strategies", "free_list,bump,arena", "--workloads",
            "lifo64,region,pages,python", "--trace", trace)
        self.assertEqual(0, code, err)
        told = self.results()
        self.assertEqual((1, 1, "", 1), tuple(told[key] for key in (
            "schema", "rounds", "stopped", "rounds_done")), err)
        runs = {(run["workload"], run["subject"]): run for run in told["runs"]}
        for workload in ("lifo64", "region", "pages", "mine <1>"):
            for subject in ("free_list", "glibc"):
                figures = runs[workload, subject]["summary"]
                self.assertGreater(figures["ns"]["median"], 0)
                self.assertGreater(figures["footprint"]["median"], 0)
        # Blocks lie in pages that are counted.
        self.assertGreaterEqual(runs["region", "free_list"]["summary"]["waste"], 1)
        self.assertIn("does not release", runs["lifo64", "bump"]["reason"])
        self.assertGreater(runs["region", "arena:keeps_chunks"]["summary"]["ns"]["median"], 0)
        recorded = [w for w in told["workloads"] if w["name"] == "python"]
        self.assertTrue(recorded or any("python" in note for note in told["notes"]), told["notes"])
        self.assertIn("at most 0.25 x glibc", printed)
        if "no plots: " in err:
            self.skipTest("no matplotlib")
        self.check_files()

    def check_files(self):
        names = os.listdir(self.out)
        self.assertIn("report.md", names)
        self.assertNotIn("tmp", names)
        for kind in ("speed-memory-lifo64.svg", "footprint-region.svg",
                     "footprint-mine__1_.svg", "tail-region.svg", "fragmentation-lifo64.svg"):
            self.assertIn(kind, names)
        self.check_tables()
        self.check_page()
        with open(os.path.join(self.out, "report.md"), encoding="utf-8") as file:
            report = file.read()
        for name in names:
            if name.endswith(".svg"):
                root = ET.parse(os.path.join(self.out, name)).getroot()
                self.assertEqual("{http://www.w3.org/2000/svg}svg", root.tag)
                text = "".join(root.itertext())
                self.assertIn("glibc", text)
                self.assertIn("(%s)" % name, report)

    def read(self, name):
        with open(os.path.join(self.out, name), encoding="utf-8", newline="") as file:
            return file.read()

    def check_tables(self):
        told = self.results()
        tails = {(run["workload"], run["subject"]): run["summary"]["latency"]
                 for run in told["runs"] if run["summary"]["latency"]}
        for tail in (tails["lifo64", "free_list"], tails["mine <1>", "glibc"]):
            times = [tail[key]["median"] for key in ("p50", "p99", "p99.9", "max")]
            self.assertEqual(sorted(times), times)
            self.assertGreater(times[-1], 0)
        figures = list(csv.DictReader(io.StringIO(self.read("figures.csv"))))
        self.assertEqual(
            {("region", "arena:keeps_chunks"), ("region", "glibc")},
            {(row["workload"], row["subject"]) for row in figures
             if row["metric"] == "latency-p99.9" and row["workload"] == "region"
             and row["subject"] in ("glibc", "arena:keeps_chunks")})
        curves = list(csv.DictReader(io.StringIO(self.read("curves.csv"))))
        mine = [row for row in curves if (row["workload"], row["subject"]) == ("region", "glibc")]
        self.assertGreater(len(mine), 100)
        for row in mine:
            if row["ratio"]:
                self.assertAlmostEqual(int(row["footprint_bytes"]) / int(row["live_bytes"]),
                                       float(row["ratio"]), 3)

    def check_page(self):
        page = self.read("report.html")
        for words in ("Tail of single operations", "Fragmentation over time: region",
                      "Speed against memory: lifo64", "mine &lt;1&gt;", "at most 0.25 x glibc",
                      "does not release"):
            self.assertIn(words, page)
        self.assertNotIn("mine <1>", page)
        ids = re.findall(r'\bid="([^"]+)"', page)
        self.assertEqual(len(set(ids)), len(ids))
        self.assertNotRegex(page, r'(?:src|href)="(?:http|//|[a-z]+\.)')

    def test_history(self):
        """A campaign of its own, which a second run does not touch."""
        folder = self.path("history")
        for _ in range(2):
            code, printed, err = self.run_it("--quick", "--strategies", "arena", "--workloads",
                                             "region", "--history", folder)
            self.assertEqual(0, code, err)
            self.assertIn("history: ", printed)
        told = self.results()
        history = History(os.path.join(folder, "history.db"))
        self.addCleanup(history.close)
        campaigns = history.query("SELECT * FROM campaigns")
        self.assertEqual([("bench", "ended")] * 2, [(row["command"], row["state"])
                                                    for row in campaigns])
        rows = history.query("SELECT * FROM benchmarks WHERE campaign = 2 AND metric = 'time'")
        self.assertEqual(
            sorted((run["subject"], run["summary"]["ns"]["median"]) for run in told["runs"]
                   if run["summary"]["ns"]),
            sorted((row["strategy"] + (":" + row["variant"] if row["variant"] else ""), row["value"])
                   for row in rows))
        self.assertIn("arena:keeps_chunks", [run["subject"] for run in told["runs"]])
        for row in campaigns:
            self.assertTrue(os.path.exists(os.path.join(folder, "campaigns", row["uuid"],
                                                        "record.json")))

    def test_history_in_use(self):
        folder = run_folder.RunFolder(self.path("history"), folders=())
        self.addCleanup(folder.release)
        code, _, err = self.run_it("--quick", "--history", folder.path)
        self.assertEqual(2, code)
        self.assertIn("is in use by process %d" % os.getpid(), err)

    def test_into_a_campaign(self):
        """As a phase of a campaign: within its time, stopped by it, and repeated."""
        mine = made_up.Campaign()
        bench = workbench.Workbench(ROOT)

        def measure(seconds, stop=lambda: False):
            note = bench_command.measure_into_history(
                bench, mine.history, mine.id, ["tlsf"], seconds, stop, folder=self.path())
            return note, mine.history.query(
                "SELECT * FROM benchmarks WHERE campaign = ? ORDER BY workload", mine.id)
        lines = []
        note, rows = measure(8, lambda: lines.append(1))
        self.assertIn("no recorded traces", note)
        self.assertGreater(len(lines), 1)
        self.assertIn(("tlsf", "lifo64", "time"), [
            (row["strategy"], row["workload"], row["metric"]) for row in rows])
        # Once more, after a kill: rows are replaced.
        _, again = measure(8)
        self.assertEqual(len({tuple(row)[:5] for row in again}), len(again))
        with self.assertRaises(workbench.CannotRun):
            measure(8, lambda: True)
        self.assertEqual([], os.listdir(self.path()))

    def test_interrupted(self):
        """What was measured is told."""
        with subprocess.Popen(self.command("--rounds", "4000", "--strategies", "bump",
                                           "--workloads", "region"), env=self.environment,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
            for line in child.stderr:
                if line.startswith("round "):
                    break
            time.sleep(0.5)
            child.send_signal(signal.SIGINT)
            printed, err = child.communicate(timeout=60)
        self.assertEqual(0, child.returncode, err)
        told = self.results()
        self.assertEqual("SIGINT", told["stopped"])
        self.assertLess(told["rounds_done"], 4000)
        self.assertIn("stopped early by SIGINT", printed)

    def test_refused(self):
        for arguments, says in (
                (["--strategies", "nosuch"], "unknown strategy 'nosuch'; there is: bump"),
                (["--strategies", "arena:nosuch"], "no strategy has the variant 'arena:nosuch'"),
                (["--workloads", "nosuch"], "unknown workload 'nosuch'; there is: lifo64"),
                (["--trace", "nosuch"], "nosuch: no such file"),
                (["--workloads", ","], "--workloads: name at least one"),
                (["--rounds", "0"], "--rounds: '0' is no number from 1 to 4096"),
                (["--nosuch"], "see ci/bench --help")):
            code, printed, err = self.run_it(*arguments)
            self.assertEqual((2, ""), (code, printed), err)
            self.assertIn(says, err)
            self.assertFalse(os.path.exists(self.out), arguments)

    def test_strict(self):
        code, _, err = self.run_it("--quick", "--strict", "--strategies", "page_bump",
                                   "--workloads", "region")
        # No bound is about these two.
        self.assertEqual(0, code, err)


if __name__ == "__main__":
    unittest.main(verbosity=2)
