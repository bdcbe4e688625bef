#!/usr/bin/env python3
"""The table of the historical bugs in fuzz/bugs/README.md, and the numbering of the bugs.

    bugs_table.py [--check] [--readme README.md] [PATCH...]

Writes the table anew, of all patches of the folder unless some are given. With --check it changes
nothing, and says what is wrong: exit code 1.
"""
import argparse
import glob
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import apply_plant  # noqa: E402

BEGIN, END = "<!-- table: bugs_table.py -->\n", "<!-- end of table -->\n"


def read(paths):
    """The facts of each patch, by id."""
    properties = os.path.join(os.path.dirname(HERE), "harness", "property.h")
    bugs = []
    for path in paths:
        try:
            bugs.append(apply_plant.describe(path, properties))
        except (apply_plant.BadPlant, OSError, UnicodeDecodeError) as error:
            sys.exit("assay: %s: %s" % (path, error))
    return sorted(bugs, key=lambda bug: (bug["id"], bug["name"]))


def shared_ids(bugs):
    """A line for each id that several bugs have."""
    names = {}
    for bug in bugs:
        names.setdefault(bug["id"], []).append(bug["name"])
    return ["%s is the id of %s" % (key, " and ".join(found))
            for key, found in names.items() if len(found) > 1]


def cell(text):
    return text.replace("|", "\\|")


def table(bugs):
    lines = ["| id | strategy+bug | what is wrong | reported | expected |",
             "|:---|:-------------|:--------------|:---------|:---------|"]
    for bug in bugs:
        lines.append("| %s | `%s` | %s | %s | %s |" % (
            bug["id"], bug["name"], cell(bug["bug"]), cell(bug["reported"]),
            " ".join("`%s`" % key for key in bug["expect"])))
    return "".join(line + "\n" for line in lines)


def renewed(text, bugs):
    """The README with the table of today."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        sys.exit("assay: the README has no lines `%s` and `%s`" % (BEGIN.strip(), END.strip()))
    return before + begin + table(bugs) + end + after


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--readme", default=os.path.join(HERE, "bugs", "README.md"))
    parser.add_argument("patches", nargs="*", metavar="PATCH")
    options = parser.parse_args()
    bugs = read(options.patches or sorted(glob.glob(
        os.path.join(glob.escape(HERE), "bugs", "*.patch"))))
    wrong = shared_ids(bugs)
    with open(options.readme, encoding="utf-8") as file:
        text = file.read()
    new = renewed(text, bugs)
    if not options.check and new != text:
        with open(options.readme, "w", encoding="utf-8") as file:
            file.write(new)
    elif new != text:
        wrong.append("%s: the table is not that of the patches: run fuzz/bugs_table.py"
                     % options.readme)
    for line in wrong:
        print("assay: " + line, file=sys.stderr)
    if not wrong:
        print("%d bugs, each with an id of its own" % len(bugs))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
