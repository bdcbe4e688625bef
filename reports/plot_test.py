#!/usr/bin/env python3
"""Pictures stand in one page, in both schemes, and are the same each time."""
import os
import re
import sys
import unittest
import xml.etree.ElementTree as ET

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from reports import plot  # noqa: E402


def luminance(colour):
    """Of WCAG 2.1."""
    parts = [int(colour[i:i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts]
    return sum(weight * x for weight, x in zip((0.2126, 0.7152, 0.0722), linear))


def contrast(one, other):
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


class ColourTest(unittest.TestCase):
    def test_on_light_and_dark(self):
        for colour in plot.COLOURS:
            for ground in ("#ffffff", "#161616"):
                self.assertGreaterEqual(contrast(colour, ground), 3, (colour, ground))

    def test_told_apart_without_colour(self):
        self.assertEqual(len(plot.COLOURS), len(set(map(str, plot.DASHES))))


@unittest.skipUnless(plot.library(), "no matplotlib")
class SvgTest(unittest.TestCase):
    def picture(self, name="one"):
        figure, axes = plot.figure()
        axes.plot([1, 10, 1000], [1, 2, 3], label="a <b> & 'c'", **plot.curve(0))
        axes.fill_between([1, 10, 1000], [0, 1, 2], [2, 3, 4], color=plot.COLOURS[1], alpha=0.2)
        axes.set_xscale("log")
        plot.seconds_axis(axes.xaxis)
        axes.legend()
        return plot.svg(figure, name, "Title <&>", "What it shows & \"why\"")

    def test_embeddable(self):
        made = self.picture()
        root = ET.fromstring(made)
        self.assertTrue(made.startswith("<svg "))
        self.assertEqual(["Title <&>", "What it shows & \"why\""], [
            root.find("{*}%s" % kind).text for kind in ("title", "desc")])
        labelled = root.get("aria-labelledby").split()
        ids = [element.get("id") for element in root.iter() if element.get("id")]
        self.assertLessEqual(set(labelled), set(ids))
        self.assertEqual(len(ids), len(set(ids)))
        self.assertTrue(all(i.startswith("one-") for i in ids), ids)
        for told in re.findall(r'href="#([^"]*)"|url\(#([^)]*)\)', made):
            self.assertIn(told[0] or told[1], ids)
        # Nothing of it reaches the rest of the page, or out of it.
        self.assertNotIn("<style", made)
        self.assertNotIn("<script", made)
        self.assertEqual([], [url for url in re.findall(r'https?://[^"\s<]*', made)
                              if "w3.org" not in url])
        self.assertIn("a <b> & 'c'", "".join(root.itertext()))
        self.assertIn("10 s", "".join(root.itertext()))

    def test_no_ink_that_a_scheme_swallows(self):
        used = set(re.findall(r"#[0-9a-f]{6}\b", self.picture()))
        self.assertLessEqual(used, set(plot.COLOURS))
        self.assertIn("currentColor", self.picture())

    def test_same_each_time(self):
        self.assertEqual(self.picture(), self.picture())

    def test_two_in_one_page(self):
        ids = [set(re.findall(r'\bid="([^"]*)"', self.picture(name))) for name in ("one", "two")]
        self.assertEqual(set(), ids[0] & ids[1])


if __name__ == "__main__":
    unittest.main(verbosity=2)
