#!/usr/bin/env python3
"""Measuring the power of a campaign, on a fake fuzzer: what is stored, what comes next, what stops it."""
import os
import sys
import tempfile
import unittest

CI = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(CI)
sys.path.insert(0, ROOT)
from ci import fakes, power, workbench  # noqa: E402
from reports.history import History  # noqa: E402

# What it does is said by the bug's name.
TARGET = r'''
import os, sys, time
bug = os.environ["ASSAY_STRATEGY"].partition("+")[2]
def end(executions, code):
    print("stat::number_of_executed_units: %d" % executions, flush=True)
    sys.exit(code)
assert "-runs=300000" in sys.argv
if bug == "slow": time.sleep(600)
if bug == "survives": end(300000, 0)
if bug == "broken": sys.exit(9)
print("ASSERTION FAILED: " + {"kills": "overlap", "else": "zeroed"}[bug], flush=True)
end(7, 77)
'''


class Power(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = temporary.name
        self.write("tree/allocators/alpha.c", "int alpha;\n")
        self.write("tree/corpus/seeds/one", "x")
        self.write("tree/fuzz/bugs/README", "")
        with open(os.path.join(ROOT, "harness", "property.h"), encoding="utf-8") as file:
            self.write("tree/harness/property.h", file.read())
        fakes.script(self.path("bin", "fuzz", "planted_libfuzzer.elf"), TARGET)
        self.history = History(self.path("history.db"))
        self.addCleanup(self.history.close)
        self.campaigns = 0

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def write(self, name, text):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)

    def plant(self, *names):
        for name in names:
            self.write("tree/fuzz/plants/alpha.%s.patch" % name, fakes.PATCH % ("it does not " + name))

    def campaign(self):
        self.campaigns += 1
        return self.history.insert("campaigns", uuid=str(self.campaigns), command="overnight",
                                   started="now")

    def measure(self, campaign, seconds=60, stop=lambda: False, strategies=("alpha",)):
        os.makedirs(self.path("tmp"), exist_ok=True)
        return power.measure(workbench.Workbench(self.path("bin")), self.history, campaign,
                             strategies, seconds, stop, folder=self.path("tmp"),
                             tree=self.path("tree"), at_once=2)

    def rows(self):
        return {row["bug"]: row for row in self.history.query("SELECT * FROM kills ORDER BY seed")}

    def test_kills_are_stored(self):
        self.plant("kills", "else", "survives")
        first = self.campaign()
        self.assertEqual(self.measure(first), "")
        self.assertEqual(
            {bug: (row["killed"], row["property"], row["executions"], row["seed"], row["expected"])
             for bug, row in self.rows().items()},
            {"alpha+kills": (1, "overlap", 7, 1, "overlap content"),
             "alpha+else": (0, "zeroed", 7, 1, "overlap content"),
             "alpha+survives": (0, "", 300000, 1, "overlap content")})
        # Resumed: all is there. The next campaign measures anew, with other random numbers.
        self.assertEqual(self.measure(first), "")
        self.assertEqual(len(self.history.query("SELECT 1 FROM kills")), 3)
        self.assertEqual(self.measure(self.campaign()), "")
        self.assertEqual({row["seed"] for row in self.rows().values()}, {2})

    def test_goes_on_where_the_time_was_over(self):
        self.plant("kills", "slow")
        note = self.measure(self.campaign(), seconds=3)
        self.assertEqual(note, "1 planted bug of 2 not measured, these first the next time")
        self.assertEqual(list(self.rows()), ["alpha+kills"])
        bugs = power.bug_catalogue.read(self.path("tree"), "all")
        version = workbench.source_version()
        turns = power.in_turn(self.history, self.campaign(), bugs, version)
        self.assertEqual([(bug.name, seed) for bug, seed in turns],
                         [("alpha+slow", 1), ("alpha+kills", 2)])

    def test_other_sources_come_before_these(self):
        self.plant("kills", "else")
        bugs = power.bug_catalogue.read(self.path("tree"), "all")
        run = {"engine": "libfuzzer", "mutator": "operations", "seed": 1, "end": "killed",
               "property": "overlap", "executions": 1, "cpu_seconds": 1}
        by_name = {bug.name: bug for bug in bugs}
        power.store(self.history, self.campaign(), by_name["alpha+else"], run, "now")
        power.store(self.history, self.campaign(), by_name["alpha+kills"], run, "before")
        turns = power.in_turn(self.history, self.campaign(), bugs, "now")
        self.assertEqual([bug.name for bug, _ in turns], ["alpha+kills", "alpha+else"])

    def test_nothing_measured_is_told(self):
        self.plant("kills")
        with self.assertRaisesRegex(workbench.CannotRun, "the time was over"):
            self.measure(self.campaign(), stop=lambda: True)
        self.assertEqual(self.measure(self.campaign(), strategies=["beta"]),
                         "no bug is planted in these strategies")
        self.plant("broken")
        os.unlink(self.path("tree/fuzz/plants/alpha.kills.patch"))
        with self.assertRaisesRegex(workbench.CannotRun, r"alpha\+broken.*exit code 9"):
            self.measure(self.campaign())


if __name__ == "__main__":
    unittest.main()
