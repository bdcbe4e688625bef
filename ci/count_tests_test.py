#!/usr/bin/env python3
"""Tests of count_tests.py: what of a run of Bazel's counts as passed, failed and skipped."""
import json
import os
import subprocess
import sys
import tempfile
import unittest

COUNT = os.path.join(os.path.dirname(os.path.realpath(__file__)), "count_tests.py")


class CountTest(unittest.TestCase):

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.events = []

    def file(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return "file://" + path

    def target(self, label, skipped="", passed=True, ran=True):
        self.events.append({"id": {"targetConfigured": {"label": label}},
                            "configured": {"targetKind": "sh_test rule"}})
        if not ran:
            return
        name = label.strip("/:")
        junit = "<testsuites><testsuite><testcase>%s</testcase></testsuite></testsuites>"
        inside = "" if passed else "<failure/>"
        if skipped:
            inside += '<skipped message="%s"/>' % skipped
        self.events.append({
            "id": {"testResult": {"label": label}},
            "testResult": {
                "status": "PASSED" if passed else "FAILED",
                "testActionOutput": [
                    {"name": "test.log", "uri": self.file(name + ".log", "SKIPPED: as others say")},
                    {"name": "test.xml", "uri": self.file(name + ".xml", junit % inside)}]}})

    def count(self, code):
        uri = self.file("events", "".join(json.dumps(e) + "\n" for e in self.events))
        ran = subprocess.run([sys.executable, COUNT, uri[len("file://"):], str(code)],
                             stdout=subprocess.PIPE, encoding="utf-8", check=False)
        return ran.returncode, ran.stdout.splitlines()

    def test_skipped_is_not_passed(self):
        self.target("//:right")
        self.target("//:one", "no library")
        self.target("//:two", "no library")
        self.assertEqual(self.count(0), (0, ["SKIPPED 2 tests: no library", "1 passed, 0 failed"]))

    def test_failed_is_not_skipped(self):
        self.target("//:wrong", "no library", passed=False)
        self.target("//:unbuilt", ran=False)
        self.assertEqual(self.count(3), (1, ["FAILED //:unbuilt (not run)", "FAILED //:wrong",
                                             "0 passed, 2 failed"]))

    def test_speaking_of_it_is_not_skipping(self):
        self.target("//:right")
        self.assertEqual(self.count(0), (0, ["1 passed, 0 failed"]))


if __name__ == "__main__":
    unittest.main()
