"""The findings as the page shows them: all in the table, the first in full, the next without picture."""
import xml.etree.ElementTree as ElementTree
from types import SimpleNamespace

from reports import heap_map
from reports import html_words as words
from reports import results as R
from reports import text

# Characters of findings in full; then of findings in short: a page of any number opens fast.
MOST_IN_FULL = 1500000
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


def _facts(finding, results):
    facts = []
    if finding.file:
        facts.append("at %s%s" % (_place(finding),
                                  " in %s" % finding.function if finding.function else ""))
    if finding.site:
        facts.append("shows in: %s" % text.one_line(finding.site))
    if finding.first_visible:
        facts.append("damage first visible: %s" % text.one_line(finding.first_visible))
    runs = finding.replays.get("runs")
    if runs:
        facts.append("%d of %d replays showed it" % (finding.replays.get("same", 0), runs))
    if finding.engine:
        facts.append("found by %s%s" % (text.how_found(finding), "" if not finding.sanitizer else
                                        " (sanitizer: %s)" % words.sanitizer(finding.sanitizer)))
    if finding.since:
        facts.append("since %s%s" % (words.moment(finding.since), ", by an earlier campaign"
                                     if finding.since < results.started else ", by this campaign"))
    if finding.operations is not None:
        facts.append("minimal program: %s" % text.count(finding.operations, "operation"))
    facts.append("signature %s" % finding.signature)
    facts.append("build %s, tier %s" % (finding.build, finding.tier))
    if finding.version:
        facts.append("stored by Assay %s" % finding.version)
    facts.append("file %s" % finding.path)
    return facts


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
            heap_map.render(finding.story), kind="heap-map",
            title="Heap map of %s: %s" % (finding.strategy, finding.property),
            desc="Blocks as bars from allocation to release, addresses to the right, operations "
                 "downwards. %s" % text.one_line(finding.diagnosis, 400))
    except (heap_map.NoStory, ElementTree.ParseError, LookupError, TypeError, ValueError) as error:
        made.no_picture = "No heap map: %s." % text.one_line(str(error) or type(error).__name__, 200)


def _made(finding, results):
    return SimpleNamespace(
        status=finding.status, rank=R.STATUSES.index(finding.status), strategy=finding.strategy,
        property=finding.property, anchor=words.anchor(finding), place=_place(finding),
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
    parts += [made.text_title.lower()] if made.text else []
    parts += ["C program"] if made.c_program else []
    return ", ".join(parts).capitalize() or "No more is known"


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
    if results.verdict == R.COULD_NOT_RUN:
        return "None; but see above what could not run."
    return "None, in %s." % text.count(results.executions, "execution")
