"""The smallest known programs of the planted bugs, for tests that need the same verdict each time."""
import argparse
import json
import os

# Planted bugs whose verdict depends on addresses, random where the system does not let a program have
# the same each time. Marks behind those it has lie where free blocks have their links.
BY_CHANCE = {"buddy+marks_counted_as_room"}


def parse(description):
    """The options that such a test is given."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--assay", required=True)
    parser.add_argument("--facts", nargs="+", required=True)
    parser.add_argument("--programs", nargs="+", required=True)
    return parser.parse_args()


def each(options):
    """Yields (name of the bug, path of its program). Hangs take seconds each, and some bugs depend on
    chance, as do programs on several threads: they are left out."""
    programs = {os.path.basename(path)[:-len(".txt")]: path for path in options.programs}
    for facts in options.facts:
        with open(facts, encoding="utf-8") as file:
            document = json.load(file)
        name = document["name"]
        path = programs.get(name.replace("+", "."))
        if not path or "hang" in document["expect"] or name in BY_CHANCE:
            continue
        with open(path, encoding="utf-8") as file:
            if " threads=" in file.read():
                continue
        yield name, path
