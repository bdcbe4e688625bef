"""The report in Markdown (GitHub's dialect), for a CI summary or a mail: the verdict first, then what is
to be dealt with, then what was tested; all else is folded away."""
import re

from reports import footprint, matrix, text
from reports import results as R

# Findings that are told in full, those that are told in a line, and characters of a program: hosts show
# no summary that is too long (GitHub's limit is 1 MiB).
_MOST = 20
_MOST_IN_SHORT = 200
_LONGEST = 8000

# In a cell that does not apply.
_NOTHING = "–"

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


def _rows(headings, rows, numeric=()):
    lines = ["| " + " | ".join(headings) + " |",
             "|" + "|".join("--:" if heading in numeric else ":--" for heading in headings) + "|"]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]


def _details(summary, lines):
    """Folded away until somebody wants it."""
    return ["<details><summary>%s</summary>" % escape(summary), ""] + lines + ["", "</details>", ""]


def _table(results):
    return _rows(text.HEADINGS, [[escape(cell) for cell in text.row(job)] for job in results.jobs],
                 text.NUMERIC)


def _finding(finding):
    lines = ["### %s: %s" % (escape(finding.strategy), escape(finding.property)), ""]
    standing = text.standing(finding)
    if standing:
        lines += ["**%s.**" % escape(standing[:1].upper() + standing[1:]), ""]
    if finding.diagnosis:
        lines += [escape(finding.diagnosis), ""]
    lines += ["- found by %s" % escape(text.how_found(finding)),
              "- signature %s, file %s" % (code(finding.signature), code(finding.path))]
    if finding.file:
        lines.append("- guilty: %s" % code(text.location(finding)))
    if finding.site:
        lines.append("- at: %s" % escape(finding.site))
    lines.append("")
    if finding.commands:
        # A command is typed, so it stays as it is.
        lines += block("\n".join(finding.commands.values()), "sh") + [""]
    if finding.text:
        lines += _details("The minimal program" if finding.operations is not None else
                          "The log's end", block(_cut(finding.text)))
    return lines


def _cut(program):
    """A summary that is too long is not shown at all by some hosts."""
    return program if len(program) <= _LONGEST else program[:_LONGEST] + "\n(%s more)" % text.count(
        len(program) - _LONGEST, "character")


def _in_short(finding):
    return "- %s: %s, %s: %s" % (escape(finding.strategy), code(finding.property),
                                 escape(text.standing(finding) or finding.status),
                                 escape(text.one_line(finding.diagnosis, 160)))


def _all_in_short(findings):
    lines = [_in_short(finding) for finding in findings[:_MOST_IN_SHORT]]
    more = len(findings) - len(lines)
    return lines + ["- and %s more, which the other reports list" % text.number(more)] * bool(more)


def _findings(results):
    """Those to be dealt with in full, the others in a line each."""
    open_ones = [finding for finding in results.findings if finding.status in R.OPEN]
    others = [finding for finding in results.findings if finding.status not in R.OPEN]
    lines = []
    if open_ones:
        lines += ["## Findings", ""]
        for finding in open_ones[:_MOST]:
            lines += _finding(finding)
        if len(open_ones) > _MOST:
            lines += ["And %s:" % text.count(len(open_ones) - _MOST, "more finding"), ""]
            lines += _all_in_short(open_ones[_MOST:]) + [""]
    for status, title in ((R.KNOWN_ONE, "Known, and accepted"), (R.FIXED, "Fixed")):
        chosen = [finding for finding in others if finding.status == status]
        if chosen:
            lines += _details("%s: %d" % (title, len(chosen)), _all_in_short(chosen))
    return lines


def _matrix(results):
    """A row for each strategy: how much is green, and by name what is not."""
    if not results.matrix:
        return []
    rows = []
    for strategy in results.strategies:
        cells = {}
        for cell in results.matrix:
            if cell.strategy == strategy.name:
                cells.setdefault(cell.state, []).append(cell)
        power = [cell.power for cell in results.matrix
                 if cell.strategy == strategy.name and cell.power]
        rows.append([_of(strategy), text.number(len(cells.get(matrix.GREEN, ())))] + [
            ", ".join(code(cell.property) for cell in cells.get(state, ())) or _NOTHING
            for state in (matrix.FINDING, matrix.KNOWN, matrix.NEVER, matrix.WEAK)] + [
                "%d of %d" % tuple(map(sum, zip(*power))) if power else _NOTHING])
    lines = ["## Checks", "", escape(text.matrix(results)), ""]
    lines += _rows(("strategy", "green", "finding", "known", "never exercised", "weak", "power"),
                   rows, ("green", "power"))
    lines += ["", "Power: planted bugs that a check reported, of those that it reported and those "
              "that nothing reported, over its checks. Weak: such a one survived."]
    if results.kills_from:
        lines[-1] += " Some were last tried on %s." % escape(results.kills_from)
    names = {strategy.name: _of(strategy) for strategy in results.strategies}
    by_key = {(cell.strategy, cell.property): cell for cell in results.matrix}
    full = [[code(each.id)] + [_cell(by_key.get((name, each.id))) for name in names]
            for each in results.properties]
    full = [row for row in full if set(row[1:]) != {_NOTHING}]
    return lines + [""] + _details(
        "How often each property was judged",
        _rows(["property", *names.values()], full, list(names.values())))


def _of(strategy):
    return code(strategy.name) + (" (collection)" if strategy.collection else "")


def _cell(cell):
    if cell is None or cell.state == matrix.NOT_APPLICABLE:
        return _NOTHING
    mark = {matrix.GREEN: "", matrix.NEVER: "**never**"}.get(cell.state, "**%s** " % cell.state)
    return mark + (_short(cell.exercised) if cell.exercised else "" if mark else "0")


def _short(value):
    """`12k`, `3.4M`: of a large table, the order of magnitude is what is read."""
    for limit, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return "%.3g%s" % (value / limit, unit)
    return "%d" % value


def _tested(results):
    """What was really tested, in a line."""
    parts = [text.count(results.executions, "program")]
    if results.operations:
        parts.append(text.count(results.operations, "operation"))
    if results.cpu_seconds:
        parts.append(text.cpu(results.cpu_seconds))
    parts.append("%s on %s" % (text.duration(results.seconds), text.count(results.cores, "core")))
    return "Tested: %s." % ", ".join(parts)


def _coverage(results):
    rows = [[code(row.file), text.number(row.covered), text.number(row.lines),
             "%.1f %%" % (100 * row.covered / row.lines) if row.lines else _NOTHING,
             "%.1f %%" % (100 * row.regions_covered / row.regions) if row.regions else _NOTHING]
            for row in results.coverage]
    headings = ("file", "covered", "lines", "of lines", "of regions")
    return _details("Coverage of the strategies' sources", _rows(headings, rows, headings[1:])) \
        if rows else []


def _footprint_tables(results):
    lines = []
    for table in footprint.tables(results.footprints):
        rows = [[code(row.name)] + [cell.words + (" (%s)" % cell.change if cell.change else "")
                                    for cell in row.cells] for row in table.rows]
        lines += ["**%s**" % table.caption, ""]
        lines += _rows([heading for heading, _ in table.columns], rows,
                       [heading for heading, numeric in table.columns if numeric]) + [""]
    return lines and [escape(footprint.says(results)), ""] + lines + [footprint.METHOD]


def footprints(results):
    """A document of the footprints alone."""
    return "\n".join(["# Footprint", ""] + _footprint_tables(results)) + "\n"


def _footprint(results):
    lines = _footprint_tables(results)
    return _details("Footprint", lines) if lines else []


def render(results):
    """Returns the document."""
    title = "# Assay: %s" % results.verdict
    if results.plant:
        title += ", with the planted bug %s" % escape(results.plant)
    lines = [title, "", escape(text.summary(results)), "", escape(_tested(results)), ""]
    lines += ["- " + escape(text.one_line(line, 1000)) for line in results.about] + [""] * bool(results.about)
    lines += _findings(results) + _matrix(results)
    lines += _details("Jobs: strategies on engines", _table(results)) if results.matrix else \
        _table(results) + [""]
    lines += _coverage(results) + _footprint(results)
    for phase in results.phases:
        if phase.state in ("failed", "skipped"):
            lines.append("- %s: %s%s" % (escape(phase.name), phase.state,
                                         ": " + escape(phase.note) if phase.note else ""))
    facts = [("started", results.started), ("cores", str(results.cores)),
             ("asked for", "%g minutes" % results.minutes), ("seed", str(results.seed)),
             ("sources", results.version or "unknown")]
    if results.campaign:
        facts.append(("campaign", results.campaign))
    lines += ["", "; ".join("%s: %s" % (key, escape(value)) for key, value in facts)]
    return "\n".join(lines) + "\n"
