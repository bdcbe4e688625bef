#!/usr/bin/env python3
"""Heap maps of a known story: what must be in the picture, and where."""
import os
import re
import sys
import unittest
import xml.etree.ElementTree as ET

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from reports import heap_map  # noqa: E402

SVG = "{http://www.w3.org/2000/svg}"


def span(start, size, kind, slot=None):
    return {"start": start, "size": size, "kind": kind, "slot": slot}


def example():
    """Two blocks; the first is released, and the third lies over the second."""
    steps = [{"text": "allocate 0 size=16", "result": "done", "start": 16, "size": 16},
             {"text": "allocate 1 size=16", "result": "done", "start": 32, "size": 16},
             {"text": "release 0", "result": "done", "start": 16, "size": 16},
             {"text": "allocate 2 size=24", "result": "violated"}]
    states = [{"before": i, "end": False, "whole": True, "broken": None,
               "spans": [span(0, 16, "meta"), span(16, 48, "free")]} for i in range(4)]
    states.append({"before": 3, "end": True, "whole": True, "broken": None,
                   "spans": [span(0, 16, "meta"), span(16, 24, "block", 2)]})
    return {
        "schema": 1, "strategy": "bad & <worse>", "verdict": "overlap", "operation": 3,
        "diagnosis": "operation 3: 0x10..0x28 lies over the live block of slot 1", "site": "allocate",
        "guilty": {"start": 32, "size": 8}, "heap": {}, "steps": steps, "states": states,
        "first_visible": {"operation": 2, "verdict": "walk", "diagnosis": "operation 2, release"},
        "lives": [{"slot": 0, "start": 16, "size": 16, "begin": 0, "end": 2},
                  {"slot": 1, "start": 32, "size": 16, "begin": 1, "end": None}]}


class Drawn:
    """The picture of a story, parsed."""

    def __init__(self, story):
        self.root = ET.fromstring(heap_map.render(story))
        self.texts = [element.text or "" for element in self.root.iter(SVG + "text")]

    def all(self, kind):
        """[(left, top, right, bottom)] of elements of that class."""
        return [tuple(round(value, 1) for value in (
            float(e.get("x")), float(e.get("y")), float(e.get("x")) + float(e.get("width")),
            float(e.get("y")) + float(e.get("height"))))
                for e in self.root.iter(SVG + "rect") if e.get("class") == kind]

    def lines(self, kind):
        return [float(e.get("y1")) for e in self.root.iter(SVG + "line") if e.get("class") == kind]


class HeapMapTest(unittest.TestCase):
    def test_bars_lie_where_and_when_the_blocks_lived(self):
        drawn = Drawn(example())
        first, second = drawn.all("live")
        frame, = drawn.all("frame")
        self.assertEqual(first[2], second[0])            # neighbours
        self.assertEqual(heap_map.ROW, second[1] - first[1])        # one operation later
        self.assertEqual(2 * heap_map.ROW, first[3] - first[1])     # two operations long
        self.assertEqual(frame[3], second[3])            # lives to the end
        for bar in (first, second):
            self.assertTrue(frame[0] <= bar[0] < bar[2] <= frame[2], (frame, bar))
        self.assertIn("0", drawn.texts)
        self.assertIn("1", drawn.texts)

    def test_the_guilty_bytes_and_the_guilty_operation_are_marked(self):
        drawn = Drawn(example())
        second = drawn.all("live")[1]
        guilty, = drawn.all("guilty")
        self.assertEqual(second[0], guilty[0])
        self.assertTrue(second[0] < guilty[2] < second[2])
        row, = drawn.lines("guilty-operation")
        self.assertTrue(guilty[1] < row < guilty[3])
        first, = drawn.lines("first-visible")
        self.assertEqual(heap_map.ROW, row - first)
        self.assertTrue(any(text.startswith(">   3 allocate 2") for text in drawn.texts))
        self.assertIn("0x20", drawn.texts)
        self.assertIn("0x28", drawn.texts)

    def test_what_is_told_apart_is_told_apart_in_grey(self):
        def lightness(colour):
            red, green, blue = (int(colour[i:i + 2], 16) for i in (1, 3, 5))
            return 0.299 * red + 0.587 * green + 0.114 * blue
        kinds = [heap_map.LIVE] + [heap_map.FILLS[kind] for kind in ("block", "free")]
        light = sorted(map(lightness, kinds + [heap_map.GUILTY]))
        self.assertGreater(min(b - a for a, b in zip(light, light[1:])), 25)

    def test_hostile_texts_and_nothing_known(self):
        Drawn(example())
        for keys in (("guilty",), ("first_visible",), ("guilty", "first_visible")):
            story = example()
            story.update(dict.fromkeys(keys))
            self.assertEqual("guilty" in keys, not Drawn(story).all("guilty"))
        story = example()
        story.update(lives=[], states=[], steps=[], guilty=None, first_visible=None, operation=0)
        self.assertEqual([], Drawn(story).all("live"))
        clean = example()
        for key in ("operation", "diagnosis", "guilty", "first_visible", "site"):
            del clean[key]
        clean["verdict"] = "clean"
        self.assertEqual([], Drawn(clean).lines("guilty-operation"))

    def test_long_programs_are_folded(self):
        story = example()
        count = 1000
        story["steps"] = [dict(story["steps"][0]) for _ in range(count)]
        story.update(operation=count - 1, first_visible=None, states=[])
        story["lives"] = [{"slot": i % 8, "start": 64 * i, "size": 16, "begin": i,
                           "end": i + 5} for i in range(count)]
        drawn = Drawn(story)
        self.assertLess(float(drawn.root.get("height")), 3000)
        self.assertLess(float(drawn.root.get("width")), 3000)
        self.assertTrue(any("operations folded" in text for text in drawn.texts))
        self.assertTrue(any(text.startswith("> 999") for text in drawn.texts))
        self.assertEqual(1, len(drawn.lines("guilty-operation")))

    def test_the_same_bytes_each_time(self):
        self.assertEqual(heap_map.render(example()), heap_map.render(example()))

    def test_what_is_no_story_is_refused(self):
        for wrong in (None, [], {}, {"schema": 2}, {"schema": 1, "strategy": "x"}):
            with self.assertRaises(heap_map.NoStory):
                heap_map.render(wrong)

    def test_every_field_is_documented(self):
        readme = os.path.join(os.path.dirname(os.path.abspath(__file__)), "README.md")
        with open(readme, encoding="utf-8") as f:
            part = f.read().partition("## The story of a finding")[2]
        words = set(re.findall(r"`(\w+)`", part))
        for name in list(example()) + list(example()["steps"][0]) + list(example()["states"][0]):
            self.assertIn(name, words)


if __name__ == "__main__":
    unittest.main()
