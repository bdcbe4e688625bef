#!/usr/bin/env python3
"""Pictures of traces, from the trace on: what they show is what the trace does.

    trace_picture_test.py --bin FOLDER
"""
import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from ci import workbench  # noqa: E402
from reports import trace_picture  # noqa: E402

OPTIONS = None

SAMPLE = "".join("%d: malloc 0x%x %d\n" % (7 + i % 3, 4096 + 64 * i, 1 << i % 11)
                 for i in range(40)) + "".join(
                     "%d: free 0x%x\n" % (7 + i % 2, 4096 + 64 * i) for i in range(30))
PROGRAM = os.path.join(workbench.ROOT, "ci", "trace_picture_command.py")


class PictureTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(dir=os.environ.get("TEST_TMPDIR"))
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.sample = self.path("sample", SAMPLE)

    def path(self, name, content=None):
        path = os.path.join(self.folder, name)
        if content is not None:
            with open(path, "w", encoding="utf-8") as file:
                file.write(content)
        return path

    def command(self, *arguments):
        result = subprocess.run([sys.executable, PROGRAM, "--prebuilt", OPTIONS.bin, *arguments],
                                capture_output=True, text=True, check=False, cwd=self.folder)
        return result.returncode, result.stdout, result.stderr

    def stats(self, path):
        return json.loads(workbench.Workbench(OPTIONS.bin).assay("stats", "--json", path))

    def test_drawn(self):
        self.assertEqual(self.command(self.sample), (0, "drawn: sample.svg\n", ""))
        ElementTree.parse(self.path("sample.svg"))
        code, output, errors = self.command(self.sample, "--output", self.path("a.png"))
        self.assertEqual((code, errors), (0, ""), output)
        with open(self.path("a.png"), "rb") as file:
            self.assertEqual(file.read(8), b"\x89PNG\r\n\x1a\n")

    def test_the_same_each_time(self):
        stats = self.stats(self.sample)
        for name in ("1.svg", "2.svg"):
            trace_picture.save(stats, self.path(name))
        with open(self.path("1.svg"), "rb") as one, open(self.path("2.svg"), "rb") as other:
            self.assertEqual(one.read(), other.read())

    def test_what_it_shows(self):
        stats = self.stats(self.sample)
        made = trace_picture.figure(stats)
        live, sizes, lifetimes, threads = made.axes[:4]
        operations, values = live.lines[0].get_data()
        self.assertEqual(operations[-1], 70)
        self.assertEqual(max(values), sum(1 << i % 11 for i in range(40)))
        self.assertEqual(values[-1], sum(1 << i % 11 for i in range(30, 40)))
        blocks = [axes for axes in made.axes if axes is not live
                  and "blocks" in axes.get_ylabel()][0].lines[0].get_ydata()
        self.assertEqual((max(blocks), blocks[-1]), (40, 10))
        heights = [bar.get_height() for bar in sizes.patches]
        self.assertEqual(len(heights), 11)
        self.assertAlmostEqual(heights[0], 100 * 4 / 40)   # 1 byte: the 1st, 12th, 23rd, 34th
        self.assertAlmostEqual(sum(heights), 100)
        self.assertAlmostEqual(sum(bar.get_height() for bar in lifetimes.patches), 100)
        self.assertEqual(list(threads.lines[0].get_ydata()),
                         sorted([14 + 15, 13 + 15, 13], reverse=True))

    def test_little(self):
        """One operation, and one that only resizes, have pictures; none has not."""
        for text in ("heap capacity=65536\nallocate 0 size=5\n",
                     "heap capacity=65536\nrelease 0\n"):
            code, _, errors = self.command(self.path("t", text))
            self.assertEqual((code, errors), (0, ""))
        code, _, errors = self.command(self.path("t", "heap capacity=65536\n"))
        self.assertEqual(code, 2)
        self.assertIn("without operations", errors)

    def test_refused(self):
        code, _, errors = self.command(self.path("nothing"))
        self.assertEqual((code, errors.count("\n")), (2, 1))
        self.assertIn("no such file", errors)
        self.assertEqual(self.command(self.path("t", "= Start\nx\n"))[0], 2)
        code, _, errors = self.command(self.sample, "--output", self.path("no/folder.svg"))
        self.assertEqual((code, errors.count("\n")), (2, 1), errors)
        for document in ("[]", '{"schema": 2}', '{"schema": 1}'):
            with self.assertRaises(trace_picture.NoStats):
                trace_picture.figure(json.loads(document))

    def test_documented(self):
        """Every field, and none that there is not."""
        with open(os.path.join(workbench.ROOT, "reports", "README.md"), encoding="utf-8") as file:
            section = file.read().split("## assay stats --json")[1].split("\n## ")[0]
        rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
        told = [name for row in rows for name in re.findall("`([a-z_]+)`", row)]
        stats = self.stats(self.sample)
        self.assertEqual(sorted(told), sorted(stats))
        for name, value in stats.items():
            for key in value if isinstance(value, dict) and name != "kinds" else ():
                self.assertIn("`%s`" % key, section)

    def test_numbers_in_words(self):
        self.assertEqual([trace_picture.short(n) for n in (0, 7, 999, 1000, 1500, 12345678)],
                         ["0", "7", "999", "1 K", "1.5 K", "12.3 M"])
        self.assertEqual(trace_picture.binary(65536), "64 K")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", default=".")
    OPTIONS, rest = parser.parse_known_args()
    OPTIONS.bin = os.path.abspath(OPTIONS.bin)
    unittest.main(argv=[sys.argv[0], *rest])
