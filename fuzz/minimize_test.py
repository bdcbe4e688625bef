#!/usr/bin/env python3
"""The minimiser, on the known programs of the planted bugs, buried among random operations.

    minimize_test.py --assay PROGRAM --facts FILE... --programs FILE...

For each: the result violates the same property, none of its operations can go (each is tried), and
minimising again gives the same bytes. Programs of a collection are buried among verbs of its other
ones. Some bugs and programs on several threads depend on chance, and
the C library's allocator on all that the process did before: they are left out.
"""
import json
import os
import random
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from fuzz import bounded, known_programs  # noqa: E402

OPERATIONS = 300
SECONDS = 120  # enough, however busy the machine is

# At least so many bugs must still show among random operations, or this tests nothing.
ENOUGH = 0.5


def assay(options, *arguments):
    result = bounded.run([options.assay, *arguments], 2 * SECONDS, text=True, stderr=subprocess.PIPE)
    return result.returncode, result.stdout, result.stderr


def read(path):
    """Heap line and operations."""
    with open(path, encoding="utf-8") as file:
        lines = [line.split("#")[0].strip() for line in file]
    lines = [line for line in lines if line]
    return (lines[0], lines[1:]) if lines[0].startswith("heap") else ("heap", lines)


def some_request(chance):
    """An operation on an allocator, with a slot of its own."""
    slot, kind = chance.randrange(32, 48), chance.random()
    if kind < 0.5:
        return "allocate %d size=%d align=%d" % (
            slot, chance.choice([1, 8, 24, 100, chance.randrange(1, 400)]), chance.choice([1, 8, 16]))
    return "%s %d" % ("release" if kind < 0.9 else "use", slot)


def some_verb(chance, lines):
    """One of the lines, moved to instances of its own."""
    line = re.sub(r"(other=)\d+", lambda match: match[1] + str(chance.choice([2, 3])),
                  chance.choice(lines))
    return re.sub(r"^(\w+ )\d+", lambda match: match[1] + str(chance.choice([2, 3])), line)


def verb_lines(programs):
    """{collection: the operations of all its programs}"""
    lines = {}
    for program in programs:
        heap, operations = read(program)
        collection = re.search(r"verbs=(\w+)", heap)
        if collection:
            lines.setdefault(collection[1], []).extend(
                line for line in operations if not line.startswith("fault"))
    return lines


def buried(operations, seed, lines):
    """The operations in their order, among random ones; `lines`: of a collection, else None."""
    chance = random.Random(seed)
    padding = []
    while len(padding) + len(operations) < OPERATIONS:
        padding.append(some_verb(chance, lines) if lines else some_request(chance))
    places = sorted(chance.randrange(len(padding) + 1) for _ in operations)
    for place, operation in reversed(list(zip(places, operations))):
        padding.insert(place, operation)
    return padding


def write(path, heap, operations):
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join([heap] + operations) + "\n")


def verdicts(options, name, paths):
    """The property that each program violates, or `clean`."""
    code, output, errors = assay(options, "run", "--json", "--quiet", "--strategy", name, *paths)
    assert code in (0, 1), errors
    return [json.loads(line)["verdict"] for line in output.splitlines()]


def check(options, name, program, folder, lines):
    """Returns what came of it, or None if the bug does not show among the random operations."""
    heap, operations = read(program)
    paths = [os.path.join(folder, leaf) for leaf in ("big.txt", "small.txt", "again.txt")]
    write(paths[0], heap, buried(operations, name, lines.get(name.partition("+")[0])))
    found = verdicts(options, name, paths[:1])[0]
    if found == "clean":
        return None
    for output in paths[1:]:
        code, _, errors = assay(options, "minimize", "--strategy", name, "--property", found,
                                "--seconds", "%d" % SECONDS, "--output", output, paths[0])
        assert code == 0, "exit code %d: %s" % (code, errors)
    with open(paths[1], "rb") as one, open(paths[2], "rb") as other:
        assert one.read() == other.read(), "minimising twice gives two programs"
    small_heap, small = read(paths[1])
    assert verdicts(options, name, paths[1:2]) == [found], "the result does not violate it"
    without = []
    for i in range(len(small)):
        without.append(os.path.join(folder, "without-%d.txt" % i))
        write(without[-1], small_heap, small[:i] + small[i + 1:])
    for i, verdict in enumerate(verdicts(options, name, without) if without else []):
        assert verdict != found, "operation %d, %s, is not needed" % (i, small[i])
    return "%s, %d operations" % (found, len(small))


def main():
    options = known_programs.parse(__doc__.splitlines()[0])
    tried = shown = failed = 0
    lines = verb_lines(options.programs)
    for name, program in known_programs.each(options):
        if name.startswith("system+"):
            continue
        tried += 1
        with tempfile.TemporaryDirectory(dir=os.environ.get("TEST_TMPDIR")) as folder:
            try:
                result = check(options, name, program, folder, lines)
                shown += result is not None
                print("%s: %s" % (name, result or "does not show among random operations"))
            except AssertionError as error:
                failed += 1
                print("%s: FAILED: %s" % (name, error))
    print("%d planted bugs, %d shown, %d failed" % (tried, shown, failed))
    return 1 if failed or shown < ENOUGH * tried else 0


if __name__ == "__main__":
    sys.exit(main())
