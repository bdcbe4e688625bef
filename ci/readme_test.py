#!/usr/bin/env python3
"""Holds README.md to what the tree does: its examples run, and what it names is there.

    readme_test.py --readme README.md --assay PROGRAM --compiler CLANG
"""
import argparse
import glob
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from ci import known_findings  # noqa: E402

OPTIONS = None
# Built with the strategy of the README; tests, other programs, preloads and collections aside.
HARNESS = [path for path in sorted(glob.glob("harness/*.c"))
           if not re.search(r"_test\.c$|_preload\.c$|/drive_\w+\.c$", path)]
SOURCES = [path for path in sorted(glob.glob("allocators/source_*.c") + ["allocators/registry.c"])
           if not path.endswith("_test.c")]


def blocks(language):
    """The fenced blocks of that language."""
    with open(OPTIONS.readme, encoding="utf-8") as file:
        return re.findall(r"^```%s\n(.*?)^```$" % language, file.read(), re.M | re.S)


def run(*command, **options):
    result = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            check=False, timeout=300, **options)
    return result.returncode, result.stdout


def transcripts():
    """Commands of the console examples, each with what it prints."""
    for block in blocks("console"):
        for example in block.split("$ ")[1:]:
            command, _, output = example.partition("\n")
            yield command, output


def commands():
    """Each command line of the shell examples, without its comment."""
    for block in blocks("sh"):
        for line in block.splitlines():
            words = shlex.split(line, comments=True)
            if words:
                yield words


class ReadmeTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(dir=os.environ.get("TEST_TMPDIR"))
        self.addCleanup(shutil.rmtree, self.folder)

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def test_strategy_example(self):
        source, = blocks("c")
        name = re.search(r"const struct strategy (\w+)_strategy", source).group(1)
        path = self.write(name + ".c", source)
        flags = ["-std=c17", "-O1", "-I."]
        strict = ["-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Werror", "-ffreestanding"]
        built = path + ".o"
        code, output = run(OPTIONS.compiler, *flags, *strict, "-c", path, "-o", built)
        self.assertEqual(code, 0, output)
        table = self.write("table.c", '#include "allocators/registry.h"\n'
                           "extern const struct strategy %s_strategy;\n"
                           "const struct registry_entry registry[] = "
                           '{{"%s", &%s_strategy, 0, 0}, {0}};\n' % (name, name, name))
        program = os.path.join(self.folder, "assay")
        code, output = run(OPTIONS.compiler, *flags, "-D_GNU_SOURCE=", "-Wl,--wrap=memcpy", table,
                           built, *SOURCES, *HARNESS, "-lz", "-lzstd", "-o", program)
        self.assertEqual(code, 0, output)
        programs = glob.glob("corpus/seeds/*")
        self.assertGreater(len(programs), 10)
        code, output = run(program, "run", "--strategy", name, "--tier", "paranoid", *programs)
        self.assertEqual(code, 0, output)
        self.assertEqual(output.count(": clean\n"), len(programs))

    def test_program_example_and_assay_commands(self):
        source, others, collection = blocks("text")
        # Operations that few strategies offer: each understands all of them.
        rare = self.write("rare.txt", others)
        for strategy in ("arena", "mark_sweep", "mapped_heap", "hardened"):
            code, output = run(OPTIONS.assay, "run", "--strategy", strategy, rare)
            self.assertEqual(code, 0, output)
        code, output = run(OPTIONS.assay, "run", "--strategy", "list", "--tier", "paranoid",
                           self.write("list.txt", collection))
        self.assertEqual(code, 0, output)
        path = self.write("example.txt", source)
        tried = set()
        for words in commands():
            if words[0] != "bazel-bin/assay.elf" or words[1] in ("record", "replay"):
                continue
            words = [path if word == "FILE" else
                     os.path.join(self.folder, word) if word in ("SMALL.txt", "T.trace") else word
                     for word in words[1:]]
            code, output = run(OPTIONS.assay, *words)
            # The example is clean, so that there is nothing to minimise.
            self.assertEqual(code, 1 if words[0] == "minimize" else 0, output)
            tried.add(words[0])
        self.assertEqual(
            tried, {"list", "run", "repro", "minimize", "enumerate", "faults", "compare", "stats",
                    "generate", "export"})

    def test_console_examples(self):
        tried = 0
        for command, output in transcripts():
            command = command.replace("bazel-bin/assay.elf", shlex.quote(OPTIONS.assay))
            self.assertEqual((0, output), run("sh", "-c", command, cwd=self.folder))
            tried += 1
        self.assertEqual(tried, 2)

    def test_places_in_sources(self):
        with open(OPTIONS.readme, encoding="utf-8") as file:
            (path, line, function), = re.findall(r"(?m)^ +in (\S+):(\d+) \((\w+)\)$", file.read())
        with open(path, encoding="utf-8") as file:
            self.assertIn(function + "(", file.read().splitlines()[int(line) - 1])

    def test_record_and_replay(self):
        record, = [words for words in commands() if words[1:2] == ["record"]]
        replay, = [words for words in commands() if words[1:2] == ["replay"]]
        traces = os.path.join(self.folder, "traces")
        readme = os.path.abspath(OPTIONS.readme)
        words = [traces if w == "traces" else readme if w == "README.md" else w for w in record[1:]]
        code, output = run(OPTIONS.assay, *words,
                           env=dict(os.environ, ASSAY_PRELOAD=os.path.abspath(OPTIONS.preload)))
        self.assertEqual(code, 0, output)
        files = glob.glob(os.path.join(traces, "*.trace"))
        self.assertTrue(files, output)
        code, output = run(OPTIONS.assay, *replay[1:-1], *files)
        self.assertEqual((code, output.count(": clean,")), (0, len(files)), output)

    def test_commands_and_options_are_there(self):
        for words in commands():
            if words[0] == "bazel":
                continue
            if words[0].startswith("ci/"):
                code, text = run(words[0], "--help")
            else:
                code, text = run(OPTIONS.assay, words[1], "--help")
            self.assertEqual(code, 0, text)
            for word in words:
                if word.startswith("--") and len(word) > 2:
                    self.assertIn(word, text, words)

    def test_accepted_findings(self):
        path = self.write("known.toml", *blocks("toml"))
        entry, = known_findings.load(path).entries.values()
        self.assertEqual((entry.strategy, entry.property), ("tlsf", "invariant:tlsf.I3"))

    def test_names_are_there(self):
        with open(OPTIONS.readme, encoding="utf-8") as file:
            text = file.read()
        for path in re.findall(r"\]\(([^)]+)\)", text):
            self.assertTrue(os.path.exists(path), path)
        names = run(OPTIONS.assay, "list", "--names")[1].split()
        # A strategy needs no row there: adding one stays one file and one line.
        table = re.findall(r"(?m)^\| `(\w+)` \|", text.split("## Strategies")[1]
                           .split("## How")[0])
        self.assertTrue(table)
        self.assertLessEqual(set(table), set(names))
        for plant in re.findall(r"--plant (\S+?)[`) ]", text):
            self.assertIn(plant + " ", run(OPTIONS.assay, "list", "--planted")[1])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for option in ("--readme", "--assay", "--preload", "--compiler"):
        parser.add_argument(option, required=True)
    OPTIONS, rest = parser.parse_known_args()
    OPTIONS.assay = os.path.abspath(OPTIONS.assay)
    unittest.main(argv=sys.argv[:1] + rest, verbosity=2)
