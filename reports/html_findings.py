"""The findings as the page shows them: all in the table, the first in full, the next without a picture,
as many as keep the page small."""
import xml.etree.ElementTree as ElementTree
from types import SimpleNamespace

from reports import heap_map
from reports import html_words as words
from reports import results as R
from reports import text

# Characters of findings in full; then of findings in short: a page of any number opens fast.
MOST_IN_FULL = 1900000
MOST_IN_SHORT = 600000
MOST_SHOWN = 250
OPEN_AT_FIRST = 3          # of the new and the flaky ones
MOST_TEXT = 20000          # of a program, an explanation, a C program

_COMMANDS = {"repro": "Reproduce it", "emit_c": "Write the C reproducer",
             "gdb": "Stop in gdb before the guilty operation"}


def _cut(content):
    content = text.printable(content).rstrip("\n")
    if len(content) <= MOST_TEXT:
        return content
    return content[:MOST_TEXT] + "\n… %s more in the file" % text.count(
        len(content) - MOST_TEXT, "character")


def _place(finding):
    if finding.file:
        return finding.file + (":%d" % finding.line if finding.line else "")
    return text.one_line(finding.site, 60)


def _replays(finding):
    runs, same = finding.replays.get("runs"), finding.replays.get("same", 0)
    if not runs:
        return "none"
    if finding.status == R.FIXED and not same:
        return "clean in all %d" % runs
    return "%d of %d showed it" % (same, runs)


def _facts(finding, results):
    """(term, value, needs a line of its own), without what is not known."""
    place = _place(finding) if finding.file else ""
    if place and finding.function:
        place += ", in %s" % finding.function
    found = ""
    if finding.engine and finding.status != R.FIXED:
        found = text.how_found(finding)
        if finding.sanitizer not in ("", "none"):
            found += " (%s)" % words.sanitizer(finding.sanitizer)
    since = ""
    if finding.since:
        since = "%s, by %s campaign" % (words.moment(finding.since), "an earlier"
                                        if finding.since < results.started else "this")
    facts = [
        ("guilty line", place, False), ("that is", finding.guilty, False),
        ("shows in", text.one_line(finding.site), False),
        ("first visible", text.one_line(finding.first_visible), False),
        ("replays", _replays(finding), False), ("found by", found, False), ("since", since, False),
        ("program", "" if finding.operations is None else
         text.count(finding.operations, "operation"), False),
        ("build", "%s, tier %s%s" % (finding.build, finding.tier, ", Assay " + finding.version
                                     if finding.version else ""), False),
        ("signature", finding.signature, False), ("file", finding.path, True)]
    return [fact for fact in facts if fact[1]]


def _printable(value):
    """A story whose strings XML can carry."""
    if isinstance(value, str):
        return words.shown(value)
    if isinstance(value, list):
        return [_printable(each) for each in value]
    if isinstance(value, dict):
        return {key: _printable(each) for key, each in value.items()}
    return value


def _full(made, finding, pictures):
    """Adds what only some findings of a long list have room for."""
    made.explanation = _cut(finding.explanation)
    made.c_program = _cut(finding.c_program)
    made.c_lines = finding.c_program.count("\n")
    if not finding.story:
        made.no_picture = "No heap map: the allocator's walk told no story of this finding."
        return
    try:
        made.picture = pictures.inline(
            heap_map.render(_printable(finding.story)), kind="heap-map",
            title="Heap map of %s: %s" % (finding.strategy, finding.property),
            desc="Blocks as bars from allocation to release, addresses to the right, operations "
                 "downwards. %s" % text.one_line(finding.diagnosis, 400))
    except (heap_map.NoStory, ElementTree.ParseError, LookupError, TypeError, ValueError) as error:
        made.no_picture = "No heap map: %s." % text.one_line(str(error) or type(error).__name__, 200)


def _made(finding, results):
    return SimpleNamespace(
        status=finding.status, rank=R.STATUSES.index(finding.status), strategy=finding.strategy,
        property=finding.property, anchor=words.anchor(finding), place=_place(finding),
        line=_place(finding) if finding.file else "",
        brief=text.one_line(finding.diagnosis, 140), operations=finding.operations,
        since=finding.since[:10] or "-", diagnosis=text.one_line(finding.diagnosis, 2000),
        reason=finding.reason, expires=finding.expires, facts=_facts(finding, results),
        commands=[(_COMMANDS.get(name, name), line) for name, line in finding.commands.items()],
        text=_cut(finding.text), shown=False, open=False, picture="", no_picture="", explanation="",
        text_title="Minimal program" if finding.operations is not None else "The log's end",
        c_program="", c_lines=0)


def _size(made):
    return 3000 + sum(len(part) for part in (made.text, made.explanation, made.c_program,
                                             str(made.picture)))


def _holds(made):
    parts = ["commands"] if made.commands else []
    parts += ["heap map"] if made.picture else []
    parts += [made.text_title[0].lower() + made.text_title[1:]] if made.text else []
    parts += ["C program"] if made.c_program else []
    line = ", ".join(parts) or "no more is known"
    return line[0].upper() + line[1:]


def findings(results, pictures):
    ordered = sorted(results.findings, key=lambda f: (R.STATUSES.index(f.status), f.strategy,
                                                      f.property, f.signature))
    every, full, short, left = [], 0, 0, {"full": MOST_IN_FULL, "short": MOST_IN_SHORT}
    for finding in ordered:
        made = _made(finding, results)
        every.append(made)
        if left["full"] > 0 and not short:
            _full(made, finding, pictures)
            left["full"] -= _size(made)
            full += 1
        elif left["short"] > 0 and full + short < MOST_SHOWN:
            made.no_picture = "Heap map and C program lie beside the program's file."
            left["short"] -= _size(made)
            short += 1
        else:
            continue
        made.shown = True
        made.holds = _holds(made)
        made.open = finding.status in R.OPEN and full <= OPEN_AT_FIRST and not short
    said = ""
    if full < len(every):
        said = "Of these %s, the first %s are shown in full" % (
            text.number(len(every)), text.number(full))
        if short:
            said += ", the next %s without heap map and C program" % text.number(short)
        if full + short < len(every):
            said += ", and %s in the table only" % text.number(len(every) - full - short)
        said += ". All of each lies in the campaign's folder, below findings/."
    return SimpleNamespace(
        all=every, said=said, none=_none(results),
        statuses=[(status, sum(f.status == status for f in every)) for status in R.STATUSES
                  if any(f.status == status for f in every)],
        strategies=sorted({f.strategy for f in every}), properties=sorted({f.property for f in every}),
        columns=[("Status", False), ("Strategy", False), ("Property", False), ("Diagnosis", False),
                 ("Place", False), ("Operations", True), ("Since", False)])


def _none(results):
    if not results.jobs:
        return "Nothing was fuzzed."
    if results.verdict == R.COULD_NOT_RUN:
        return "None; but see above what could not run."
    return "None, in %s." % text.count(results.executions, "execution")
