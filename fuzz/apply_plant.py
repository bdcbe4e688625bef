#!/usr/bin/env python3
"""Makes a planted bug: a strategy's source with one defect, and the facts about it.

A plant is `<strategy>.<bug>.patch`, a unified diff against the strategy's file in allocators/, or
against one file of a collection in collections/, preceded by

  Bug: what is wrong, in one line
  Origin: where such a bug was seen; of a historical one, what it was
  Expect: the property ids that may kill it, separated by spaces

and, in the folder bugs/, the benchmark of historical bugs, by

  Id: AB-<number>, stable: it is what others cite
  Reported: project and issue, CVE, advisory or commit, year

A strategy's file exports one symbol, which the build renames. A collection is functions of many names,
which its driver calls: they get names of their own by a header that is included before all else, so
that the patched collection and a driver of its own are linked beside the clean ones.
"""
import argparse
import json
import os
import re
import shutil
import subprocess
import sys

# Of every plant, and of those in a folder of that name as well.
FIELDS = ("Bug", "Origin", "Expect")
FOLDER_FIELDS = {"bugs": ("Id", "Reported")}

BUG_ID = re.compile(r"AB-[0-9]{3}")
YEAR = re.compile(r"\b(19|20)[0-9]{2}\b")

# The file that a diff changes.
PATCHED = re.compile(r"^--- a/(\S+)", re.MULTILINE)

# A function or an object that a C file defines for others, as clang-format lays it out: at the
# beginning of a line, with the name on that line.
DEFINED = re.compile(r"^(?!static\b|extern\b|return\b|else\b)[A-Za-z_][\w \t*]*?\b(\w+)"
                     r"(?:\([^;{}]*\)\s*\{|(?:\[\w*\])?\s*=)", re.MULTILINE)


class BadPlant(Exception):
    """One line that says what is wrong with the patch."""


def parse_name(path):
    """The strategy and the bug that the file's name promises."""
    match = re.fullmatch(r"([a-z_][a-z0-9_]*)\.([a-z0-9_]+)\.patch", os.path.basename(path))
    if not match:
        raise BadPlant("the name must be <strategy>.<bug>.patch, in lower case with underscores")
    return match.groups()


def fields_of(path):
    """The header lines that a patch at that path must have."""
    return FIELDS + FOLDER_FIELDS.get(os.path.basename(os.path.dirname(path)), ())


def parse_header(text, wanted=FIELDS):
    """{field: value}; everything before the diff may be prose as well."""
    fields = {}
    for line in text.splitlines():
        if line.startswith("--- "):
            break
        key, colon, value = line.partition(":")
        if colon and key in wanted:
            fields[key] = value.strip()
    for key in wanted:
        if not fields.get(key):
            raise BadPlant("the header line `%s: ...` is missing or empty" % key)
    if "Id" in fields and not BUG_ID.fullmatch(fields["Id"]):
        raise BadPlant("`Id: %s` is not AB- and three digits" % fields["Id"])
    if "Reported" in fields and not YEAR.search(fields["Reported"]):
        raise BadPlant("`Reported:` names no year")
    return fields


def read_properties(path):
    """The ids that harness/property.h defines."""
    with open(path, encoding="utf-8") as f:
        found = re.findall(r'\bX\(\w+, "([a-z-]+)"', f.read())
    if not found:
        raise BadPlant("%s lists no properties" % path)
    return found


def check_expected(identifiers, properties, strategy):
    """Each must be a property's id or, `invariant:<strategy>.I<n>`, an invariant's."""
    for identifier in identifiers:
        kind, colon, rest = identifier.partition(":")
        known = kind in properties and (kind == "invariant") == bool(colon)
        if not known or colon and not re.fullmatch(re.escape(strategy) + r"\.I[0-9]+", rest):
            raise BadPlant("unknown property `%s` in `Expect:`; `assay list --properties` lists them, "
                           "and invariants are written invariant:%s.I<n>" % (identifier, strategy))


def apply(patch, source, output):
    """Writes the patched source, as the patch says or not at all."""
    # Patched in place: the source itself may be read-only, or a symbolic link of Bazel's sandbox.
    shutil.copyfile(source, output)
    command = ["patch", "--silent", "--force", "--fuzz=1", "--no-backup-if-mismatch",
               "--reject-file=-", output, patch]
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise BadPlant("`patch` is not installed: run ci/setup") from error
    if result.returncode != 0:
        said = " ".join((result.stdout + result.stderr).split())[:200]
        raise BadPlant("does not apply to %s any more; make the same defect there again, and the diff "
                       "anew (patch said: %s)" % (of_the_house(source), said))


def of_the_house(path):
    """The path from the top folder, as far as its name tells."""
    return "/".join(path.split("/")[-2:])


def choose(patch, sources):
    """Which of the sources the patch changes."""
    if len(sources) == 1:
        return sources[0]
    with open(patch, encoding="utf-8") as f:
        named = PATCHED.search(f.read())
    for source in sources:
        if named and of_the_house(source) == named.group(1):
            return source
    raise BadPlant("`--- a/...` must name one of %s" % " ".join(map(of_the_house, sources)))


def renamed(paths, facts):
    """Lines that give all that the C files of a collection define names of the plant's own."""
    names = {}
    for path in paths:
        with open(path, encoding="utf-8") as f:
            names.update(dict.fromkeys(DEFINED.findall(f.read())))
    bug = facts["name"].partition("+")[2]
    lines = ["#define %s %s__%s\n" % (name, name, bug) for name in sorted(names)]
    # What the registry asks for; a macro defines it.
    return lines + ["#define %s_strategy %s\n" % (facts["strategy"], facts["symbol"])]


def describe(patch, properties, collection=False):
    """The facts about a plant. `properties`: path of harness/property.h."""
    strategy, bug = parse_name(patch)
    with open(patch, encoding="utf-8") as f:
        header = parse_header(f.read(), fields_of(patch))
    check_expected(header["Expect"].split(), read_properties(properties), strategy)
    return {
        "name": "%s+%s" % (strategy, bug),
        "symbol": "%s__%s_strategy" % (strategy, bug),
        "strategy": strategy,
        "collection": collection,
        "patch": patch,
        "id": header.get("Id"),
        "bug": header["Bug"],
        "origin": header["Origin"],
        "reported": header.get("Reported"),
        "expect": header["Expect"].split(),
    }


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patch", required=True)
    parser.add_argument("--source", required=True, nargs="+",
                        help="the strategy's file, or all of a collection")
    parser.add_argument("--properties", required=True, help="harness/property.h")
    parser.add_argument("--output", required=True, nargs="+", help="a copy of each, one of them patched")
    parser.add_argument("--facts", required=True, help="the JSON description")
    parser.add_argument("--driver", help="of a collection, the file in harness/")
    parser.add_argument("--rename", help="of a collection, the header that renames what it defines")
    options = parser.parse_args()
    if len(options.source) != len(options.output) or bool(options.driver) != bool(options.rename):
        parser.error("give an --output for each --source, and --driver and --rename together")
    try:
        facts = describe(options.patch, options.properties, bool(options.driver))
        patched = choose(options.patch, options.source)
        for source, output in zip(options.source, options.output):
            if source == patched:
                apply(options.patch, source, output)
            else:
                shutil.copyfile(source, output)
        if options.rename:
            with open(options.rename, "w", encoding="utf-8") as f:
                f.writelines(renamed([options.driver, *options.output], facts))
        with open(options.facts, "w", encoding="utf-8") as f:
            json.dump(facts, f, indent=2)
            f.write("\n")
    except (BadPlant, OSError, UnicodeDecodeError) as error:
        sys.exit("assay: %s: %s" % (options.patch, error))


if __name__ == "__main__":
    main()
