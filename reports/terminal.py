"""The report for a terminal: a table of jobs, then each finding in a few lines."""
from reports import text


def _table(rows):
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [cell.rjust(width) if heading in text.NUMERIC else cell.ljust(width)
                 for heading, cell, width in zip(text.HEADINGS, row, widths)]
        lines.append("  ".join(cells).rstrip())
    lines.insert(1, "  ".join("-" * min(width, 13) if i == len(widths) - 1 else "-" * width
                              for i, width in enumerate(widths)))
    return lines


def _finding(finding):
    flags = [flag for flag in ("flaky", "known") if getattr(finding, flag)]
    title = "%s: %s%s" % (text.one_line(finding.strategy), text.one_line(finding.property),
                          " (%s)" % ", ".join(flags) if flags else "")
    lines = [title]
    if finding.diagnosis:
        lines.append("    " + text.one_line(finding.diagnosis, 320))
    size = text.count(finding.operations, "operation") + "; " \
        if finding.operations is not None else ""
    lines.append("    %sfound by %s" % (size, text.how_found(finding)))
    lines.append("    " + text.one_line(finding.path, 4096))
    if "repro" in finding.commands:
        lines.append("    reproduce: " + text.one_line(finding.commands["repro"], 8192))
    return lines


def render(results):
    """Returns the text, without a final newline."""
    lines = _table([text.HEADINGS] + [text.row(job) for job in results.jobs])
    for finding in results.findings:
        lines += [""] + _finding(finding)
    lines += ["", text.summary(results)]
    return "\n".join(lines)
