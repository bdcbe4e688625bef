#!/usr/bin/env python3
"""All exhibits of a campaign as they come into one page."""
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree as ET

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from reports import effect, exhibit, exhibits, made_up, plot, sample_campaign  # noqa: E402


class ExhibitsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.path = os.path.join(cls.folder.name, "history.db")
        cls.history = sample_campaign.write(cls.path, small=True)
        cls.found = {night: exhibits.collect(cls.history, night, pictures=night == 3)
                     for night in (1, 2, 3)}

    @classmethod
    def tearDownClass(cls):
        cls.history.close()
        cls.folder.cleanup()

    def every(self):
        return [told for night in self.found.values() for told in night]

    def test_well_formed(self):
        for told in self.every():
            self.assertRegex(told.name, "^[a-z][a-z0-9-]*$")
            self.assertIn(told.section, exhibit.SECTIONS)
            self.assertTrue(told.title and told.says, told.name)
            self.assertEqual(told.enough, bool(told.rows), told.name)
            for row in told.rows:
                self.assertEqual(len(told.headings), len(row), told.name)
                self.assertTrue(all(isinstance(cell, str) for cell in row), row)
            if not told.enough:
                self.assertEqual("", told.svg)

    def test_names_are_unique_and_sections_in_order(self):
        for night in self.found.values():
            names = [told.name for told in night]
            self.assertEqual(len(names), len(set(names)))
            order = [exhibit.SECTIONS.index(told.section) for told in night]
            self.assertEqual(sorted(order), order)

    def test_json(self):
        for night in self.found.values():
            self.assertEqual(night, exhibits.from_json(exhibits.to_json(night)))
        # Standard JSON has no infinities and no NaN.
        json.loads(exhibits.to_json(self.found[3]), parse_constant=self.fail)

    def test_without_pictures(self):
        for told, drawn in zip(exhibits.collect(self.history, 3, pictures=False), self.found[3]):
            self.assertEqual("", told.svg)
            self.assertEqual(drawn.rows, told.rows)

    def test_empty_campaign(self):
        empty = made_up.Campaign()
        for told in exhibits.collect(empty.history, empty.id):
            self.assertFalse(told.enough, told.name)
            self.assertTrue(told.says)

    @unittest.skipUnless(effect.statistics(), "no scipy")
    def test_the_last_night_has_them(self):
        enough = {told.name for told in self.found[3] if told.enough}
        self.assertLessEqual({"growth-states", "growth-edges", "growth-findings", "saturation",
                              "engines-compared", "speed-memory", "trend-campaigns"}, enough)

    @unittest.skipUnless(plot.library() and effect.statistics(), "no matplotlib, no scipy")
    def test_pictures_share_a_page(self):
        pictures = [told.svg for told in self.found[3] if told.svg]
        self.assertGreater(len(pictures), 4)
        ids = []
        for picture in pictures:
            self.assertLess(len(picture.encode()), 100000)
            ET.fromstring(picture)
            ids += re.findall(r'\bid="([^"]*)"', picture)
            self.assertLessEqual(set(re.findall(r"#[0-9a-f]{6}\b", picture)), set(plot.COLOURS))
        self.assertEqual(len(ids), len(set(ids)))

    def test_as_a_program(self):
        program = os.path.join(os.path.dirname(os.path.abspath(exhibits.__file__)), "exhibits.py")
        found = subprocess.run([sys.executable, program, self.path, "3"], capture_output=True,
                               text=True, check=True, timeout=200)
        self.assertEqual(self.found[3], exhibits.from_json(found.stdout))


if __name__ == "__main__":
    unittest.main(verbosity=2)
