#!/usr/bin/env python3
"""`assay compare` and `assay enumerate` as people and scripts use them.

    modes_test.py --assay PROGRAM
"""
import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import unittest

ASSAY = None


def assay(*arguments):
    """Runs assay; returns exit code, standard output and standard error."""
    result = subprocess.run([ASSAY, *arguments], text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, check=False, timeout=300)
    return result.returncode, result.stdout, result.stderr


def strategies():
    """Those of the house; collections are another matter."""
    return [strategy["name"] for strategy in json.loads(assay("list", "--json")[1])["strategies"]
            if "collection" not in strategy["traits"]]


def expected_properties(plant):
    """What may report a planted bug, by `assay list --planted`."""
    for line in assay("list", "--planted")[1].splitlines():
        if line.split()[0] == plant:
            return line[line.rindex("[") + 1:-1].split()
    raise AssertionError(plant)


class ModesTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(dir=os.environ.get("TEST_TMPDIR"))
        self.addCleanup(self.folder.cleanup)

    def path(self, name, content):
        path = os.path.join(self.folder.name, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(content)
        return path

    def refused(self, arguments, *words):
        """Exit code 2, nothing on standard output, a line that has all the words."""
        code, output, errors = assay(*arguments)
        self.assertEqual((code, output), (2, ""), (arguments, errors))
        for word in words:
            self.assertIn(word, errors)


class CompareTest(ModesTest):
    CLEAN = "heap capacity=8192\nallocate 0 size=100\nresize 0 size=300\nuse 0\nrelease 0\n"
    def test_agreement(self):
        code, output, _ = assay("compare", "--strategies", "all", self.path("a", self.CLEAN))
        self.assertEqual(code, 0, output)
        self.assertIn("clean, %d strategies agree" % len(strategies()), output)
        code, output, _ = assay("compare", "--json", "--strategies",
                                "free_list:best_fit,free_list:next_fit,buddy",
                                self.path("a", self.CLEAN))
        self.assertEqual(code, 0, output)
        result = json.loads(output)
        self.assertEqual(result["verdict"], "clean")
        self.assertEqual(result["compared"]["contents"], 6)  # resize and release, of three pairs
        self.assertEqual(result["compared"]["usable"], 3)

    def test_disagreement_is_named_after_both(self):
        plant = "free_list+header_size_wraps"
        program = self.path("b", "heap capacity=8192\nallocate 0 size=18446744073709551615\n")
        code, output, _ = assay("compare", "--strategies", "buddy,tlsf," + plant, program)
        self.assertEqual(code, 1, output)
        lines = output.splitlines()
        self.assertIn("differential: operation 0, allocate of slot 0: %s gave what buddy refused" %
                      plant, lines[0])
        self.assertIn("the oracle on %s alone: oversize-accepted" % plant, lines[1])
        self.assertIn("the oracle on buddy alone: clean", lines[2])
        code, output, _ = assay("compare", "--json", "--strategies", "buddy," + plant, program)
        result = json.loads(output)
        self.assertEqual((code, result["verdict"], result["operation"]), (1, "differential", 0))
        self.assertEqual([side["strategy"] for side in result["between"]], [plant, "buddy"])
        self.assertEqual([side["alone"] for side in result["between"]],
                         ["oversize-accepted", "clean"])
        self.assertIn(plant, result["site"])
        self.assertIn("buddy", result["site"])

    def test_minimised(self):
        plant = "free_list+resize_forgets_tail"
        program = self.path("c", "heap capacity=8192\n" + "allocate 5 size=64\nrelease 5\n" * 20 +
                            "allocate 0 size=40\nallocate 1 size=40\nallocate 6 size=9\n"
                            "use 1\nresize 0 size=60\nrelease 6\nrelease 1\nrelease 0\n")
        small = os.path.join(self.folder.name, "small.txt")
        code, output, errors = assay("compare", "--json", "--strategies", "buddy,tlsf," + plant,
                                     "--output", small, program)
        self.assertEqual(code, 1, errors)
        result = json.loads(output)
        self.assertEqual((result["verdict"], result["file"]), ("differential", small))
        self.assertLessEqual(result["operations"], 4)
        with open(small, encoding="utf-8") as file:
            lines = file.read().splitlines()
        # Without any of its operations they agree, or it is another finding.
        for left_out in range(1, len(lines)):
            less = self.path("less", "\n".join(lines[:left_out] + lines[left_out + 1:]) + "\n")
            output = assay("compare", "--json", "--strategies", "buddy,tlsf," + plant, less)[1]
            self.assertNotEqual(json.loads(output).get("site"), result["site"], less)

    def test_disagreement_before_a_crash(self):
        plant = "free_list+double_release_accepted"
        program = self.path("d", "heap capacity=8192\nallocate 0 size=64\nallocate 1 size=64\n"
                            "release 0\nrelease_again 0\n" + "allocate 2 size=64\n" * 4)
        code, output, _ = assay("compare", "--json", "--strategies", "buddy," + plant, program)
        result = json.loads(output)
        self.assertEqual((code, result["verdict"], result["operation"]), (1, "differential", 3))

    def test_one_bad_file_does_not_stop_the_others(self):
        program = self.path("a", self.CLEAN)
        code, output, errors = assay("compare", "--strategies", "buddy,tlsf", "/no/such", program)
        self.assertEqual(code, 2)
        self.assertIn("/no/such", errors)
        self.assertIn("clean", output)

    def test_bad_input(self):
        program = self.path("a", self.CLEAN)
        self.refused(["compare", program], "--strategies")
        self.refused(["compare", "--strategy", "buddy", program], "--strategies")
        self.refused(["compare", "--strategies", "buddy", program], "two")
        self.refused(["compare", "--strategies", "buddy,nobody", program], "'nobody'")
        self.refused(["compare", "--strategies", "buddy,tlsf:worst", program], "'worst'")
        self.refused(["compare", "--strategies", "buddy,tlsf"], "program")
        self.refused(["compare", "--strategies", "buddy,tlsf", "--output", "x", program, program],
                     "--output")


def call_sequences(sizes, slots, resizes, length):
    """All sequences of calls that programs of that length make, by brute force: programs over all
    names of slots, without those that skip or that lose the name of a block. Blocks are numbered by
    birth, so that two programs that differ in names alone are one."""
    letters = [("allocate", slot, size) for slot in range(slots) for size in sizes]
    letters += [("release", slot, 0) for slot in range(slots)]
    letters += [("resize", slot, size) for slot in range(slots) for size in sizes if resizes]
    sequences = set()
    for program in itertools.product(letters, repeat=length):
        named, births, calls = {}, 0, []
        for kind, slot, size in program:
            if (kind == "allocate") == (slot in named):
                break
            if kind == "allocate":
                named[slot] = births
                births += 1
            calls.append((kind, named[slot], size))
            if kind == "release":
                del named[slot]
        else:
            sequences.add(tuple(calls))
    return sequences


class EnumerateTest(ModesTest):
    def enumerate(self, *arguments):
        code, output, errors = assay("enumerate", "--json", "--output", self.folder.name,
                                     *arguments)
        lines = [json.loads(line) for line in output.splitlines()]
        self.assertTrue(lines, errors)
        return code, lines[0], lines[1:]

    def test_counts_by_brute_force(self):
        for resizes in (False, True):
            code, summary, _ = self.enumerate(
                "--strategy", "free_list", "--capacity", "4096", "--sizes", "1,24", "--aligns", "8",
                "--slots", "2", "--depth", "4", "--operations",
                "allocate,release" + (",resize" if resizes else ""))
            self.assertEqual(code, 0)
            self.assertEqual((summary["complete"], summary["interrupted"]), (4, False))
            for length in summary["lengths"]:
                sequences = call_sequences([1, 24], 2, resizes, length["operations"])
                self.assertEqual(length["programs"], len(sequences), length)
            self.assertEqual(summary["programs"], sum(l["programs"] for l in summary["lengths"]))

    def test_planted_bugs(self):
        for plant, more in (("buddy+joined_pair_stays", []),
                            ("tlsf+right_not_told", []),
                            ("boundary_tag+gap_not_counted", []),
                            ("free_list+resize_forgets_tail", ["--operations", "all"]),
                            ("bump+reset_keeps_part", ["--operations", "allocate,reset"]),
                            ("free_list+header_size_wraps", ["--sizes", "1,18446744073709551615"])):
            code, summary, findings = self.enumerate("--strategy", plant, "--depth", "5", *more)
            self.assertEqual((code, len(findings)), (1, 1), (plant, summary))
            verdict = findings[0]["verdict"]
            # Walks around every operation may see another invariant break first.
            expected = {e.split(":")[0] for e in expected_properties(plant)}
            self.assertIn(verdict.split(":")[0], expected, plant)
            self.assertEqual(summary["verdict"], verdict)
            # The program that was written shows the same, and is the shortest.
            code, output, _ = assay("run", "--json", "--strategy", plant, "--tier", "paranoid",
                                    findings[0]["file"])
            self.assertEqual((code, json.loads(output)["verdict"]), (1, verdict))
            self.assertEqual(summary["complete"], findings[0]["operations"] - 1)

    def test_every_strategy_is_clean(self):
        for strategy in strategies():
            code, summary, findings = self.enumerate(
                "--strategy", strategy, "--depth", "4", "--sizes", "1,100", "--faults",
                "--operations", "allocate,zeroed,release,resize,use,reset,release_again,"
                "release_foreign,mark,rollback,overrun,reopen,collect")
            self.assertEqual((code, findings), (0, []), (strategy, summary))
            self.assertEqual((summary["complete"], summary["verdict"]), (4, "clean"))
            self.assertGreater(summary["exercised"]["overlap"], 0)
            self.assertGreater(sum(l["refused"] for l in summary["lengths"]), 0, strategy)

    def test_budget(self):
        code, summary, _ = self.enumerate("--strategy", "tlsf", "--depth", "12", "--budget", "1")
        self.assertEqual(code, 0)
        self.assertTrue(summary["interrupted"])
        self.assertLess(summary["complete"], 12)
        self.assertEqual(summary["lengths"][11]["programs"], 0)
        output = assay("enumerate", "--strategy", "tlsf", "--depth", "12", "--budget", "1")[1]
        self.assertIn("interrupted: complete up to %d operations" % summary["complete"], output)

    def test_bad_input(self):
        self.refused(["enumerate"], "--strategy")
        self.refused(["enumerate", "--strategy", "nobody"], "'nobody'")
        self.refused(["enumerate", "--strategy", "bump", "x"], "'x'")
        self.refused(["enumerate", "--strategy", "bump", "--depth", "0"], "--depth")
        self.refused(["enumerate", "--strategy", "bump", "--sizes", "1,,2"], "--sizes")
        self.refused(["enumerate", "--strategy", "bump", "--aligns", "1,2,3,4,5,6,7,8,9"],
                     "--aligns")
        self.refused(["enumerate", "--strategy", "bump", "--operations", "allocate,crash"],
                     "'crash'")
        self.refused(["enumerate", "--strategy", "tlsf", "--capacity", "64"], "tlsf", "64 bytes")
        self.refused(["enumerate", "--strategy", "bump", "--operations", "release"], "bump",
                     "--operations")
        self.refused(["enumerate", "--strategy", "free_list", "--variant", "3"], "free_list",
                     "--variant")
        self.refused(["enumerate", "--strategy", "bump", "--sizes", ""], "--sizes")
        code, _, errors = assay("enumerate", "--strategy", "free_list+resize_forgets_tail",
                                "--output", "/no/such", "--operations", "all")
        self.assertEqual(code, 2)
        self.assertIn("/no/such", errors)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--assay", required=True)
    options, rest = parser.parse_known_args()
    ASSAY = os.path.abspath(options.assay)
    unittest.main(argv=sys.argv[:1] + rest)
