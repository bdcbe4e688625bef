#!/usr/bin/env python3
"""The smallest known program of each planted bug: <strategy>.<bug>.txt beside its patch.

    known_test.py --assay PROGRAM --assay-asan PROGRAM --assay-tsan PROGRAM --facts FILE...
                  --programs FILE...

For each: it violates an expected property on the planted bug, the clean strategy is clean, and the C
program that `assay repro --emit-c` makes of it, built as its first lines say, shows the bug as well.
The first one of each strategy is built with the system's own `cc` too, where there is one. Programs
on several threads are run under TSan, which needs them to meet but not to collide; of these and of
programs of collections no C program is made.
"""
import argparse
import concurrent.futures
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from fuzz import bounded  # noqa: E402

CANNOT_RUN = 2
AT_ONCE = 2  # most of the time is compilers'

# Seconds after which a reproducer of a hang has shown it.
HANG = 5

# Seconds that no command needs, however busy the machine is: assay itself tells a hang much earlier.
SECONDS = 200

# Runs in which threads may meet.
MEETINGS = 5

OPTIONS = {"ASAN_OPTIONS": "detect_leaks=0:symbolize=0:abort_on_error=1",
           "TSAN_OPTIONS": "symbolize=0",
           "UBSAN_OPTIONS": "symbolize=0:abort_on_error=1"}


def assay(program, *arguments):
    """Runs assay; returns its exit code and its output."""
    result = bounded.run([program, *arguments], SECONDS, env=dict(os.environ, **OPTIONS), text=True,
                         stderr=subprocess.PIPE)
    return result.returncode, result.stdout, result.stderr


def verdict(program, strategy, path, tier):
    """The property id that the oracle gives; raises AssertionError with the output if none."""
    code, output, errors = assay(program, "run", "--json", "--strategy", strategy, "--tier", tier,
                                 path)
    assert code in (0, 1), "exit code %d: %s" % (code, errors)
    # Who goes on after a race does so on a broken heap, and may never end.
    assert errors.count("WARNING: ThreadSanitizer: ") <= 1, "went on after a race: " + errors
    return json.loads(output)["verdict"]


def meeting(program, strategy, path, tier):
    """The same of a program on several threads: on a busy machine one may be done before the other
    begins, and then there was no race to see."""
    for _ in range(MEETINGS):
        found = verdict(program, strategy, path, tier)
        if found != "clean":
            break
    return found


def heap_has(path, field):
    """Whether the program's heap line, the only one with such fields, has this one."""
    with open(path, encoding="utf-8") as file:
        return " %s=" % field in file.read()


def shows(compiler, recipe, folder, hang):
    """Builds the C program as its recipe says, and runs it: it must not find all in order."""
    binary = os.path.join(folder, "repro")
    words = [os.path.join(folder, w) if w == "repro.c" else w.replace("bazel-bin/", "")
             for w in recipe.split()]
    built = bounded.run([compiler, "-w", *words, "-o", binary], SECONDS, text=True,
                        stderr=subprocess.STDOUT)
    assert built.returncode == 0, "the reproducer does not build by %s:\n%s" % (compiler,
                                                                             built.stdout)
    try:
        ran = bounded.run([binary], HANG if hang else 60, env=dict(os.environ, **OPTIONS), text=True,
                          stderr=subprocess.STDOUT)
    except subprocess.TimeoutExpired:
        assert hang, "the reproducer does not end"
        return
    assert ran.returncode not in (0, CANNOT_RUN), "the reproducer, built by %s, shows nothing: %s" % (
        compiler, ran.stdout)


def check_reproducer(program, compilers, name, path, folder, hang):
    """The emitted C program must show the bug, whichever compiler builds it."""
    code, source, errors = assay(program, "repro", "--emit-c", "--strategy", name, path)
    assert code in (0, 1), "--emit-c: exit code %d: %s" % (code, errors)
    recipe = re.findall(r"cc (-std=.*?) -o repro", re.sub(r" *\\?\n// *", " ", source))
    assert recipe, "no recipe in the reproducer"
    with open(os.path.join(folder, "repro.c"), "w", encoding="utf-8") as file:
        file.write(source)
    for compiler in compilers:
        shows(compiler, recipe[0], folder, hang)


def has_sanitizers(compiler, folder):
    """Whether the compiler is there, and can build what the recipes ask of it."""
    if not compiler or not shutil.which(compiler):
        return False
    path = os.path.join(folder, "empty.c")
    with open(path, "w", encoding="utf-8") as file:
        file.write("int main(void) { return 0; }\n")
    return subprocess.run([compiler, "-fsanitize=address,undefined", path, "-o", path + ".elf"],
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                          check=False).returncode == 0


def check(options, facts, path, compilers):
    """All that must hold for one planted bug. Returns one line, and whether it held."""
    name, strategy = facts["name"], facts["name"].split("+")[0]
    try:
        assert path, "has no smallest known program; put it beside the patch, as %s.txt" % name.replace(
            "+", ".")
        threads = heap_has(path, "threads")
        found = (meeting if threads else verdict)(
            options.assay_tsan if threads else options.assay_asan, name, path, "full")
        assert found in facts["expect"], "is %s, expected %s" % (found,
                                                                 " or ".join(facts["expect"]))
        clean = verdict(options.assay_asan, strategy, path, "paranoid")
        assert clean == "clean", "a false alarm on the clean strategy: " + clean
        # C programs are of one thread, and call allocators only.
        if threads or heap_has(path, "verbs"):
            return "%s: %s" % (name, found), True
        with tempfile.TemporaryDirectory(dir=os.environ.get("TEST_TMPDIR")) as folder:
            check_reproducer(options.assay, compilers, name, path, folder, found == "hang")
    except (AssertionError, subprocess.TimeoutExpired) as error:
        return "%s: FAILED: %s" % (name, error), False
    return "%s: %s" % (name, found), True


def load(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def own_shard():
    """How many processes Bazel divides the test among, and which one this is."""
    if "TEST_SHARD_STATUS_FILE" in os.environ:
        with open(os.environ["TEST_SHARD_STATUS_FILE"], "w", encoding="utf-8"):
            pass
    return int(os.environ.get("TEST_TOTAL_SHARDS") or 1), int(os.environ.get("TEST_SHARD_INDEX") or 0)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--assay", required=True)
    parser.add_argument("--assay-asan", required=True)
    parser.add_argument("--assay-tsan", required=True)
    parser.add_argument("--compiler", default="clang-19")
    parser.add_argument("--other-compiler", default="cc")
    parser.add_argument("--facts", nargs="+", required=True)
    parser.add_argument("--programs", nargs="+", required=True)
    options = parser.parse_args()
    programs = {os.path.basename(p)[:-len(".txt")]: p for p in options.programs}
    shards, shard = own_shard()
    with tempfile.TemporaryDirectory(dir=os.environ.get("TEST_TMPDIR")) as folder:
        other = [options.other_compiler] if has_sanitizers(options.other_compiler, folder) else []
    print("other compilers: " + (" ".join(other) or "none"), flush=True)
    failed = 0
    met = set()  # strategies
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        checks = []
        for index, facts in enumerate(map(load, options.facts)):
            path = programs.pop(facts["name"].replace("+", "."), None)
            if index % shards != shard:
                continue
            strategy = facts["name"].split("+")[0]
            compilers = [options.compiler] + (other if strategy not in met else [])
            met.add(strategy)
            checks.append(pool.submit(check, options, facts, path, compilers))
        for done in checks:
            line, held = done.result()
            failed += not held
            print(line, flush=True)
    for stem in programs:
        failed += 1
        print("%s: FAILED: a program without a planted bug" % stem)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
