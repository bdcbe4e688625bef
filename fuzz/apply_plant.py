#!/usr/bin/env python3
"""Makes a planted bug: a strategy's source with one defect, and the facts about it.

A plant is `<strategy>.<bug>.patch`, a unified diff against allocators/<strategy>.c preceded by

  Bug: what is wrong, in one line
  Origin: where such a bug was seen
  Expect: the property ids that may kill it, separated by spaces
"""
import argparse
import json
import os
import re
import shutil
import subprocess
import sys

PROPERTY = re.compile(r"[a-z]+(-[a-z]+)*(:[a-z_]+\.I[0-9]+)?")


class BadPlant(Exception):
    """One line that says what is wrong with the patch."""


def parse_name(path):
    """The strategy and the bug that the file's name promises."""
    match = re.fullmatch(r"([a-z_][a-z0-9_]*)\.([a-z0-9_]+)\.patch", os.path.basename(path))
    if not match:
        raise BadPlant("the name must be <strategy>.<bug>.patch, in lower case with underscores")
    return match.groups()


def parse_header(text):
    """The header's three fields; everything before the diff may be prose as well."""
    fields = {}
    for line in text.splitlines():
        if line.startswith("--- "):
            break
        key, colon, value = line.partition(":")
        if colon and key in ("Bug", "Origin", "Expect"):
            fields[key] = value.strip()
    for key in ("Bug", "Origin", "Expect"):
        if not fields.get(key):
            raise BadPlant("the header line `%s: ...` is missing or empty" % key)
    for identifier in fields["Expect"].split():
        if not PROPERTY.fullmatch(identifier):
            raise BadPlant("`%s` in `Expect:` is no property id" % identifier)
    return fields


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
        raise BadPlant("does not apply to allocators/%s (%s)" % (os.path.basename(source), said))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patch", required=True)
    parser.add_argument("--source", required=True)
    parser.add_argument("--output", required=True, help="the patched source")
    parser.add_argument("--facts", required=True, help="the JSON description")
    options = parser.parse_args()
    try:
        strategy, bug = parse_name(options.patch)
        with open(options.patch, encoding="utf-8") as f:
            header = parse_header(f.read())
        apply(options.patch, options.source, options.output)
    except (BadPlant, OSError, UnicodeDecodeError) as error:
        sys.exit("assay: %s: %s" % (options.patch, error))
    facts = {
        "name": "%s+%s" % (strategy, bug),
        "symbol": "%s__%s_strategy" % (strategy, bug),
        "strategy": strategy,
        "patch": options.patch,
        "bug": header["Bug"],
        "origin": header["Origin"],
        "expect": header["Expect"].split(),
    }
    with open(options.facts, "w", encoding="utf-8") as f:
        json.dump(facts, f, indent=2)
        f.write("\n")


if __name__ == "__main__":
    main()
