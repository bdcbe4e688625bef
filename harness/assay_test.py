#!/usr/bin/env python3
"""The program assay as people and scripts use it: answers, exit codes, and bad input.

    assay_test.py --assay PROGRAM
"""
import argparse
import json
import os
import re
import struct
import shutil
import subprocess
import sys
import tempfile
import unittest
import zlib

ASSAY = None

CLEAN = """heap source=fixed capacity=4096
allocate 0 size=100 align=16
resize 0 size=300
release 0
"""

# On pages each block of it is acquired by itself.
PAGES = """heap source=pages capacity=65536 page=512
allocate 0 size=400
allocate 1 size=400
allocate 2 size=400
resize 0 size=700
release 1
"""

LIST = """heap capacity=8192 variant=5 verbs=list
push_back 0 value=3 count=4
push_front 1 value=9
splice 0 count=2 small=1 other=1
fault mask=0x1
push_back 2 value=7
clone 0 other=3
"""

# A planted bug, and a program that shows it at operation 3.
PLANT = "free_list+resize_forgets_tail"
PROPERTY = "resize-prefix"
GUILTY = """heap capacity=8192
allocate 0 size=1
allocate 1 size=1
use 1
resize 0 size=17
release 0
reset
"""


def assay(*arguments, **options):
    """Runs assay; returns exit code, standard output and standard error."""
    result = subprocess.run([ASSAY, *arguments], text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, check=False, timeout=120, **options)
    return result.returncode, result.stdout, result.stderr


class AssayTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(dir=os.environ.get("TEST_TMPDIR"))
        self.addCleanup(self.folder.cleanup)

    def path(self, name, content=None):
        path = os.path.join(self.folder.name, name)
        if content is not None:
            with open(path, "wb") as file:
                file.write(content if isinstance(content, bytes) else content.encode())
        return path

    def text(self, path):
        with open(path, encoding="utf-8") as file:
            return file.read()

    def refused(self, arguments, *words):
        """Exit code 2, nothing on standard output, one line that has all the words."""
        code, output, errors = assay(*arguments)
        self.assertEqual((code, output), (2, ""), (arguments, errors))
        lines = [line for line in errors.splitlines() if line]
        self.assertLessEqual(len(lines), 2, errors)
        for word in words:
            self.assertIn(word, errors)

    def test_help_of_everything(self):
        code, output, _ = assay("--help")
        self.assertEqual(code, 0)
        commands = re.findall(r"^  ([a-z]+) ", output, re.MULTILINE)
        self.assertEqual(commands, ["list", "run", "repro", "minimize", "record", "import", "export",
                                    "stats", "generate", "faults", "replay", "score", "compare",
                                    "enumerate"])
        for command in commands:
            code, output, errors = assay(command, "--help")
            self.assertEqual((code, errors), (0, ""))
            self.assertTrue(output.startswith("usage: assay " + command), output)
            self.refused([command, "--no-such-option"], "--help")
        self.assertEqual(assay()[0], 2)
        self.refused(["frobnicate"], "frobnicate", "assay --help")

    def test_lists(self):
        names = assay("list", "--names")[1].split()
        self.assertIn("free_list", names)
        listing = assay("list")[1]
        for name in names:
            self.assertRegex(listing, r"(?m)^%s +\S" % name)
        planted = assay("list", "--planted")[1].splitlines()
        self.assertGreaterEqual(len(planted), 15)
        properties = [line.split()[0] for line in assay("list", "--properties")[1].splitlines()]
        self.assertIn("failed-op-changed-state", properties)
        for line in planted:
            self.assertIn(line.split("+")[0], names)
            for expected in re.search(r"\[(.*)\]$", line).group(1).split():
                self.assertIn(expected.split(":")[0], properties)
        told = json.loads(assay("list", "--json")[1])
        self.assertEqual(names, [strategy["name"] for strategy in told["strategies"]])
        self.assertEqual(properties, [property["id"] for property in told["properties"]])
        self.assertEqual([line.split()[0] for line in planted],
                         [plant["name"] for plant in told["planted"]])
        applies = {strategy["name"]: strategy["properties"] for strategy in told["strategies"]}
        self.assertEqual("allocators/free_list.c", next(
            each["source"] for each in told["strategies"] if each["name"] == "free_list"))
        for strategy in told["strategies"]:
            self.assertRegex(strategy["source"], r"^(allocators|collections)/[a-z_0-9]+\.c$")
        self.assertIn("double-release-missed", applies["free_list"])
        self.assertNotIn("double-release-missed", applies["bump"])
        for plant in told["planted"]:
            for expected in plant["expect"].split():
                self.assertIn(expected.split(":")[0], applies[plant["name"].split("+")[0]], plant)

    def test_run(self):
        clean = self.path("clean.txt", CLEAN)
        code, output, _ = assay("run", "--strategy", "free_list", clean)
        self.assertEqual((code, output), (0, clean + ": clean\n"))
        code, output, errors = assay("run", "--json", "--strategy", PLANT,
                                     clean, self.path("overlap.txt", GUILTY))
        first, second = [json.loads(line) for line in output.splitlines()]
        self.assertEqual(first["verdict"], "clean")
        self.assertEqual(second["verdict"], PROPERTY)
        self.assertRegex(second["signature"], "^[0-9a-f]{8}$")
        self.assertEqual(code, 1)
        self.assertIn("ASSERTION FAILED: " + PROPERTY, errors)

    def test_faults(self):
        program = self.path("pages.txt", PAGES)
        code, output, errors = assay("faults", "--json", "--strategy", "page_bump", program)
        coverage = json.loads(output)
        self.assertEqual((code, errors, coverage["coverage"]), (0, "", "faults"))
        self.assertTrue(coverage["complete"])
        self.assertEqual(coverage["runs"], 1 + 2 * coverage["acquisitions"])
        self.assertGreaterEqual(coverage["acquisitions_refused"], 2 * coverage["acquisitions"])
        # What is found is a program that shows it by itself.
        plant = "page_bump+failed_resize_releases"
        code, output, _ = assay("faults", "--json", "--strategy", plant, "--output",
                                self.folder.name, program)
        lines = [json.loads(line) for line in output.splitlines()]
        self.assertEqual((code, lines[-1]["findings"]), (1, len(lines) - 1))
        self.assertGreaterEqual(len(lines), 2)
        for finding in lines[:-1]:
            self.assertGreater(finding["acquisition"], 0)
            code, output, _ = assay("run", "--json", "--quiet", "--strategy", plant,
                                    finding["output"])
            self.assertEqual((code, json.loads(output)["verdict"]), (1, finding["verdict"]))
        code, output, errors = assay("faults", "--json", "--strategy", "bump", self.path("none"))
        self.assertEqual((code, json.loads(output)["complete"]), (2, False))
        self.assertIn("none", errors)
        code, _, errors = assay("faults", "--strategy", plant, "--output", self.path("no/where"),
                                program)
        self.assertEqual(code, 2)
        self.assertIn("no/where", errors)

    def test_run_goes_on_after_a_file_that_cannot_be_read(self):
        clean = self.path("clean.txt", CLEAN)
        code, output, errors = assay("run", "--strategy", "bump", self.path("none"), clean)
        self.assertEqual(code, 2)
        self.assertIn("none", errors)
        self.assertIn(clean + ": clean", output)

    def test_same_run_same_verdict(self):
        path = self.path("overlap.txt", GUILTY)
        command = ["run", "--json", "--strategy", PLANT, path]
        self.assertEqual(assay(*command), assay(*command))

    def test_repro_marks_the_guilty_operation(self):
        path = self.path("overlap.txt", GUILTY)
        code, output, _ = assay("repro", "--strategy", PLANT, path)
        self.assertEqual(code, 1)
        self.assertEqual(len(re.findall(r"(?m)^> +3 .*<== resize-prefix", output)), 1)
        self.assertIn("Live blocks by the shadow model", output)
        self.assertRegex(output, r"Verdict: resize-prefix .* in 5 of 5 runs")
        code, output, _ = assay("repro", "--strategy", "free_list", path)
        self.assertEqual(code, 0)
        self.assertNotIn("\n>", output)

    def test_emitted_c_numbers_operations_as_the_program_does(self):
        path = self.path("late.txt", "heap\nfault mask=0x2\nallocate 0 size=9\nrelease 0\n"
                         "allocate 1 size=9\nreset\n")
        code, output, _ = assay("repro", "--emit-c", "--strategy", "bump", path)
        self.assertEqual(code, 0)
        body = output[output.index("repro_open"):]
        self.assertEqual(re.findall(r"(repro[._][a-z]+)(?: = 1|\+\+)?[;(].*?(?:// (\d+).*)?\n", body),
                         [("repro_open", ""), ("repro.operation", ""), ("repro_allocate", "1"),
                          ("repro.operation", "2"), ("repro_allocate", "3"), ("repro_reset", "4"),
                          ("repro_close", "")])

    def test_repro_in_gdb(self):
        path = self.path("overlap.txt", GUILTY)
        folder = self.path("bin")
        os.mkdir(folder)
        with open(os.path.join(folder, "gdb"), "w", encoding="utf-8") as file:
            file.write('#!/bin/sh\necho "$@"\n')
        os.chmod(os.path.join(folder, "gdb"), 0o755)
        command = ["repro", "--gdb", "--strategy", PLANT, path]
        _, output, _ = assay(*command, env=dict(os.environ, PATH=folder))
        self.assertIn("break explain_guilty_operation", output)
        stop = re.search(r"--stop-before=(\d+)", output).group(1)
        operation = json.loads(assay("repro", "--json", *command[2:])[1])["operation"]
        self.assertEqual(int(stop), operation)
        code, _, errors = assay(*command, env=dict(os.environ, PATH="/nonexistent"))
        self.assertEqual(code, 2)
        self.assertIn("gdb", errors)

    def test_minimize_keeps_the_property_and_is_a_local_minimum(self):
        noise = GUILTY.splitlines()
        for i in range(40):
            noise.insert(1 + i * len(noise) // 41, "allocate %d size=%d" % (10 + i, 8 + i))
        path = self.path("long.txt", "\n".join(noise) + "\n")
        out = self.path("small.txt")
        command = ["minimize", "--strategy", PLANT, "--output", out, path]
        code, output, _ = assay(*command)
        self.assertEqual(code, 0, output)
        small = self.text(out)
        lines = small.splitlines()
        self.assertLess(len(lines), 8)
        run = ["run", "--json", "--quiet", "--strategy", PLANT]
        self.assertEqual(json.loads(assay(*run, out)[1])["verdict"], PROPERTY)
        for i in range(1, len(lines)):
            less = self.path("less.txt", "\n".join(lines[:i] + lines[i + 1:]) + "\n")
            self.assertNotEqual(json.loads(assay(*run, less)[1])["verdict"],
                                PROPERTY, lines[i])
        assay(*command)
        self.assertEqual(self.text(out), small)

    def test_minimize_refuses_what_it_should(self):
        clean = self.path("clean.txt", CLEAN)
        out = self.path("out.txt")
        self.assertEqual(assay("minimize", "--strategy", "bump", "--output", out, clean)[0], 1)
        path = self.path("overlap.txt", GUILTY)
        code, _, errors = assay("minimize", "--strategy", PLANT, "--property",
                                "content", "--output", out, path)
        self.assertEqual(code, 1)
        self.assertIn(PROPERTY, errors)
        self.refused(["minimize", "--strategy", "bump", "--property", "nonsense", "--output", out,
                      clean], "nonsense", "--properties")
        self.refused(["minimize", "--strategy", "bump", clean], "--output")
        self.assertFalse(os.path.exists(out))

    def test_bad_files(self):
        self.refused(["run", "--strategy", "bump", self.path("none")], "none")
        self.refused(["run", "--strategy", "bump", self.folder.name], self.folder.name)
        self.refused(["run", "--strategy", "bump", self.path("t", CLEAN + "resise 0 size=3\n")],
                     "t: line 5:1")
        self.refused(["run", "--strategy", "bump", self.path("u", CLEAN + "release 0 sise=3\n")],
                     "u: line 5:11", "sise")
        self.refused(["run", "--strategy", "bump", "/dev/zero"], "/dev/zero")
        self.refused(["run", "--strategy", "bump"], "assay run --help")
        self.refused(["run", "--strategy", "bumb", self.path("c", CLEAN)], "bumb", "assay list")
        self.refused(["run", self.path("c", CLEAN)], "--strategy")
        self.refused(["run", "--strategy", "bump", "--tier", "slow", self.path("c", CLEAN)],
                     "slow", "paranoid")

    @unittest.skipUnless(shutil.which("gdb"), "there is no gdb")
    def test_gdb_stops_in_the_allocator(self):
        bug = "heap\nallocate 0 size=100\nallocate 1 size=284\nallocate 2 size=1 align=8\n"
        _, output, _ = assay("repro", "--gdb", "--strategy", "bump+aligned_returns_end",
                             self.path("gdb.txt", bug), stdin=subprocess.DEVNULL)
        self.assertRegex(output, r"Temporary breakpoint 2, (0x\w+ in )?bump_allocate")

    def test_what_is_not_quite_text_or_a_trace_is_refused(self):
        typo = self.path("typo", CLEAN.replace("heap", "heep"))
        after = self.path("after", "# heap\n\n" + CLEAN.replace("heap", "hep_"))
        damaged = self.path("damaged", b"assaxtrc" + self.trace([(0, 0, 0, 0, 4096)])[8:])
        for path, like in [(typo, "first word"), (after, "first word"), (damaged, "trace")]:
            for command in (["run"], ["repro"], ["repro", "--json"], ["replay"],
                            ["minimize", "--output", self.path("out")]):
                self.refused([*command, "--strategy", "bump", path], path,
                             "neither a trace nor a program in text", like)
        # Others are still run.
        code, output, _ = assay("run", "--quiet", "--strategy", "bump", typo, self.path("c", CLEAN))
        self.assertEqual((code, output), (2, self.path("c", CLEAN) + ": clean\n"))
        for i, made_up in enumerate([b"\n", b"heep", b"AAAA\n", b"heep a\n\0", b"HEEP\n" * 9]):
            path = self.path("made-up-%d" % i, made_up)
            self.assertEqual(assay("run", "--quiet", "--strategy", "bump", path)[2], "")
        plain = self.path("plain", bytes(range(128, 256)))
        self.assertEqual(assay("run", "--quiet", "--strategy", "bump", plain)[2], "")
        self.refused(["replay", "--strategy", "bump", plain], "neither a trace nor")

    def test_numbers_out_of_range(self):
        path = self.path("clean.txt", CLEAN)
        for runs in ["0", "-1", "10001", "x", ""]:
            self.refused(["repro", "--strategy", "bump", "--runs", runs, path], "--runs",
                         "from 1 to 10000", "'%s'" % runs)
        self.refused(["replay", "--strategy", "bump", "--heap", "0", path], "--heap", "from 1 to")
        self.refused(["minimize", "--strategy", "bump", "--output", self.path("out"), "--seconds",
                      "1e3", path], "--seconds", "from 0 to 86400")

    def test_files_that_are_missing_or_too_many(self):
        path = self.path("clean.txt", CLEAN)
        self.refused(["replay", "--strategy", "bump"], "no trace given", "assay replay --help")
        for command in [["repro"], ["minimize", "--output", self.path("out")]]:
            for files in [[], [path, path]]:
                self.refused([*command, "--strategy", "bump", *files], "give one program",
                             "assay %s --help" % command[0])

    def test_progress_of_a_replay(self):
        path = self.path("clean.txt", CLEAN)
        command = ["replay", "--strategy", "free_list", "--tier", "paranoid", path]
        self.assertEqual(assay(*command)[2], "")
        code, output, errors = assay(*command, "--progress")
        self.assertEqual((code, output.startswith(path + ": clean")), (0, True))
        self.assertRegex(errors, r": 3 of 3 operations, \d+ s; now the same at other addresses\n$")

    def test_emitted_c_tells_what_it_does_not_show(self):
        path = self.path("threads.txt", "heap threads=4\nallocate 0 size=9\n")
        _, output, _ = assay("repro", "--emit-c", "--strategy", "bump_atomic", path)
        self.assertIn("for 4 threads. Here one thread", output)

    def trace(self, records):
        body = b"".join(struct.pack("<BBHIQ", *record) for record in records)
        tail = struct.pack("<QQQQQQ", len(records), 0, 0, 0, 1, 0)
        checksum = zlib.crc32(tail + body)
        return b"assaytrc" + struct.pack("<II", 1, checksum) + tail + body

    def test_replay(self):
        good = self.trace([(0, 0, 0, 0, 1 << 20), (0, 4, 0, 0, 100), (2, 0, 0, 0, 0)])
        path = self.path("good.trace", good)
        for tier in ["none", "fast", "full", "paranoid"]:
            code, output, errors = assay("replay", "--strategy", "free_list", "--tier", tier, path)
            self.assertEqual((code, errors), (0, ""))
            self.assertIn("2 operations", output)
        self.refused(["replay", "--strategy", "bump", path], "release", "does not offer")
        self.refused(["replay", "--strategy", "free_list", self.path("cut", good[:-5])], "cut")
        flipped = bytearray(good)
        flipped[-3] ^= 1
        self.refused(["replay", "--strategy", "free_list", self.path("bad", bytes(flipped))],
                     "checksum")
        self.refused(["replay", "--strategy", "free_list", self.path("empty", b"")], "empty")

    def test_replay_without_the_oracle_asks_what_the_oracle_would(self):
        path = self.path('a "quoted"\\ name', """heap source=pages capacity=65536
allocate 0 size=100
allocate 0 size=70000
resize 0 size=0
allocate 1 size=1 align=3
allocate 1 size=1 align=0
reset
release 0
resize 0 size=16
release 0
""")
        command = ["replay", "--json", "--strategy", "page_bump", path, "--tier"]
        code, output, errors = assay(*command, "none")
        self.assertEqual((code, errors), (0, ""))
        bare = json.loads(output)
        self.assertEqual((bare["file"], bare["refused"]), (path, 4))
        checked = json.loads(assay(*command, "full")[1])
        self.assertEqual((checked["file"], checked["refused"]), (path, 4))
        heap = ["replay", "--strategy", "page_bump", "--heap", str(1 << 36), path]
        if os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") < 1 << 37:
            for tier in ["none", "fast"]:
                self.refused([*heap, "--tier", tier], "could not be replayed")

    def test_collections(self):
        program = self.path("list.txt", LIST)
        for tier in "fast", "full", "paranoid":
            self.assertEqual(assay("run", "--strategy", "list", "--tier", tier, program)[:2],
                             (0, program + ": clean\n"))
        code, output, _ = assay("repro", "--strategy", "list", "--runs", "1", program)
        self.assertEqual(code, 0)
        told = [re.sub(r"^ +\d+  (.*?)  .*", r"\1", line) for line in output.splitlines()]
        for line in LIST.splitlines()[1:]:
            self.assertIn(line, told)
        self.assertIn("on free_list", output)
        self.assertRegex(output, r"push_back 2 value=7 +memory was refused")
        story = json.loads(assay("repro", "--strategy", "list", "--json", program)[1])
        self.assertEqual(story["beneath"], "free_list")
        self.assertEqual([step["text"] for step in story["steps"]], LIST.splitlines()[1:])
        code, output, _ = assay("faults", "--strategy", "list", "--json", program)
        coverage = json.loads(output.splitlines()[-1])
        self.assertEqual((code, coverage["findings"]), (0, 0))
        self.assertGreater(coverage["acquisitions"], 5)
        # What is about allocators says so.
        for command in "enumerate", "score":
            self.refused([command, "--strategy", "list"], "list is a collection")
        self.refused(["replay", "--strategy", "list", program], "list is a collection")
        self.refused(["compare", "--strategies", "list,bump", program], "list is a collection")
        self.refused(["repro", "--strategy", "list", "--emit-c", program], "list is a collection")
        agreed = assay("compare", "--strategies", "all", self.path("clean.txt", CLEAN))
        self.assertEqual(agreed[0], 0, agreed)
        # Words that are no collection's, and verbs that are not this one's.
        wrong = self.path("wrong.txt", LIST.replace("verbs=list", "verbs=lisp"))
        self.refused(["run", "--strategy", "list", wrong], "wrong.txt", "line 1:", "lisp")
        wrong = self.path("wrong.txt", LIST.replace("clone", "allocate"))
        self.refused(["run", "--strategy", "list", wrong], "line 7:", "no verb of list")

    def test_no_frame_is_named_like_an_allocator_function(self):
        # Triage tools skip such frames, and would lose ours from their stacks.
        program = ASSAY + ".elf"  # beside the script that starts it
        names = subprocess.run(["nm", "--defined-only", program], text=True, check=True,
                               stdout=subprocess.PIPE).stdout.split("\n")
        functions = [line.split()[2] for line in names if re.match(r"\w+ [tT] ", line)]
        self.assertIn("oracle_run", functions)
        self.assertEqual([], [name for name in functions
                              if re.match(r"(malloc|free|calloc|realloc)", name)])

    def test_a_program_that_is_any_bytes(self):
        for size in range(0, 70, 7):
            path = self.path("bytes", bytes(range(size)))
            self.assertEqual(assay("run", "--strategy", "page_bump", path)[0], 0)

    def test_output_that_cannot_be_written(self):
        path = self.path("overlap.txt", GUILTY)
        out = self.path("no/such/folder/out.txt")
        self.refused(["minimize", "--strategy", PLANT, "--output", out, path],
                     "out.txt")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--assay", required=True)
    arguments, rest = parser.parse_known_args()
    ASSAY = os.path.abspath(arguments.assay)
    unittest.main(argv=sys.argv[:1] + rest, verbosity=2)
