#!/usr/bin/env python3
"""The reviewed file: what it accepts, until when, and what is wrong with it."""
import datetime
import os
import sys
import tempfile
import types
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from ci import known_findings  # noqa: E402
from ci.workbench import CannotRun  # noqa: E402

ENTRY = """[[finding]]
strategy = "alpha"
property = "overlap"
signature = "11111111"
reason = "a reason"
expires = 2030-05-01
"""


def finding(strategy="alpha", property_id="overlap", signature="11111111"):
    return types.SimpleNamespace(strategy=strategy, property=property_id, signature=signature)


class KnownFindingsTest(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.path = os.path.join(temporary.name, "known.toml")

    def load(self, text):
        with open(self.path, "w", encoding="utf-8") as f:
            f.write(text)
        return known_findings.load(self.path)

    def test_the_tree_s_own_file_is_valid(self):
        known_findings.load()

    def test_matches_until_its_last_day(self):
        known = self.load(ENTRY)
        last = datetime.date(2030, 5, 1)
        self.assertEqual("a reason", known.match(finding(), last).reason)
        self.assertIsNone(known.match(finding(), last + datetime.timedelta(1)))
        for other in (finding(strategy="beta"), finding(property_id="content"),
                      finding(signature="11111112")):
            self.assertIsNone(known.match(other, last))

    def test_expired_and_idle_entries_are_told(self):
        early, late = datetime.date(2030, 1, 1), datetime.date(2030, 5, 2)
        known = self.load(ENTRY)
        self.assertIn("matched no finding", "".join(known.complaints(today=early)))
        self.assertEqual([], list(known.complaints(["beta"], early)))
        known.match(finding(), early)
        self.assertEqual([], list(known.complaints(today=early)))
        told = list(known.complaints(["beta"], late))
        self.assertEqual(1, len(told))
        self.assertIn("alpha overlap 11111111 expired on 2030-05-01", told[0])

    def test_a_day_may_be_a_text(self):
        known = self.load(ENTRY.replace("2030-05-01", '"2030-05-01"'))
        self.assertIsNotNone(known.match(finding(), datetime.date(2030, 5, 1)))

    def test_mistakes_name_file_entry_and_cure(self):
        lines = ENTRY.splitlines(keepends=True)
        for number, name in enumerate(known_findings._FIELDS, 1):
            self.refused("".join(lines[:number] + lines[number + 1:]),
                         "finding 1: '%s' is missing" % name)
        for old, new, said in (
                ("11111111", "1111", "eight hexadecimal digits"),
                ("11111111", "1111111G", "eight hexadecimal digits"),
                ("2030-05-01", '"soon"', "expires 'soon' is no day; write YYYY-MM-DD"),
                ("2030-05-01", '"2030-13-01"', "is no day"),
                ("2030-05-01", "2030-05-01T10:00:00", "is no day"),
                ('"a reason"', '" "', "'reason' must be a text"),
                ('"a reason"', "7", "'reason' must be a text"),
                ("reason =", "raeson = 1\nreason =", "'raeson' is not known"),
                ("[[finding]]", "[finding]", "two brackets"),
                ("[[finding]]", "[[findings]]", "'findings' is not known here"),
                ("[[finding]]", "[[finding", "no TOML")):
            self.refused(ENTRY.replace(old, new), said)
        self.refused(ENTRY + ENTRY, "finding 2: alpha overlap 11111111 is there twice")
        self.refused("finding = [1]", "write it as a table")

    def refused(self, text, said):
        with self.subTest(said), self.assertRaises(CannotRun) as caught:
            self.load(text)
        self.assertIn(said, str(caught.exception))
        self.assertIn("known.toml", str(caught.exception))

    def test_a_missing_file_is_an_error(self):
        with self.assertRaises(CannotRun):
            known_findings.load(self.path + ".not")


if __name__ == "__main__":
    unittest.main()
