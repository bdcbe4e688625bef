"""The top of the page: the verdict, and what was really tested."""
import shlex
from types import SimpleNamespace

from reports import html_words as words
from reports import matrix as rules
from reports import read_history
from reports import results as R
from reports import text

COMMANDS = {"overnight": "overnight campaign", "fuzz": "fuzzing", "pr": "check of a change",
            "bugs": "bug benchmark", "bench": "benchmark", "footprint": "footprint", "": "campaign"}

_KINDS = {R.FINDING: "finding", R.CLEAN: "clean", R.KNOWN: "known", R.COULD_NOT_RUN: "could-not-run"}

_TILES = {
    R.NEW: "confirmed, not reviewed yet",
    R.FLAKY: "seen, but not in every replay",
    R.KNOWN_ONE: "accepted for now",
    R.FIXED: "were found before, clean now"}


# Phase, what it leaves in the results, and what that is.
_MEASURED = (("coverage", "coverage", "Lines of the allocators"),
             ("power", "kills_here", "Planted bugs, and so the power of each check"),
             ("benchmarks", "benchmarks", "Speed and memory"))


def head(results):
    """What this is a report of."""
    bits = ["started %s UTC" % words.moment(results.started)] if results.started else []
    bits.append("%s on %s" % (text.duration(results.seconds), text.count(results.cores, "core")))
    if results.version:
        bits.append("Assay " + results.version)
    if results.machine:
        bits.append(results.machine)
    name = COMMANDS.get(results.command, results.command)
    if results.plant:
        name += " with the planted bug %s" % results.plant
    path = getattr(results.history, "path", None) or "out/overnight/history.db"
    return SimpleNamespace(
        name=name, day=results.started[:10] or "an unknown day", line="; ".join(bits),
        campaign=results.campaign_id if results.campaign_id is not None else "?",
        shell="sqlite3 -header -column %s" % shlex.quote(read_history.shown(path)),
        facts=[(term, value) for term, value in (
            ("campaign", results.campaign), ("started, UTC", words.moment(results.started)),
            ("ended, UTC", words.moment(results.ended) or "not yet"), ("state", results.state),
            ("asked for", text.duration(results.minutes * 60)), ("seed", results.seed),
            ("sources", results.version or "unknown"), ("machine", results.machine or "unknown"),
            ("runs of the supervisor", results.runs), ("folder", results.folder)) if value != ""])


def _headline(results, number):
    open_ones = [text.count(number[R.NEW], "new finding")] if number[R.NEW] else []
    if number[R.FLAKY]:
        open_ones.append(text.count(number[R.FLAKY], "flaky finding") if not open_ones
                         else "%d flaky" % number[R.FLAKY])
    return {
        R.FINDING: ", ".join(open_ones) or "Findings",
        R.CLEAN: "Clean: nothing found" if results.jobs else "Measured; nothing was fuzzed",
        R.KNOWN: "Nothing new: %s" % text.count(number[R.KNOWN_ONE], "known finding"),
        R.COULD_NOT_RUN: "Not over yet" if results.state == "running" and not results.error
                         else "Could not run"}[results.verdict]


# So many of the findings that are to be dealt with are told at once.
_AT_ONCE = 8


def verdict(results, findings, saturation):
    """`findings`: as html_findings made them; `saturation`: what the statistics say of it, or ""."""
    number = {status: len(results.of_status(status)) for status in R.STATUSES}
    sentences = list(results.about)
    if results.error:
        sentences.append("It broke off: %s." % text.one_line(results.error, 600).rstrip("."))
    for phase in results.failed_phases:
        sentences.append("The phase %s failed: %s." % (
            phase.name, text.one_line(phase.note, 300).rstrip(".") or "nothing said why"))
    if results.state == "running":
        sentences.append("It is not over: the numbers are those of this moment.")
    if results.stopped == R.KILLED:
        sentences.append("It was killed: what engines found last was judged later, if at all.")
    elif results.stopped:
        sentences.append("It was stopped early, by %s." % text.one_line(results.stopped))
    broken = [job for job in results.jobs if job.verdict == R.COULD_NOT_RUN]
    if broken:
        sentences.append("%s executed nothing or broke off." % text.count(len(broken), "job"))
    sentences.append("%s of programs with %s on the allocators, in %s of CPU time." % (
        text.count(results.executions, "execution"), text.count(results.operations, "operation"),
        words.hours(results.cpu_seconds)))
    never = rules.counts(results)[rules.NEVER]
    if never:
        sentences.append(
            "It says nothing of %s of a strategy and a property, which %s never judged." % (
                text.count(never, "pair"), "was" if never == 1 else "were"))
    if results.jobs:
        sentences.append(_since(results, number))
    if saturation:
        sentences.append(saturation)
    to_do = [finding for finding in findings.all if finding.status in R.OPEN]
    return SimpleNamespace(
        first=to_do[:_AT_ONCE], more=len(to_do[_AT_ONCE:]), kind=_KINDS[results.verdict],
        headline=_headline(results, number), sentences=sentences,
        tiles=[(status, number[status], _tile(results, status)) for status in R.STATUSES])


def _tile(results, status):
    if status == R.KNOWN_ONE:
        days = sorted(finding.expires for finding in results.of_status(status) if finding.expires)
        if days:
            return "accepted, the first until %s" % days[0]
    return _TILES[status]


def _since(results, number):
    last = results.baseline
    if last is None:
        return "It is the first that fuzzed in its folder: there is nothing to compare with."
    old = sum(1 for finding in results.of_status(R.NEW)
              if finding.since and finding.since < results.started)
    line = "Since the campaign of %s (verdict: %s; %s): %d fixed, %d found for the first time" % (
        words.moment(last.started), last.verdict, text.count(last.executions, "execution"),
        number[R.FIXED], number[R.NEW] - old)
    return line + ("; %d of the new ones known since an earlier campaign, but not reviewed." % old
                   if old else ".")


def _place(name, names):
    return list(names).index(name) if name in names else len(names)


def _in_order(found, names):
    """As people read them, in the order of `names`, others behind."""
    order = sorted(found, key=lambda name: (_place(name, names), name))
    return [names.get(name, name) for name in order]


def _grid(results):
    """Executions, strategy by strategy, on each engine with each sanitizer."""
    columns, cells = [], {}
    for job in results.jobs:
        key = (job.engine, job.sanitizer)
        if key not in columns:
            columns.append(key)
        cells[job.strategy, key] = job
    columns.sort(key=lambda key: (_place(key[0], text.ENGINES), _place(key[1], words.SANITIZERS)))
    rows = []
    for name in dict.fromkeys(job.strategy for job in results.jobs):
        row = SimpleNamespace(strategy=name, cells=[])
        for key in columns:
            row.cells.append(_grid_cell(cells.get((name, key))))
        rows.append(row)
    return SimpleNamespace(rows=rows, columns=[("Strategy", False)] + [
        ("%s, %s" % (text.engine(engine), words.sanitizer(sanitizer)), True)
        for engine, sanitizer in columns])


def _grid_cell(job):
    if job is None:
        return SimpleNamespace(status="", words="–", title="no such job", sort=-1)
    if job.verdict == R.NOT_STARTED:
        return SimpleNamespace(status="warn", words="not started", title="", sort=-1)
    if not job.executions:
        return SimpleNamespace(status="bad", words="did not run", title="", sort=-1)
    return SimpleNamespace(status="", words=words.short(job.executions), sort=job.executions,
                           title=text.count(job.executions, "execution"))


def _job_name(job):
    return "%s on %s, %s" % (job.strategy, text.engine(job.engine), words.sanitizer(job.sanitizer))


def _skipped(results):
    """[(what, why)], the same reason once."""
    skipped = []
    for phase in results.phases:
        if phase.state in ("skipped", "failed") or (
                phase.state == "begun" and results.state != "running"):
            skipped.append(("Phase %s, %s" % (
                phase.name, "not finished" if phase.state == "begun" else phase.state),
                            phase.note or "nothing said why"))
    reasons = {}
    for job in results.jobs:
        if job.problem:
            reasons.setdefault(job.problem, []).append(job)
        elif job.verdict == R.NOT_STARTED:
            reasons.setdefault("their turn did not come before the end", []).append(job)
        elif not job.executions:
            reasons.setdefault("executed nothing, and nothing said why", []).append(job)
        elif job.note:
            reasons.setdefault(job.note, []).append(job)
    for why, jobs in reasons.items():
        names = "; ".join(_job_name(job) for job in jobs[:3])
        if len(jobs) > 3:
            names = "%s (%s; …)" % (text.count(len(jobs), "job"), names)
        skipped.append((names, why))
    ran = {job.strategy for job in results.jobs if job.executions}
    planned = {job.strategy for job in results.jobs}
    for strategy in results.strategies:
        if strategy.name not in planned:
            skipped.append((strategy.name, "no job was planned for it"))
        elif strategy.name not in ran:
            skipped.append((strategy.name, "none of its jobs executed anything"))
    named = {phase.name for phase in results.phases}
    whole = results.command == "overnight" and results.state != "running"
    for phase, measured, what in _MEASURED:
        if whole and phase not in named and not getattr(results, measured):
            skipped.append((what, "not measured"))
    never = rules.counts(results)[rules.NEVER]
    if never:
        skipped.append(("%s of a strategy and a property" % text.count(never, "pair"),
                        "never judged; the matrix shows which"))
    return skipped


def tested(results):
    began = [job for job in results.jobs if job.executions]
    counts = rules.counts(results)
    never = counts[rules.NEVER]
    applicable = sum(counts.values()) - counts[rules.NOT_APPLICABLE]
    lines = sum(row.lines for row in results.coverage)
    offered = results.seconds * results.cores
    facts = [
        ("executions", text.number(results.executions), ""),
        ("operations", text.number(results.operations), ""),
        ("CPU time", words.hours(results.cpu_seconds),
         "of %s that the cores had" % words.hours(offered) if offered else ""),
        ("wall time", text.duration(results.seconds), "asked: " + text.duration(
            results.minutes * 60) if results.minutes else ""),
        ("jobs", "%d of %d ran" % (len(began), len(results.jobs)), ""),
        ("strategies", text.number(len({job.strategy for job in began})), ""),
        ("engines", ", ".join(_in_order({job.engine for job in began}, text.ENGINES)) or "none", ""),
        ("sanitizers", ", ".join(_in_order({job.sanitizer for job in began}, words.SANITIZERS))
         or "none", ""),
        ("strategy × property", "%d of %d judged" % (applicable - never, applicable)
         if applicable else "not known", "%d never" % never if never else ""),
        ("allocators' lines", words.percent(sum(row.covered for row in results.coverage), lines)
         if lines else "not measured", "of %s" % text.number(lines) if lines else ""),
        ("states of the heap", text.number(sum(row.seen for row in results.states))
         if results.states else "not measured", ""),
        ("not spent on fuzzing", words.hours(results.supervisor_seconds + results.judge_seconds),
         "supervisor %s, judging %s" % (words.hours(results.supervisor_seconds),
                                        words.hours(results.judge_seconds)))]
    return SimpleNamespace(facts=facts, skipped=_skipped(results), grid=_grid(results))
