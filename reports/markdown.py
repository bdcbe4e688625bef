"""The report in Markdown (GitHub's dialect), for a CI summary or a mail."""
import re

from reports import text

# A diagnosis may hold anything; in Markdown these would format, link or break the table.
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~!&])")


def escape(value):
    """Text that shows as it is, in a table cell as elsewhere."""
    return _SPECIAL.sub(r"\\\1", text.one_line(value, 400))


def code(value):
    """An inline code span, whatever backticks the text holds."""
    value = text.one_line(value, 400)
    fence = "`" * (max((len(run) for run in re.findall("`+", value)), default=0) + 1)
    pad = " " if value.startswith("`") or value.endswith("`") else ""
    return fence + pad + value.replace("|", "\\|") + pad + fence


def block(value, language=""):
    """A fenced block that its contents cannot close."""
    value = text.printable(value).rstrip("\n")
    fence = "`" * max(3, max((len(run) for run in re.findall("`+", value)), default=0) + 1)
    return [fence + language, value, fence]


def _table(results):
    lines = ["| " + " | ".join(text.HEADINGS) + " |",
             "|" + "|".join("--:" if heading in text.NUMERIC else ":--"
                            for heading in text.HEADINGS) + "|"]
    for job in results.jobs:
        lines.append("| " + " | ".join(escape(cell) for cell in text.row(job)) + " |")
    return lines


def _finding(finding):
    lines = ["### %s: %s" % (escape(finding.strategy), escape(finding.property)), ""]
    if finding.flaky:
        lines += ["**Flaky:** it was seen, but replays of its program are clean.", ""]
    if finding.known:
        lines += ["Known: an earlier run in this folder stored it.", ""]
    if finding.diagnosis:
        lines += [escape(finding.diagnosis), ""]
    lines += ["- found by %s" % escape(text.how_found(finding)),
              "- signature %s, file %s" % (code(finding.signature), code(finding.path))]
    if finding.site:
        lines.append("- at: %s" % escape(finding.site))
    lines.append("")
    if finding.commands:
        # A command is typed, so it stays as it is.
        lines += block("\n".join(finding.commands.values()), "sh") + [""]
    if finding.text:
        lines += ["<details><summary>The %s</summary>" % (
            "minimal program" if finding.operations is not None else "log's end"), ""]
        lines += block(finding.text) + ["", "</details>", ""]
    return lines


def render(results):
    """Returns the document."""
    title = "# Assay: %s" % results.verdict
    if results.plant:
        title += ", with the planted bug %s" % escape(results.plant)
    lines = [title, "", escape(text.summary(results)), ""] + _table(results) + [""]
    if results.findings:
        lines += ["## Findings", ""]
        for finding in results.findings:
            lines += _finding(finding)
    facts = [("started", results.started), ("cores", str(results.cores)),
             ("asked for", "%g minutes" % results.minutes), ("seed", str(results.seed)),
             ("sources", results.version or "unknown")]
    lines.append("; ".join("%s: %s" % (key, escape(value)) for key, value in facts))
    return "\n".join(lines) + "\n"
