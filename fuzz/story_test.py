#!/usr/bin/env python3
"""What is told of a finding, for the smallest known program of each planted bug.

    story_test.py --assay PROGRAM --facts FILE... --programs FILE...

For each that the build shows: the story names the guilty operation and, where another block is
involved, its slot; the text marks the operation and shows the heap around it; the heap map is drawn;
and all of it is the same each time. Hangs take seconds each, and some bugs depend on chance, as do
programs on several threads: they are left out.
"""
import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from fuzz import bounded, known_programs  # noqa: E402
from reports import heap_map  # noqa: E402

# An operation of the program by its number, or what comes before and after all of them.
PLACE = re.compile(r"operation \d+, \w+|create|fresh heap|end|drop|destroy|"
                   r"(release|reset|collection) of all")

# Diagnoses of these are about a block beside the one that the operation names.
OTHER_BLOCK = {"overlap", "content", "touched-live-block"}

# What these answer depends on addresses in their process, which no two have in common: that of the
# calling thread's own memory, and all that was asked of the C library before.
OF_THE_PROCESS = ("size_class+", "system+")

SECONDS = 120  # that no run needs, however busy the machine is

# So many properties must be among what is told, or this tests little.
ENOUGH = 14


def repro(options, name, path, *arguments):
    result = bounded.run([options.assay, "repro", "--strategy", name, "--runs", "2", *arguments, path],
                         SECONDS, text=True, stderr=subprocess.PIPE)
    assert result.returncode in (0, 1), "exit code %d: %s" % (result.returncode, result.stderr)
    return result.stdout


def check_story(story):
    place = PLACE.match(story["diagnosis"])
    assert place, "does not say where: " + story["diagnosis"]
    if story["operation"] < story["operations"] and place.group().startswith("operation"):
        assert place.group().startswith("operation %d," % story["operation"]), story["diagnosis"]
    if story["verdict"] in OTHER_BLOCK:
        assert re.search(r"slot \d+ at 0x", story["diagnosis"]), "no slot: " + story["diagnosis"]
    assert story["replays"] == {"runs": 2, "same": 2}, story["replays"]
    assert len(story["steps"]) == story["operations"]
    first = story["first_visible"]
    assert first is None or first["operation"] < story["operation"], first
    for life in story["lives"]:
        assert life["end"] is None or life["begin"] <= life["end"], life


def check_picture(story):
    root = ElementTree.fromstring(heap_map.render(story))
    classes = [element.get("class") for element in root.iter()]
    assert classes.count("guilty-operation") == 1, "the guilty operation is not marked"
    assert classes.count("guilty") == (story["guilty"] is not None)
    assert classes.count("live") == len(story["lives"])


def check(options, name, path):
    """Returns the property, or None if the build does not show it."""
    told = repro(options, name, path, "--json")
    story = json.loads(told)
    if story["verdict"] == "clean":
        return None
    check_story(story)
    check_picture(story)
    text = repro(options, name, path)
    for part in ("\n>", "<== " + story["verdict"], "Verdict: " + story["verdict"], "in 2 of 2 runs"):
        assert part in text, "the text lacks: " + part
    if story["diagnosis"].startswith("operation "):
        marked = re.findall(r"^> +(\d*)", text, re.MULTILINE)
        assert marked == [str(story["operation"])], "marked: %s" % marked
    assert "The heap before operation" in text or not story["states"] or story["operation"] == 0
    if not name.startswith(OF_THE_PROCESS):
        assert told == repro(options, name, path, "--json"), "the story differs from time to time"
        assert story["diagnosis"] in text, "the text lacks: " + story["diagnosis"]
    return story["verdict"]


def main():
    options = known_programs.parse(__doc__.splitlines()[0])
    met, failed = set(), 0
    for name, path in known_programs.each(options):
        try:
            found = check(options, name, path)
            print("%s: %s" % (name, found or "not shown by this build"))
            met.add((found or "").partition(":")[0])
        except AssertionError as error:
            failed += 1
            print("%s: FAILED: %s" % (name, error))
    met.discard("")
    print("%d properties, %d failed" % (len(met), failed))
    return 1 if failed or len(met) < ENOUGH else 0


if __name__ == "__main__":
    sys.exit(main())
