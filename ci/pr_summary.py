"""What ci/pr says at its end: for people in Markdown and plain text."""
from ci import pr_steps
from reports import sarif, text
from reports.markdown import block, code, escape

_VERDICTS = {
    0: "clean",
    1: "a new finding, or a test failed",
    2: "something could not run, or not in this time",
    3: "only known findings",
}

# A summary that is too long is not shown at all: GitHub takes a megabyte.
_MOST = 200_000

EMPTY_SARIF = {
    "$schema": sarif.SCHEMA_URI,
    "version": "2.1.0",
    "runs": [{"tool": {"driver": {"name": "Assay", "rules": []}}, "results": []}],
}


def read(path):
    """The text of a file, or None."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return None


def _demoted(markdown):
    """The same with headings one level below, so that it stands under one of ours."""
    fenced = False
    lines = []
    for line in markdown.splitlines():
        if line.startswith("```"):
            fenced = not fenced
        lines.append("#" + line if line.startswith("#") and not fenced else line)
    return lines


def render(change, outcomes, seconds, report):
    """Markdown. `report` is the campaign's, or None."""
    verdict = pr_steps.exit_code(outcomes)
    lines = ["# Assay: %s" % _VERDICTS[verdict], "",
             "%d files differ from %s. To be fuzzed: %s (%s)." % (
                 len(change.files), code(change.base[:12]),
                 " ".join(code(s) for s in change.strategies) or "nothing", escape(change.why)), "",
             "| step | outcome | time | |", "|:--|:--|--:|:--|"]
    for outcome in outcomes:
        lines.append("| %s | %s | %s | %s |" % (
            outcome.name, "**%s**" % outcome.state if outcome.state.isupper() else outcome.state,
            text.duration(outcome.seconds), escape(outcome.says)))
    lines += ["", "In all %s." % text.duration(seconds), ""]
    for outcome in outcomes:
        if not outcome.details:
            continue
        lines += ["## %s" % outcome.name, ""]
        for name, said in outcome.details:
            lines += ["<details><summary>%s</summary>" % escape(name), ""]
            lines += block(said or "it said nothing") + ["", "</details>", ""]
    if report:
        lines += _demoted(report)
    whole = "\n".join(lines).rstrip() + "\n"
    if len(whole) > _MOST:
        whole = whole[:_MOST].rpartition("\n")[0] + "\n\n(cut off: the rest is in the reports)\n"
    return whole


def plain(outcomes, verdict, seconds):
    width = max(len(outcome.name) for outcome in outcomes)
    states = max(len(outcome.state) for outcome in outcomes)
    lines = ["%-*s  %-*s  %5s  %s" % (width, o.name, states, o.state, text.duration(o.seconds), o.says)
             for o in outcomes]
    return "\n".join(lines + ["", "%s, in %s" % (_VERDICTS[verdict], text.duration(seconds))])
