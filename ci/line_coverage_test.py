#!/usr/bin/env python3
"""Line coverage by the real program: inputs that never end, and time that does."""
import json
import os
import shutil
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from ci import line_coverage, workbench  # noqa: E402
from reports.history import History  # noqa: E402

PROGRAM = os.path.abspath(line_coverage.target_path("buddy"))
if not os.path.exists(PROGRAM):     # run by hand
    PROGRAM = os.path.join(workbench.ROOT, "bazel-bin", line_coverage.target_path("buddy"))


class Bench:
    """A workbench that has one program."""

    def build_what_can(self, programs):
        return [label for label in programs if "buddy" not in label], "no such thing"

    def program(self, path):
        return PROGRAM


class Lines(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.corpus = self.join("corpus")
        os.mkdir(self.corpus)
        for name in os.listdir(os.path.join(workbench.ROOT, "corpus", "seeds")):
            shutil.copy(os.path.join(workbench.ROOT, "corpus", "seeds", name), self.corpus)

    def join(self, *names):
        return os.path.join(self.folder, *names)

    def replay(self, late=lambda: False):
        return line_coverage.replay(PROGRAM, "buddy", self.corpus, late, self.folder)

    def own(self, told):
        self.assertEqual([entry.file for entry in told.files], ["allocators/buddy.c"])
        return told.files[0]

    def test_seeds_run_most_lines(self):
        told = self.replay()
        self.assertEqual((told.inputs, told.crashed), (told.of, 0))
        entry = self.own(told)
        self.assertGreater(entry.covered / entry.lines, 0.8)
        self.assertGreater(entry.regions_covered, 0)
        self.assertEqual(len(entry.missing), entry.lines - entry.covered)
        self.assertEqual(os.listdir(self.folder), ["corpus"])

    def test_empty_program_runs_fewer(self):
        whole = self.own(self.replay())
        shutil.rmtree(self.corpus)
        os.mkdir(self.corpus)
        with open(self.join("corpus", "0"), "wb") as f:
            f.write(b"\0")
        self.assertLess(self.own(self.replay()).covered, whole.covered)

    def test_input_that_never_ends_loses_nothing(self):
        whole = self.own(self.replay())
        names = sorted(os.listdir(self.corpus))
        # The process waits for somebody to write into it, after half of the inputs.
        os.mkfifo(self.join("corpus", names[len(names) // 2] + "-stuck"))
        former, line_coverage._STUCK = line_coverage._STUCK, 0.5
        self.addCleanup(setattr, line_coverage, "_STUCK", former)
        told = self.replay()
        self.assertEqual(told.inputs, len(names) + 1)
        self.assertGreater(told.crashed, 0)
        self.assertEqual(self.own(told).missing, whole.missing)

    def test_time_over_tells_what_ran(self):
        names = sorted(os.listdir(self.corpus))
        os.mkfifo(self.join("corpus", names[-1] + "-stuck"))
        calls = []
        told = self.replay(late=lambda: calls.append(1) or len(calls) > 10)
        self.assertEqual(told.crashed, 0)
        self.assertGreater(self.own(told).covered, 0)

    def test_no_time_at_all(self):
        told = self.replay(late=lambda: True)
        self.assertEqual((told.inputs, told.files), (0, []))

    def test_phase_stores_once(self):
        history = History(self.join("history.db"))
        self.addCleanup(history.close)
        campaign = history.insert("campaigns", uuid="a", command="overnight", started="now")
        corpora = {"buddy": self.corpus, "tlsf": self.corpus, "gone": self.join("gone")}
        said = []
        note = line_coverage.measure(Bench(), history, campaign, corpora, 60, lambda: False,
                                     said.append, self.folder)
        self.assertEqual(note, "tlsf: its program could not be built")
        row, = history.query("SELECT * FROM line_coverage")
        self.assertEqual((row["strategy"], row["file"]), ("buddy", "allocators/buddy.c"))
        self.assertEqual(len(json.loads(row["missing"])), row["lines"] - row["covered"])
        said.clear()
        self.assertEqual(line_coverage.measure(Bench(), history, campaign, {"buddy": self.corpus},
                                               60, lambda: False, said.append), "")
        self.assertEqual(said, [])

    def test_nothing_measured_is_told(self):
        history = History(self.join("history.db"))
        self.addCleanup(history.close)
        campaign = history.insert("campaigns", uuid="a", command="overnight", started="now")
        with self.assertRaisesRegex(workbench.CannotRun, "tlsf: its program could not be built"):
            line_coverage.measure(Bench(), history, campaign, {"tlsf": self.corpus}, 60,
                                  lambda: False)
        with self.assertRaisesRegex(workbench.CannotRun, "no time for buddy"):
            line_coverage.measure(Bench(), history, campaign, {"buddy": self.corpus}, 60,
                                  lambda: True)

    def test_ranges(self):
        self.assertEqual(line_coverage.ranges([1, 2, 3, 7, 9, 10]), "1-3, 7, 9-10")
        self.assertEqual(line_coverage.ranges([]), "")


if __name__ == "__main__":
    unittest.main()
