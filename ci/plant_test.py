#!/usr/bin/env python3
"""The whole way on the real programs: a planted bug is found, minimised, reported, reproduced."""
import glob
import json
import os
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree as ET

CI = os.path.dirname(os.path.abspath(__file__))
PREBUILT = os.path.dirname(CI)

# Any planted bug would do; this one takes the fuzzer some thousand inputs.
PLANT = "free_list+header_size_wraps"


class PlantTest(unittest.TestCase):
    def run_it(self, script, *arguments):
        result = subprocess.run(
            [sys.executable, os.path.join(CI, script), *arguments, "--prebuilt", PREBUILT],
            capture_output=True, text=True, timeout=50, check=False)
        return result.returncode, result.stdout, result.stderr

    def test_plant(self):
        with tempfile.TemporaryDirectory() as out:
            code, printed, err = self.run_it(
                "fuzz_command.py", "--plant", PLANT, "--minutes", "0.4", "--jobs", "1",
                "--out", out)
            self.assertEqual((1, ""), (code, err), printed)
            with open(os.path.join(out, "report.json"), encoding="utf-8") as f:
                report = json.load(f)
            finding = report["findings"][0]
            self.assertFalse(finding["flaky"], finding)
            self.check_files(finding)
            self.check_reports(out, finding)
            self.assertIn("Reproduce it:  ci/repro ", printed)
            code, told, err = self.run_it("repro_command.py", finding["path"])
            self.assertEqual(1, code, err)
            self.assertIn("Verdict: " + finding["property"], told)
            code, told, _ = self.run_it("repro_command.py", finding["path"], "--json")
            self.assertEqual((1, finding["property"]), (code, json.loads(told)["verdict"]))

    def check_files(self, finding):
        self.assertLessEqual(finding["operations"], 20)
        beside = {path[len(finding["path"]):] for path in glob.glob(
            glob.escape(finding["path"]) + "*")}
        self.assertEqual({"", ".json", ".txt", ".c", ".svg", ".md"}, beside)
        with open(finding["path"] + ".txt", encoding="utf-8") as f:
            self.assertIn("heap source=", f.read())
        with open(finding["path"] + ".c", encoding="utf-8") as f:
            self.assertIn("int main(void)", f.read())
        with open(finding["path"] + ".md", encoding="utf-8") as f:
            report = f.read()
        for part in ("heap source=", "<== " + finding["property"], "int main(void)", "ci/repro ",
                     "replays showed it", "The heap before operation", finding["name"] + ".svg"):
            self.assertIn(part, report)
        picture = ET.parse(finding["path"] + ".svg").getroot()
        self.assertTrue([e for e in picture.iter() if e.get("class") == "guilty-operation"])
        with open(finding["path"] + ".json", encoding="utf-8") as f:
            stored = f.read()
        # Nothing that holds on this machine alone.
        self.assertNotIn(os.path.dirname(finding["path"]), stored + report)
        self.assertEqual((1, 5), (json.loads(stored)["schema"],
                                  json.loads(stored)["replays"]["runs"]))

    def check_reports(self, out, finding):
        failure = ET.parse(os.path.join(out, "report.xml")).getroot().find(".//failure")
        self.assertEqual(finding["property"], failure.get("type"))
        self.assertIn("heap source=", failure.text)
        with open(os.path.join(out, "report.md"), encoding="utf-8") as f:
            self.assertIn(finding["path"], f.read())


if __name__ == "__main__":
    unittest.main()
