"""One finding as a colleague's bug report, in Markdown: what is wrong, what shows it, how to go on."""
import os

from reports import text


def block(content, language=""):
    """A code block, whatever it holds."""
    fence = "```"
    while fence in content:
        fence += "`"
    return [fence + language] + text.printable(content).rstrip("\n").split("\n") + [fence]


def render(finding, story=None, explanation="", c_program="", picture=""):
    """`story` is what `assay repro --json` told, `explanation` what `assay repro` did; `picture` the
    name of the heap map's file. Each may be missing."""
    lines = ["# %s: %s" % (finding.strategy, finding.property), "",
             text.printable(finding.diagnosis) + ".", ""]
    if finding.first_visible:
        lines += ["First visible as " + text.printable(finding.first_visible) + ".", ""]
    if story and story.get("property_text"):
        lines += ["That is `%s`: %s." % (finding.property, story["property_text"]), ""]
    if finding.file:
        lines += ["Line: `%s:%d`, %s." % (finding.file, finding.line, text.printable(finding.guilty)), ""]
    replays = finding.replays
    if replays:
        lines += ["%d of %d replays showed it, each in a process of its own." % (
            replays["same"], replays["runs"]), ""]
    lines += ["## Reproduce it", ""]
    lines += block("\n".join(finding.commands.values()), "sh") + [""]
    made = ["build `%s`" % finding.build, "tier `%s`" % finding.tier]
    if finding.version:
        made.append("Assay %s" % finding.version)
    if finding.engine:
        made.append("found by %s" % text.engine(finding.engine))
    lines += [", ".join(made) + ".", ""]
    if finding.text:
        lines += ["## The smallest program", ""] + block(finding.text, "text") + [""]
    if explanation:
        lines += ["## What it does", ""] + block(explanation, "text") + [""]
    if picture:
        lines += ["## The heap over time", "",
                  "![blocks, address by operation](%s)" % os.path.basename(picture), ""]
    if c_program:
        lines += ["## As a C program", ""] + block(c_program, "c") + [""]
    return "\n".join(lines)
