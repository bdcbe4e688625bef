#!/usr/bin/env python3
"""Holds the examples of a page to what they say: C programs and what the console shows of them.

    snippets_test.py --compiler CLANG [--compiler GCC ...] --page README.md [--page ...]

In a page,
- a ```c block is a whole file, whose name is its first line, as in `// main.c`;
- a ```console block is one session of bash, `$ COMMAND` and what that prints, in a folder that has the
  files of all the page's C blocks, and the tree's folders as the top folder has them. Sessions follow each
  other in that folder. Each command must do well and print exactly what is shown.
`cc` is each of the compilers in turn, as strict as the house is. A C file that no command names is a
fault of the page. So is a copy that leaves out what it needs, where a session goes to a folder of its own:
it finds no other headers there than what it has copied.
"""
import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import unittest

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
STRICT = ["-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Werror"]
# Between what one command prints and the next.
MARK = "\x1e"
SECONDS = 120

OPTIONS = None


def blocks(text, language):
    return re.findall(r"^```%s\n(.*?)^```$" % language, text, re.M | re.S)


def programs(text):
    """Name and text of each C file."""
    found = {}
    for block in blocks(text, "c"):
        name = re.match(r"// (\S+\.[ch])\n", block)
        if not name:
            raise ValueError("a ```c block must begin with its file's name, as in `// main.c`: "
                             + block.splitlines()[0])
        if name.group(1) in found:
            raise ValueError("two ```c blocks are called " + name.group(1))
        found[name.group(1)] = block
    return found


def sessions(text):
    """Of each session, its commands with what each prints."""
    for block in blocks(text, "console"):
        if not block.startswith("$ "):
            raise ValueError("a ```console block must begin with a command, as in `$ cc main.c`")
        yield [example.partition("\n")[::2] for example in re.split(r"^\$ ", block, flags=re.M)[1:]]


def run_session(commands, folder, path):
    """Why it is not as shown, or None."""
    script = "set -e\n" + "".join("%s\nprintf %%s '%s'\n" % (command, MARK)
                                  for command, _ in commands)
    result = subprocess.run(["bash", "-c", script], cwd=folder, text=True, check=False,
                            timeout=SECONDS, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            env=dict(os.environ, PATH=path, LC_ALL="C"))
    printed = result.stdout.split(MARK)
    for i, (command, shown) in enumerate(commands):
        if i + 1 >= len(printed):
            return "$ %s\nfails (exit code %d):\n%s" % (command, result.returncode, printed[i])
        if printed[i] != shown:
            return "$ %s\nprints\n%sbut the page shows\n%s" % (command, printed[i], shown)
    return None


def check_page(text, compiler, folder):
    """What is wrong with a page, one string each. `folder` is empty, and the caller's."""
    tools, work = os.path.join(folder, "tools"), os.path.join(folder, "work")
    os.mkdir(tools)
    os.mkdir(work)
    for name in ("allocators", "collections", "freestanding", "harness"):
        if os.path.isdir(os.path.join(TOP, name)):
            os.symlink(os.path.join(TOP, name), os.path.join(work, name))
    wrapper = os.path.join(tools, "cc")
    with open(wrapper, "w", encoding="utf-8") as file:
        file.write("#!/bin/sh\nexec %s \"$@\"\n" % shlex.join([compiler] + STRICT))
    os.chmod(wrapper, 0o755)
    try:
        files, shown = programs(text), list(sessions(text))
    except ValueError as error:
        return [str(error)]
    for name, block in files.items():
        with open(os.path.join(work, name), "w", encoding="utf-8") as file:
            file.write(block)
    faults = ["no command names %s" % name for name in files
              if not any(re.search(r"(?<![\w/])%s\b" % re.escape(name), command)
                         for commands in shown for command, _ in commands)]
    path = tools + os.pathsep + os.environ.get("PATH", os.defpath)
    for commands in shown:
        fault = run_session(commands, work, path)
        if fault:
            return faults + [fault]
    return faults


class PageTest(unittest.TestCase):
    def faults(self, text, compiler):
        folder = tempfile.mkdtemp(dir=os.environ.get("TEST_TMPDIR"))
        self.addCleanup(shutil.rmtree, folder)
        return check_page(text, compiler, folder)

    def test_pages(self):
        for page in OPTIONS.page:
            with open(page, encoding="utf-8") as file:
                text = file.read()
            self.assertTrue(programs(text), page)
            for compiler in OPTIONS.compiler:
                with self.subTest(page=page, compiler=compiler):
                    self.assertEqual(self.faults(text, compiler), [])

    def test_files_that_pages_name(self):
        for page in OPTIONS.page:
            with open(page, encoding="utf-8") as file:
                for path in re.findall(r"\]\(([^):#]+)\)", file.read()):
                    self.assertTrue(os.path.exists(os.path.join(os.path.dirname(page), path)),
                                    "%s: %s" % (page, path))

    # A page with one fault each.
    GOOD = ('```c\n// one.c\n#include <stdio.h>\nint main(void) { puts("1"); }\n```\n'
            "```console\n$ cc one.c -o one\n$ ./one\n1\n$ mkdir apart; cd apart\n$ ../one\n1\n```\n")

    def check_damage(self, old, new, told):
        self.assertIn(old, self.GOOD)
        faults = self.faults(self.GOOD.replace(old, new, 1), OPTIONS.compiler[0])
        self.assertTrue(faults)
        self.assertIn(told, faults[0])

    def test_damage_is_seen(self):
        self.assertEqual(self.faults(self.GOOD, OPTIONS.compiler[0]), [])
        self.check_damage('puts("1")', 'puts("2")', "prints\n2\nbut the page shows\n1\n")
        self.check_damage("./one\n1\n", "./one\n", "prints\n1\nbut the page shows\n")
        self.check_damage("./one\n1\n", "./one\n1\n2\n", "but the page shows\n1\n2\n")
        self.check_damage("{ puts", "{ int x; puts", "-Wunused-variable")
        self.check_damage("$ ./one", "$ ./one; false", "fails (exit code 1)")
        self.check_damage("$ ../one", "$ ./one", "fails")
        self.check_damage("// one.c\n", "", "must begin with its file's name")
        self.check_damage("console\n$ ", "console\n", "must begin with a command")
        self.check_damage("```console", "```c\n// two.c\n```\n```console", "no command names two.c")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--compiler", action="append", required=True)
    parser.add_argument("--page", action="append", required=True)
    OPTIONS, rest = parser.parse_known_args()
    unittest.main(argv=sys.argv[:1] + rest, verbosity=2)
