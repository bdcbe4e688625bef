#!/usr/bin/env python3
"""ci/footprint: on the real programs of a board, whose figures two pages tell, and on made-up ones.

    footprint_command_test.py --compiler CC MadeUpTest
    footprint_command_test.py --compiler CC --world WORLD RealTest
"""
import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

CI = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(CI)
sys.path.insert(0, ROOT)
from ci import footprint_command  # noqa: E402
from reports import footprint, markdown, terminal  # noqa: E402
from reports.history import History  # noqa: E402
from reports.results import CLEAN, COULD_NOT_RUN, Results  # noqa: E402

OPTIONS = None

# Another compiler makes other code, though not quite another: by so much may a figure of the page differ.
_FACTOR, _BYTES = 1.3, 24

_COMMON = {"strategy", "source", "arithmetic", "memory", "fixed_heap", "span"}

_OBJECT = """const int constants[%d] = {1};
int variable[3] = {1}, zeroed[2];
"""

_SAYS = """self-test bump: 24 programs clean, 0 violated, 0 unfit; 875 operations, 12227 checks
footprint bump allocate calls=842 instructions=%s stack=16
footprint bump create calls=97 instructions=%s stack=72
"""


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(dir=os.environ.get("TEST_TMPDIR"))
        self.addCleanup(shutil.rmtree, self.folder)

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def run_it(self, *arguments):
        """Returns exit code, stdout, stderr."""
        result = subprocess.run(
            [sys.executable, os.path.join(CI, "footprint_command.py"), "--out", self.path("out"), *arguments],
            capture_output=True, text=True, timeout=250, check=False)
        self.assertNotIn("Traceback", result.stderr)
        return result.returncode, result.stdout, result.stderr

    def told(self):
        with open(self.path("out", "results.json"), encoding="utf-8") as file:
            return json.load(file)


class MadeUpTest(Case):
    """Two worlds, one of them without its compiler, and a strategy of one object."""

    def build(self, constants=5, instructions="29", last=footprint_command._WHOLE, code=0):
        shutil.rmtree(self.path("bin"), ignore_errors=True)
        os.makedirs(self.path("bin", "freestanding"))
        self.write("footprint_facts.json", json.dumps({
            "subjects": {"bump": "strategy"},
            "worlds": {"cortex_m3": {"there": True, "missing": [], "options": "-Os"},
                       "riscv32": {"there": False, "missing": ["gcc-riscv64-unknown-elf"], "options": "-Os"}}}))
        self.write("objects_cortex_m3.txt", "bump freestanding/bump.o\n")
        self.write("worlds_few.pack", "")
        self.write("footprint_cortex_m3", "#!/bin/sh\ncat <<'END'\n%s%s\nEND\nexit %d\n" % (
            _SAYS % (instructions, instructions), last, code))
        os.chmod(self.path("bin", "freestanding", "footprint_cortex_m3"), 0o755)
        self.write("bump.c", _OBJECT % constants)
        subprocess.run([OPTIONS.compiler, "-c", "bump.c", "-o", "bump.o"], check=True,
                       cwd=self.path("bin", "freestanding"))

    def write(self, name, content):
        with open(self.path("bin", "freestanding", name), "w", encoding="utf-8") as file:
            file.write(content)

    def measure(self, *arguments):
        return self.run_it("--prebuilt", self.path("bin"), *arguments)

    def values(self):
        return {(row["operation"], row["metric"]): row["value"] for row in self.told()["footprints"]}

    def test_figures_and_what_is_missing(self):
        self.build()
        code, printed, err = self.measure()
        self.assertEqual(0, code, err)
        values = self.values()
        self.assertEqual(20, values["", "data"])
        self.assertEqual({("allocate", "instructions"): 29, ("allocate", "stack"): 16,
                          ("create", "instructions"): 29, ("create", "stack"): 72},
                         {key: value for key, value in values.items() if key[0]})
        less = values["", "code"]
        self.assertIn("RISC-V, 32 bits needs gcc-riscv64-unknown-elf (ci/setup --worlds)", printed)
        self.assertRegex(printed, r"bump +72\n")
        self.build(constants=8)
        self.assertEqual(0, self.measure()[0])
        self.assertEqual(less + 12, self.values()["", "code"])

    def test_what_is_not_counted_is_not_there(self):
        self.build(instructions="-")
        self.assertEqual(0, self.measure()[0])
        self.assertEqual({"code", "data", "stack"}, {metric for _, metric in self.values()})

    def test_a_program_that_fails(self):
        for failure in ({"code": 1}, {"last": "footprint: NOT all of it was measured"}):
            self.build(**failure)
            code, printed, _ = self.measure("--history", self.path("history"))
            self.assertEqual(2, code)
            self.assertIn("Cortex-M3 its program ended with", printed)
            self.assertEqual({"code", "data"}, {metric for _, metric in self.values()})
        history = History(self.path("history", "history.db"))
        self.addCleanup(history.close)
        self.assertEqual(COULD_NOT_RUN, Results.from_history(history, 2).verdict)

    def test_nothing_to_measure(self):
        self.build()
        code, _, err = self.measure("--worlds", "riscv32")
        self.assertEqual(2, code)
        self.assertIn("ci/setup --worlds", err)
        code, _, err = self.measure("--worlds", "z80")
        self.assertEqual(2, code)
        self.assertIn("unknown world 'z80'", err)

    def test_history_and_reports(self):
        self.build()
        self.assertEqual(0, self.measure("--history", self.path("history"))[0])
        self.build(instructions="34")
        code, printed, err = self.measure("--history", self.path("history"))
        self.assertEqual(0, code, err)
        self.assertIn("34 +5", printed)
        self.assertIn("2 of 6 figures differ from the measurement before", printed)
        history = History(self.path("history", "history.db"))
        self.addCleanup(history.close)
        mine = Results.from_history(history, 2)
        self.assertEqual((CLEAN, 6), (mine.verdict, mine.footprints_here))
        history.insert("campaigns", uuid="night", command="overnight", started="2031-02-03T04:05:06Z")
        later = Results.from_history(history, 3)
        self.assertEqual(mine.footprints, later.footprints)
        self.assertEqual((0, mine.started), (later.footprints_here, later.footprints_from))
        self.assertIn("by another campaign", footprint.says(later))
        self.assertIn("footprint: Measured on ", terminal.render(later))
        self.assertIn("| `bump` | 34 (+5) | 34 (+5) |", markdown.render(later))
        # Who measures in the morning sees it in the report of the night.
        history.insert("campaigns", uuid="before", command="overnight", started="2031-02-02T04:05:06Z", id=-1)
        self.assertEqual([34, 34], [row.value for row in Results.from_history(history, -1).footprints
                                    if row.metric == "instructions"])
        self.assertEqual([29, 29], [row.value for row in Results.from_history(history, 1).footprints
                                    if row.metric == "instructions"])


def of_page(page):
    """{strategy: (file, headers, other files, [figures])} of the page's table."""
    found = {}
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("| `") or len(cells) != 6:
            continue
        names = re.findall(r"`([\w.]+)`", cells[0])
        besides = re.findall(r"`([\w.]+)`", cells[1])
        found[names[0]] = (names[-1].removesuffix(".c"), {name for name in besides if "." not in name},
                           [None if cell == "–" else int(cell.replace(" ", "")) for cell in cells[2:]])
    return found


def code_of_collections(page):
    """{subject: bytes of code} of that page's table."""
    found = {}
    for line in page.partition("| | memory | time | code |")[2].splitlines()[2:]:
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) != 4:
            break
        found.update(zip([name.replace(" ", "_") for name in cells[0].split(", ")],
                         [int(cell.replace(" ", "")) for cell in cells[3].split(", ")]))
    return found


class RealTest(Case):
    @classmethod
    def setUpClass(cls):
        with open(os.path.join(ROOT, "allocators", "README.md"), encoding="utf-8") as file:
            cls.page = of_page(file.read())
        with open(os.path.join(ROOT, "collections", "README.md"), encoding="utf-8") as file:
            cls.collections = code_of_collections(file.read())

    def check_alike(self, told, found, what):
        self.assertLessEqual(found, told * _FACTOR + _BYTES, what)
        self.assertLessEqual(told, found * _FACTOR + _BYTES, what)

    def test_headers_of_the_page(self):
        self.assertGreater(len(self.page), 10)
        for strategy, (file, besides, _) in self.page.items():
            made = subprocess.run(
                [OPTIONS.compiler, "-MM", "-I.", "-DLOCKED_INNER=free_list", "allocators/%s.c" % file],
                cwd=ROOT, capture_output=True, text=True, check=True).stdout
            self.assertEqual(besides, set(re.findall(r"allocators/(\w+)\.h", made)) - _COMMON, strategy)

    def test_figures_of_the_page(self):
        code, _, err = self.run_it("--prebuilt", ROOT, "--worlds", OPTIONS.world)
        self.assertEqual(0, code, err)
        rows = self.told()["footprints"]
        values = {(row["subject"], row["operation"], row["metric"]): row["value"] for row in rows}
        for strategy, (_, _, figures) in self.page.items():
            measured = [values[strategy, "", "code"], values[strategy, "allocate", "instructions"],
                        values.get((strategy, "release", "instructions")),
                        max(row["value"] for row in rows
                            if (row["subject"], row["metric"]) == (strategy, "stack"))]
            for told, found in zip(figures, measured):
                self.assertEqual(told is None, found is None, strategy)
                if told is not None:
                    self.check_alike(told, found, (strategy, figures, measured))
        self.assertGreaterEqual(set(self.collections), {"vector", "string", "list", "hash_map", "print"})
        for subject, told in self.collections.items():
            self.check_alike(told, values[subject, "", "code"], subject)
        # Each operation that a strategy offers was called.
        self.assertEqual({row["subject"] for row in rows if row["kind"] == "strategy"},
                         {subject for subject, operation, _ in values if operation == "allocate"})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--compiler", required=True)
    parser.add_argument("--world", default="")
    OPTIONS, rest = parser.parse_known_args()
    unittest.main(argv=sys.argv[:1] + rest, verbosity=2)
