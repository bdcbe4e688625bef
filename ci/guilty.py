"""The guilty line of a finding: a file below the sources' root, a line, and in words which line it is.

The best witness there is:
 1. a sanitizer that stops at the instruction: the innermost line of the allocator in its stack;
 2. the walk or check that found an invariant broken: where that invariant is declared;
 3. the guilty operation: the strategy's or the collection's function that it called.

Only the first names a culprit; the words say so.
"""
import dataclasses
import glob
import os
import re

from ci import provenance, workbench

# Of a symbolised stack: `#1 0x55 in tlsf_release allocators/tlsf.c:12:3`, of TSan without the address.
_FRAME = re.compile(r"^\s*#\d+ (?:0x[0-9a-f]+ in )?(\S+) (\S+?):(\d+)(?::\d+)?(?:\s|$)", re.MULTILINE)

# Where bazel puts the sources of a planted bug.
# Those of a collection, in a folder of the bug's name.
_PLANTED = re.compile(r"(?:^|/)fuzz/planted/([^/]+?)(?:/([^/]+))?\.c$")

_INVARIANT = re.compile(r"\bI(\d+) does not hold[^:]*: (.*)")
_HUNK = re.compile(r"^@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@")

# The vtable's slot that an operation, or what the oracle does beside them, calls.
_SLOTS = {
    "allocate": "allocate", "zeroed": "allocate_zeroed", "release": "release", "resize": "resize",
    "reset": "reset", "release_again": "release", "release_foreign": "release", "mark": "mark",
    "rollback": "rollback", "collect": "collect", "reopen": "reopen", "crash": "reopen",
    # What the oracle does beside operations: `fresh heap`, `usable size of NULL`, `reset of all`.
    "create": "create", "fresh": "create", "destroy": "destroy", "collection": "collect",
    "usable": "usable_size",
}

# The slot whose answer was wrong, whatever the operation was.
_ANSWERS = {"statistics": "statistics", "usable-size": "usable_size"}

# Findings of which a sanitizer has nothing to tell but time.
_SILENT = ("hang",)


@dataclasses.dataclass
class Line:
    file: str = ""            # from the sources' root
    line: int = 0
    function: str = ""
    words: str = ""


def locate(assay, finding, path, story=None, root=workbench.ROOT):
    """The Line, or None. `assay` is a Judge, `path` the finding's program, `story` what `assay
    repro --json` tells of it."""
    return (_by_stack(assay, finding, path, root) or _by_invariant(finding, root) or
            _by_operation(finding, story, root))


# ## Stacks

def _by_stack(assay, finding, path, root):
    if finding.property in _SILENT:
        return None
    told = assay.symbolised(finding.build, finding.strategy, path)
    elsewhere = provenance.foreign.get(finding.strategy)
    for function, file, line in _FRAME.findall(told):
        if elsewhere:
            place = (_shown(file, root), int(line)) if file in elsewhere.paths else None
        else:
            place = _in_tree(file, int(line), root)
        if place:
            return Line(*place, function, "where %s; in %s%s" % (
                _witness(told), function, _of_planted(file)))
    return None


def _shown(path, root):
    """From the root, if below; else as it is."""
    relative = os.path.relpath(path, root)
    return path if relative.startswith(os.pardir) else relative


def _witness(told):
    for sign, words in (("ThreadSanitizer", "ThreadSanitizer saw one of the two accesses"),
                        ("runtime error:", "UndefinedBehaviorSanitizer stopped it"),
                        ("AddressSanitizer", "AddressSanitizer stopped it")):
        if sign in told:
            return words
    return "a sanitizer stopped it"


def _of_planted(file):
    return ", whose planted bug is a patch of this file" if _PLANTED.search(file) else ""


def _floor(path):
    """The folder of what is tested that a path from the root lies in, or None."""
    folder = os.path.dirname(path)
    return folder if folder in ("allocators", "collections") else None


def _in_tree(file, line, root):
    """(path below the root, line) of a source of allocators/ or collections/, or None. Of a planted
    bug's source: that of the file that was patched."""
    planted = _PLANTED.search(file)
    if planted:
        return _before_patch(planted.group(1), line, root, planted.group(2))
    name = "/".join(file.split("/")[-2:])
    return (name, line) if _floor(name) and os.path.isfile(os.path.join(root, name)) else None


def _before_patch(bug, line, root, leaf=None):
    """Of a line of fuzz/planted/<bug>.c, or <bug>/<leaf>.c: where it is, or would be, without the
    patch."""
    for patch in glob.glob(os.path.join(glob.escape(root), "fuzz", "*", glob.escape(bug) + ".patch")):
        name, old, new = "", 1, 1
        with open(patch, encoding="utf-8") as f:
            for text in f:
                if text.startswith("--- a/"):
                    name = text[6:].split()[0]
                    if leaf and leaf + ".c" != os.path.basename(name):
                        return "collections/%s.c" % leaf, line    # a copy as it is
                    continue
                hunk = _HUNK.match(text)
                if hunk:
                    begin_old, begin_new = int(hunk.group(1)), int(hunk.group(2))
                    if begin_new > line:
                        break
                    old, new = begin_old, begin_new
                    continue
                if not name or text.startswith("+++") or new > line:
                    continue
                if text.startswith("+"):
                    if new == line:
                        return name, old
                    new += 1
                elif text.startswith("-"):
                    old += 1
                elif text.startswith(" "):
                    if new == line:
                        return name, old
                    old, new = old + 1, new + 1
        if name:
            return name, old + line - new
    return None


# ## Sources

def _sources(strategy, root):
    """{path below the root: its lines} of a strategy: its own first, then what they include."""
    base = strategy.partition("+")[0]
    names = [name for name in provenance.files_of(base, root) if not name.endswith(".patch")]
    sources = {}
    for name in names:     # which grows
        if name in sources:
            continue
        try:
            with open(os.path.join(root, name), encoding="utf-8") as f:
                sources[name] = f.read().splitlines()
        except OSError:
            continue
        names += [match.group(1) for match in map(
            re.compile(r'#include "(%s/\w+\.h)"' % (_floor(name) or "allocators")).match,
            sources[name]) if match]
    return sources


def _find(sources, pattern):
    """The first line that matches: (file, number), or None."""
    expression = re.compile(pattern)
    for name, lines in sources.items():
        for number, line in enumerate(lines, 1):
            if expression.search(line):
                return name, number
    return None


def _by_invariant(finding, root):
    match = _INVARIANT.search(finding.diagnosis)
    if not match:
        return None
    number, text = match.groups()
    text = re.sub(r" \(in the second pass.*", "", text)
    sources = _sources(finding.strategy, root)
    # By its text: a strategy that wraps another has that one's invariants, too.
    place = (_find(sources, r"// I\d+: " + re.escape(text)) or
             _find(sources, r"// I%s: " % number) or _find(sources, '"' + re.escape(text)))
    if not place:
        return None
    called = _by_operation(finding, None, root)
    return Line(*place, called.function if called else "", "where the broken invariant I%s is declared%s" % (
        number, "; %s, at %s:%d, is what was called before" % (
            called.function, called.file, called.line) if called else ""))


def _by_operation(finding, story, root):
    sources = _sources(finding.strategy, root)
    if _floor(next(iter(sources), "")) == "collections":
        return _by_verb(finding, story, sources)
    slot, words = _ANSWERS.get(finding.property), "which gave the answer"
    if not slot:
        slot = _SLOTS.get(finding.site.split(" ")[0].rstrip(":"))
        words = "which the guilty operation called"
    if not slot:
        slot, words = _last_slot(story), "the last that was called before it showed"
    elsewhere = provenance.foreign.get(finding.strategy)
    function = elsewhere.functions.get(slot) if elsewhere else _in_vtable(sources, slot)
    if elsewhere:
        sources = {_shown(path, root): lines for path, lines in sources.items()}
    return _at(sources, function, words)


def _at(sources, function, words):
    """The Line where a function is defined, or None."""
    place = function and _find(sources, r"^[a-z].*\b%s\((?:.*\{|[^;]*$)" % re.escape(function))
    return Line(*place, function, "the function %s, %s" % (function, words)) if place else None


def _by_verb(finding, story, sources):
    """A collection's verbs are called like its functions."""
    tried = [(finding.site.split(" ")[0].rstrip(":"), "which the guilty operation called")]
    tried += [(verb, "the last that was called before it showed") for verb in _carried_out(story)]
    for verb, words in tried:
        line = _at(sources, "%s_%s" % (finding.strategy.partition("+")[0], verb), words)
        if line:
            return line
    return None


def _carried_out(story):
    """The first words of the operations that were carried out, the last one first."""
    return [step.get("text", "").split(" ")[0] for step in reversed((story or {}).get("steps", []))
            if step.get("result") in ("done", "refused", "violated")]


def _last_slot(story):
    """Of the last operation that was carried out and calls the allocator for more than a look."""
    return next(filter(None, map(_SLOTS.get, _carried_out(story))), None)


def _in_vtable(sources, slot):
    """The function that a strategy has there; the general one where it has no special one."""
    for name in (slot, {"allocate_zeroed": "allocate", "collect": "allocate"}.get(slot)):
        if name is None:
            continue
        for lines in sources.values():
            for line in lines:
                match = re.search(r"\.%s = (\w+)[,;]" % re.escape(name), line)
                if match:
                    return match.group(1)
    return None
