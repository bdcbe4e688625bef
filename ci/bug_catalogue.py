"""The bugs that ci/bugs runs fuzzers against: what each patch says, and whether it still applies."""
import dataclasses
import fnmatch
import glob
import os
import re
import sys
import tempfile
import typing

from ci.workbench import CannotRun

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
                                "fuzz"))
import apply_plant  # noqa: E402
from hunt import MUTATORS  # noqa: E402,F401

# Folders of fuzz/ by the name of the set.
SETS = {"bugs": ("bugs",), "plants": ("plants",), "all": ("bugs", "plants")}

_PATCHED = re.compile(r"^--- a/((?:allocators|collections)/[a-z0-9_]+\.c)", re.MULTILINE)


@dataclasses.dataclass
class Bug:
    name: str                       # strategy+bug
    strategy: str
    id: str                         # of one in the benchmark; else the name
    bug: str = ""                   # in one line
    reported: str = ""
    expect: typing.List[str] = dataclasses.field(default_factory=list)
    problem: str = ""               # why it cannot run

    @property
    def target(self):
        """Its fuzz targets' name, without the engine."""
        return self.name.replace("+", ".")


def _read(tree, path):
    stem = os.path.basename(path)[:-len(".patch")]
    bug = Bug(stem.replace(".", "+", 1), stem.partition(".")[0], stem)
    try:
        facts = apply_plant.describe(path, os.path.join(tree, "harness", "property.h"))
        bug.name, bug.bug, bug.expect = facts["name"], facts["bug"], facts["expect"]
        bug.id, bug.reported = facts["id"] or facts["name"], facts["reported"] or ""
        with open(path, encoding="utf-8") as file:
            patched = _PATCHED.search(file.read())
        if not patched:
            raise apply_plant.BadPlant("no `--- a/allocators/...` or `--- a/collections/...` says what it is a diff of")
        with tempfile.TemporaryDirectory() as folder:
            apply_plant.apply(path, os.path.join(tree, patched.group(1)),
                              os.path.join(folder, "patched.c"))
    except (apply_plant.BadPlant, OSError, UnicodeDecodeError) as error:
        bug.problem = "%s: %s" % (os.path.relpath(path, tree), error)
    return bug


def read(tree, chosen):
    """All Bugs of a set, those with an id first."""
    bugs = []
    for folder in SETS[chosen]:
        paths = sorted(glob.glob(os.path.join(glob.escape(tree), "fuzz", folder, "*.patch")))
        bugs += sorted((_read(tree, path) for path in paths), key=lambda bug: (bug.id, bug.name))
    met = {}
    for bug in bugs:
        if bug.id in met and not bug.problem:
            bug.problem = "%s: has the id %s, and so has %s: give it the next free one" % (
                bug.name, bug.id, met[bug.id])
        met.setdefault(bug.id, bug.name)
    return bugs


def choose(bugs, patterns):
    """Those whose id, name or strategy matches one of the patterns; no pattern: all."""
    if not bugs:
        raise CannotRun("there are no bugs in that set")
    chosen = []
    for pattern in patterns:
        found = [bug for bug in bugs
                 if any(fnmatch.fnmatchcase(word, pattern)
                        for word in (bug.id, bug.name, bug.name.partition("+")[2], bug.strategy))]
        if not found:
            raise CannotRun("no bug is called '%s'; ci/bugs --list shows all" % pattern)
        chosen += found
    return [bug for bug in bugs if bug in chosen] if patterns else bugs
