"""The report for a terminal: a table of jobs, each finding in a few lines, what was not tested, and the
verdict last, where the eye is."""
from reports import footprint, matrix, text
from reports import results as R


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
    earlier = finding.known or finding.before
    flags = [finding.status] if finding.status != R.NEW else []
    title = "%s: %s%s" % (text.one_line(finding.strategy), text.one_line(finding.property),
                          " (%s)" % ", ".join(flags + ["stored before"] * bool(earlier and not flags))
                          if flags or earlier else "")
    lines = [title]
    if finding.diagnosis:
        lines.append("    " + text.one_line(finding.diagnosis, 320))
    if finding.file:
        lines.append("    in " + text.location(finding))
    if finding.status in (R.KNOWN_ONE, R.FIXED):
        lines.append("    " + text.standing(finding))
    size = text.count(finding.operations, "operation") + "; " \
        if finding.operations is not None else ""
    lines.append("    %sfound by %s" % (size, text.how_found(finding)))
    lines.append("    " + text.one_line(finding.path, 4096))
    if "repro" in finding.commands:
        lines.append("    reproduce: " + text.one_line(finding.commands["repro"], 8192))
    return lines


def _matrix(results):
    """What is not green, by name: a check that never ran, and one that let a planted bug pass."""
    lines = [text.matrix(results)] if results.matrix else []
    for state in (matrix.NEVER, matrix.WEAK):
        found = {}
        for cell in results.matrix:
            if cell.state == state:
                found.setdefault(cell.property, []).append(cell.strategy)
        for property_id, strategies in found.items():
            lines.append("    %s: %s on %s" % (state, text.one_line(property_id),
                                               text.one_line(", ".join(strategies), 120)))
    return lines


def render(results):
    """Returns the text, without a final newline."""
    lines = [text.one_line(line, 1000) for line in results.about] + [""] * bool(results.about)
    lines += _table([text.HEADINGS] + [text.row(job) for job in results.jobs])
    for finding in results.findings:
        lines += [""] + _finding(finding)
    if results.matrix:
        lines += [""] + _matrix(results)
    if results.footprints:
        lines += ["", "footprint: " + text.one_line(footprint.says(results), 400)]
    lines += ["", text.summary(results)]
    return "\n".join(lines)
