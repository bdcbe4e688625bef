#!/usr/bin/env python3
"""The smallest known program of each planted bug: fuzz/plants/<strategy>.<bug>.txt.

    known_test.py --assay PROGRAM --assay-asan PROGRAM --facts FILE... --programs FILE...

For each: it violates an expected property on the planted bug, the clean strategy is clean, and the C
program that `assay repro --emit-c` makes of it, built as its first lines say, shows the bug as well.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import tempfile

OPTIONS = {"ASAN_OPTIONS": "detect_leaks=0:symbolize=0:abort_on_error=1",
           "UBSAN_OPTIONS": "symbolize=0:abort_on_error=1"}


def assay(program, *arguments):
    """Runs assay; returns its exit code and its output."""
    result = subprocess.run([program, *arguments], env=dict(os.environ, **OPTIONS), text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    return result.returncode, result.stdout, result.stderr


def verdict(program, strategy, path, tier):
    """The property id that the oracle gives; raises AssertionError with the output if none."""
    code, output, errors = assay(program, "run", "--json", "--strategy", strategy, "--tier", tier,
                                 path)
    assert code in (0, 1), "exit code %d: %s" % (code, errors)
    return json.loads(output)["verdict"]


def check_reproducer(program, compiler, name, path, folder):
    """Builds the emitted C program and runs it: it must not find everything in order."""
    code, source, errors = assay(program, "repro", "--emit-c", "--strategy", name, path)
    assert code in (0, 1), "--emit-c: exit code %d: %s" % (code, errors)
    recipe = re.findall(r"cc (-std=.*?) -o repro", re.sub(r"\\?\n// *", " ", source))
    assert recipe, "no recipe in the reproducer"
    with open(os.path.join(folder, "repro.c"), "w", encoding="utf-8") as file:
        file.write(source)
    binary = os.path.join(folder, "repro")
    words = [os.path.join(folder, w) if w == "repro.c" else
             w.replace("bazel-bin/", "") for w in recipe[0].split()]
    built = subprocess.run([compiler, "-w", *words, "-o", binary], text=True,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    assert built.returncode == 0, "the reproducer does not build:\n" + built.stdout
    ran = subprocess.run([binary], env=dict(os.environ, **OPTIONS), text=True, timeout=60,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    assert ran.returncode != 0, "the reproducer shows nothing: " + ran.stdout


def check(options, facts, path, folder):
    """All that must hold for one planted bug."""
    name, strategy = facts["name"], facts["name"].split("+")[0]
    found = verdict(options.assay_asan, name, path, "full")
    assert found in facts["expect"], "is %s, expected %s" % (found, " or ".join(facts["expect"]))
    clean = verdict(options.assay_asan, strategy, path, "paranoid")
    assert clean == "clean", "a false alarm on the clean strategy: " + clean
    check_reproducer(options.assay, options.compiler, name, path, folder)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--assay", required=True)
    parser.add_argument("--assay-asan", required=True)
    parser.add_argument("--compiler", default="clang-19")
    parser.add_argument("--facts", nargs="+", required=True)
    parser.add_argument("--programs", nargs="+", required=True)
    options = parser.parse_args()
    programs = {os.path.basename(p)[:-len(".txt")]: p for p in options.programs}
    failed = 0
    with tempfile.TemporaryDirectory(dir=os.environ.get("TEST_TMPDIR")) as folder:
        for path in options.facts:
            with open(path, encoding="utf-8") as file:
                facts = json.load(file)
            stem = facts["name"].replace("+", ".")
            try:
                assert stem in programs, "has no smallest known program, fuzz/plants/%s.txt" % stem
                print("%s: %s" % (facts["name"],
                                  check(options, facts, programs.pop(stem), folder)), flush=True)
            except AssertionError as error:
                failed += 1
                print("%s: FAILED: %s" % (facts["name"], error), flush=True)
    for stem in programs:
        failed += 1
        print("%s: FAILED: a program without a planted bug" % stem)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
