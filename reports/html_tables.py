"""The page's tables: the matrix, coverage, benchmarks, jobs."""
from types import SimpleNamespace

from reports import html_words as words
from reports import matrix as rules
from reports import results as R
from reports import text

# A cell's state as a class of the style sheet.
_CLASSES = {rules.NEVER: "never", rules.WEAK: "weak", rules.GREEN: "clean",
            rules.NOT_APPLICABLE: "inapplicable", rules.KNOWN: "known"}

_FILTERS = [("new", "new findings"), ("flaky", "flaky findings"), ("known", "known findings"),
            ("never", "never judged"), ("weak", "planted bugs survive"),
            ("clean", "judged, nothing found"),
            ("inapplicable", "not applicable")]

_MARKS = {R.NEW: "✗ %d new", R.FLAKY: "≈ %d flaky", R.KNOWN_ONE: "= %d known"}


def _cell(cell, found):
    """`found`: the findings of the cell, new ones first."""
    made = SimpleNamespace(mark="", anchor="", power="", short=words.short(cell.exercised)
                           if cell.exercised else "")
    if found:
        status = found[0].status
        made.state = status
        made.mark = _MARKS[status] % sum(finding.status == status for finding in found)
        made.anchor = words.anchor(found[0])
    else:
        made.state = _CLASSES[cell.state]
    if cell.power:
        made.power = "%d/%d%s" % (cell.power + (" !" if cell.survived else "",))
    parts = ["%s, %s: %s" % (cell.strategy, cell.property, cell.why)]
    if found:
        parts.append("judged %s" % text.count(cell.exercised, "time"))
    if cell.by_job:
        parts.append("by " + ", ".join("%s %s" % (key, text.number(times))
                                       for key, times in sorted(cell.by_job.items())))
    if cell.killed:
        parts.append("caught: " + ", ".join(cell.killed))
    if cell.survived and cell.state != rules.WEAK:
        parts.append("not caught: " + ", ".join(cell.survived))
    if cell.otherwise:
        parts.append("caught by another property: " + ", ".join(cell.otherwise))
    made.detail = "; ".join(parts) + "."
    return made


def matrix(results):
    by_name = {}
    for finding in results.findings:
        by_name.setdefault((finding.strategy, finding.name), finding)
    order = {status: i for i, status in enumerate(R.STATUSES)}
    cells = {(cell.strategy, cell.property): cell for cell in results.matrix}
    strategies = [strategy.name for strategy in results.strategies]
    rows, never, seen = [], [], set()
    for property_ in results.properties:
        row = SimpleNamespace(property=property_.id, text=property_.text, cells=[])
        mine = [cells[name, property_.id] for name in strategies if (name, property_.id) in cells]
        for cell in mine:
            found = sorted((by_name[cell.strategy, name] for name in cell.findings
                            if (cell.strategy, name) in by_name), key=lambda f: order[f.status])
            row.cells.append(_cell(cell, found))
            seen.add(row.cells[-1].state)
        row.times = sum(cell.exercised for cell in mine)
        row.applies = any(cell.state != rules.NOT_APPLICABLE for cell in mine)
        row.short = words.short(row.times)
        row.detail = "%s: %s; judged %s in all." % (
            property_.id, property_.text or "no description", text.count(row.times, "time"))
        rows.append(row)
        idle = [cell.strategy for cell in mine if cell.state == rules.NEVER]
        if idle:
            never.append((property_.id, ", ".join(idle) if len(idle) < len(mine) else
                          "no strategy at all"))
    counts = rules.counts(results)
    survivors = _survivors(results)
    return SimpleNamespace(
        strategies=results.strategies, rows=rows if results.matrix else [], never=never,
        never_pairs=counts[rules.NEVER], survivors=survivors, says=_matrix_says(results, counts),
        states=[(state, label) for state, label in _FILTERS if state in seen])


def _matrix_says(results, counts):
    applicable = sum(counts.values()) - counts[rules.NOT_APPLICABLE]
    line = "%d of %d pairs of a strategy and a property that applies to it were judged" % (
        applicable - counts[rules.NEVER], applicable)
    line += "; %d never, which says nothing of them." % counts[rules.NEVER] if counts[
        rules.NEVER] else "."
    bugs = {kill.bug: False for kill in results.kills}
    for kill in results.kills:
        bugs[kill.bug] = bugs[kill.bug] or kill.killed
    if not bugs:
        return line + " No planted bug was run: how much a judgement is worth is not known."
    line += " %d of %s were caught by a property that should report them" % (
        sum(bugs.values()), text.count(len(bugs), "planted bug"))
    if not results.kills_from:
        return line + "."
    return line + "; %s, the longest ago on %s." % (
        "this campaign tried some of them, the others were tried by earlier ones"
        if results.kills_here else "earlier campaigns tried them", words.moment(results.kills_from))


def _survivors(results):
    """[(bug, in words)] of those that no run killed."""
    runs = {}
    for kill in results.kills:
        runs.setdefault(kill.bug, []).append(kill)
    found = []
    for bug, kills in sorted(runs.items()):
        if not any(kill.killed for kill in kills):
            found.append((bug, "expected %s; %s, the longest of %s" % (
                " or ".join(kills[0].expected) or "nothing", text.count(len(kills), "run"),
                text.count(max((kill.executions or 0) for kill in kills), "execution"))))
    return found


def coverage(results):
    """By strategy, its files together."""
    states = {row.strategy: row.seen for row in results.states}
    rows = []
    for name in dict.fromkeys(row.strategy for row in results.coverage):
        files = [row for row in results.coverage if row.strategy == name]
        made = SimpleNamespace(
            strategy=name, states=states.get(name),
            files=[(row.file, words.ranges(row.missing)) for row in files if row.missing])
        for field in ("lines", "covered", "regions", "regions_covered"):
            setattr(made, field, sum(getattr(row, field) for row in files))
        made.missed = made.lines - made.covered
        made.share = made.covered / made.lines if made.lines else 0
        rows.append(made)
    why = next(("The phase coverage was %s: %s" % (phase.state, phase.note or "nothing said why")
                for phase in results.phases if phase.name == "coverage" and phase.state != "done"),
               "This campaign did not measure line coverage.")
    lines, covered = sum(row.lines for row in rows), sum(row.covered for row in rows)
    whole = [row.strategy for row in rows if row.lines == row.covered]
    return SimpleNamespace(
        rows=rows, why=why,
        says="All inputs of the corpus together run %s of the allocators' own lines. %s." % (
            words.percent(covered, lines), "No line is left in " + ", ".join(whole) if whole
            else "No strategy has all of its lines run"),
        columns=[("Strategy", False), ("Lines", True), ("Run", True), ("Regions", True),
                 ("States", True), ("Lines that never ran", False)])


def benchmarks(results):
    """A table for each metric, strategies down and workloads across."""
    tables = []
    for metric, unit in dict.fromkeys((mark.metric, mark.unit) for mark in results.benchmarks):
        marks = [mark for mark in results.benchmarks if (mark.metric, mark.unit) == (metric, unit)]
        cells = {(_variant(mark), mark.workload): mark for mark in marks}
        workloads = list(dict.fromkeys(mark.workload for mark in marks))
        best = {workload: min(mark.value for mark in marks if mark.workload == workload)
                for workload in workloads}
        rows = []
        for name in dict.fromkeys(map(_variant, marks)):
            rows.append(SimpleNamespace(name=name, cells=[_mark(cells.get((name, workload)), best)
                                                          for workload in workloads]))
        tables.append(SimpleNamespace(
            rows=rows, columns=[("Strategy", False)] + [(workload, True) for workload in workloads],
            caption="%s, %s: medians and quartiles of up to %s; less is better, the least is marked" % (
                metric, unit, text.count(max(mark.rounds for mark in marks), "round"))))
    why = next(("The phase benchmarks was %s: %s" % (phase.state, phase.note or "nothing said why")
                for phase in results.phases if phase.name == "benchmarks" and phase.state != "done"),
               "This campaign ran no benchmarks.")
    return SimpleNamespace(tables=tables, why=why, shown=[])


def _variant(mark):
    return mark.strategy + (" (%s)" % mark.variant if mark.variant else "")


def _mark(mark, best):
    if mark is None:
        return SimpleNamespace(words="–", spread="", value="", best=False)
    spread = "" if mark.low is None or mark.high is None else "%.3g–%.3g" % (mark.low, mark.high)
    return SimpleNamespace(words="%.4g" % mark.value, spread=spread, value=mark.value,
                           best=mark.value == best[mark.workload])


# So many former campaigns are shown.
_FORMER = 30


def campaigns(results):
    """This one and those before it."""
    def made(each, statuses):
        return SimpleNamespace(
            started=words.moment(each.started), command=each.command, version=each.version[:12],
            verdict=each.verdict, executions=each.executions, cpu_seconds=each.cpu_seconds,
            cpu=words.hours(each.cpu_seconds), findings=[statuses.get(name, 0) for name in R.STATUSES])
    rows = [made(results, {name: len(results.of_status(name)) for name in R.STATUSES})]
    rows += [made(former, former.findings) for former in results.former[:_FORMER]]
    caption = "Campaigns of this folder, the latest first"
    if len(results.former) > _FORMER:
        caption += "; %s more are in the history" % text.number(len(results.former) - _FORMER)
    return SimpleNamespace(rows=rows, caption=caption, columns=[
        ("Started, UTC", False), ("Command", False), ("Sources", False), ("Verdict", False),
        ("Executions", True), ("CPU time", True)] + [(name.capitalize(), True) for name in R.STATUSES])


_STATUS = {R.FINDING: "bad", R.CLEAN: "clean", R.KNOWN: "known", R.COULD_NOT_RUN: "bad",
           R.NOT_STARTED: "warn"}
_PHASE = {"done": "clean", "failed": "bad", "skipped": "warn", "begun": "warn"}


def jobs(results):
    rows = []
    for job in results.jobs:
        rows.append(SimpleNamespace(
            strategy=job.strategy, engine=text.engine(job.engine),
            sanitizer=words.sanitizer(job.sanitizer), cpu=text.duration(job.cpu_seconds),
            cpu_seconds=job.cpu_seconds, executions=job.executions, operations=job.operations,
            rate=job.rate, coverage=job.coverage, corpus=job.corpus,
            findings=len(job.findings) + len(job.known_findings), verdict=job.verdict,
            status=_STATUS[job.verdict], words="; ".join(part for part in (
                text.one_line(job.problem, 300), text.one_line(job.note, 300)) if part)))
    return SimpleNamespace(
        rows=rows, caption="%s; coverage is edges as the engine counts them, harness included, and not "
        "comparable between engines" % text.count(len(rows), "job"),
        columns=[("Strategy", False), ("Engine", False), ("Sanitizer", False), ("CPU time", True),
                 ("Executions", True), ("Operations", True), ("Exec/s", True), ("Coverage", True),
                 ("Corpus", True), ("Findings", True), ("Verdict", False)],
        phase_columns=[("Phase", False), ("State", False), ("Time", True), ("Note", False)],
        phases=[SimpleNamespace(name=phase.name, state=phase.state, note=phase.note,
                                status=_PHASE.get(phase.state, "none"),
                                time=text.duration(phase.seconds)) for phase in results.phases])
