#!/usr/bin/env python3
"""assay score: what scripts read of it, and its exit codes. No figure of speed is judged.

    score_cli_test.py --assay PROGRAM
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import unittest

ASSAY = None

TRACE = """heap source=pages capacity=65536 page=64
allocate 0 size=64
allocate 1 size=64
release 0
release 1
"""


def score(*arguments):
    """Returns exit code, standard output and standard error."""
    result = subprocess.run([ASSAY, "score", "--seconds", "0", *arguments], text=True, check=False,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=200)
    return result.returncode, result.stdout, result.stderr


class ScoreTest(unittest.TestCase):
    def write(self, name, text):
        folder = tempfile.TemporaryDirectory(dir=os.environ.get("TEST_TMPDIR"))
        self.addCleanup(folder.cleanup)
        path = os.path.join(folder.name, name)
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
        return path

    def test_json(self):
        code, out, err = score("--strategy", "slab", "--json", self.write("mine.txt", TRACE))
        self.assertEqual((0, ""), (code, err))
        *rows, mean = map(json.loads, out.splitlines())
        self.assertEqual("mine.txt", rows[-1]["workload"])
        self.assertEqual((4, 128), (rows[-1]["operations"], rows[-1]["peak_live"]))
        for row in rows:
            self.assertEqual("", row["reason"])
            self.assertAlmostEqual(row["peak_live"] / row["peak_heap"], row["utilisation"], 3)
            self.assertTrue(0 < row["utilisation"] <= 1, row)
            self.assertGreater(row["kops"], 0)
            self.assertGreater(row["libc_kops"], 0)
        self.assertIn("binary", [row["workload"] for row in rows])
        self.assertEqual(("mean", len(rows), len(rows)),
                         (mean["workload"], mean["scored"], mean["of"]))
        self.assertAlmostEqual(sum(row["utilisation"] for row in rows) / len(rows),
                               mean["utilisation"], 3)

    def test_resizes_are_made_of_what_there_is(self):
        # No resize, and all blocks of one region: what it does offer is not enough.
        code, out, _ = score("--strategy", "bump")
        self.assertEqual(1, code)
        self.assertIn("no score: it does not release blocks", out)
        self.assertRegex(out, r"0 of \d+ workloads have a score")

    def test_too_small_a_heap(self):
        code, out, _ = score("--strategy", "boundary_tag", "--heap", "1000000", "--json")
        self.assertEqual(1, code)
        rows = {row["workload"]: row for row in map(json.loads, out.splitlines())}
        self.assertIn("was refused", rows["random"]["reason"])
        self.assertIsNone(rows["random"]["utilisation"])
        self.assertEqual("", rows["coalescing"]["reason"])
        self.assertEqual(rows["mean"]["of"] - rows["mean"]["scored"], sum(
            bool(row.get("reason")) for row in rows.values()))

    def test_cannot_run(self):
        for arguments, words in ((["--strategy", "nobody"], "unknown strategy"), ([], "which"),
                                 (["--strategy", "slab", "--heap", "x"], "--heap"),
                                 (["--strategy", "slab", "/nowhere/x.trace"], "/nowhere/x.trace")):
            code, _, err = score(*arguments)
            self.assertEqual(2, code)
            self.assertIn(words, err)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--assay", required=True)
    options, rest = parser.parse_known_args()
    ASSAY = os.path.abspath(options.assay)
    unittest.main(argv=[sys.argv[0], *rest])
