"""How numbers, times and hostile text look in every report."""
import math
import re

from reports import matrix as rules
from reports import results as R

# What XML 1.0 cannot carry even escaped, and no terminal should be sent.
_UNPRINTABLE = re.compile("[^\t\n\x20-\x7e\xa0-\ud7ff\ue000-\ufffd]")

# As people read them, in the order of the table's columns.
ENGINES = {"libfuzzer": "libFuzzer", "afl": "AFL++", "corpus": "corpus"}


def printable(text):
    """The text with what is not printable replaced: programs under test write anything."""
    return _UNPRINTABLE.sub("?", text.replace("\r\n", "\n"))


def one_line(text, limit=200):
    line = " ".join(printable(text).split())
    return line if len(line) <= limit else line[:limit - 3] + "..."


def number(value):
    """1234567 as `1 234 567`; - where there is none."""
    if value is None:
        return "-"
    return "{:,.0f}".format(value).replace(",", " ")


def count(value, noun):
    """`1 finding`, `2 findings`."""
    return "%s %s%s" % (number(value), noun, "" if value == 1 else "s")


def size(value):
    """Bytes as `512 B`, `6.3 KiB`, `2.5 GiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1000 or unit == "GiB":
            return "%.*f %s" % (unit != "B" and value < 100, value, unit)
        value /= 1024


def duration(seconds):
    """`0:07`, `12:30`, `8:00:00`."""
    if not math.isfinite(seconds):
        return "?"
    seconds = max(0, int(round(seconds)))
    hours, rest = divmod(seconds, 3600)
    if hours:
        return "%d:%02d:%02d" % (hours, rest // 60, rest % 60)
    return "%d:%02d" % (rest // 60, rest % 60)


def cpu(seconds):
    """`24.5 CPU hours`, `12 CPU minutes`, `8 CPU seconds`."""
    for limit, unit, form in ((3600, "hours", "%.1f"), (60, "minutes", "%.0f")):
        if seconds >= limit:
            return (form + " CPU %s") % (seconds / limit, unit)
    return "%.0f CPU seconds" % seconds


def engine(name):
    return ENGINES.get(name, one_line(name))


def job_name(job):
    """`libFuzzer, address`; what no sanitizer watches is the engine alone."""
    plain = job.sanitizer in ("", "none")
    return engine(job.engine) + ("" if plain else ", " + one_line(job.sanitizer))


HEADINGS = ("strategy", "engine", "time", "executions", "exec/s", "coverage", "corpus", "findings",
            "verdict")

# Of the headings: those whose columns hold numbers.
NUMERIC = frozenset(("time", "executions", "exec/s", "coverage", "corpus", "findings"))


def row(job):
    """A job's cells under HEADINGS."""
    verdict = job.verdict
    if job.problem:
        verdict += ": " + one_line(job.problem, 120)
    elif verdict == "could not run":
        verdict += ": executed nothing"
    elif job.note:
        verdict += " (%s)" % one_line(job.note, 120)
    return (job.strategy, job_name(job), duration(job.seconds), number(job.executions),
            number(job.rate), number(job.coverage), number(job.corpus),
            number(len(job.findings) + len(job.known_findings)), verdict)


def statuses(results):
    """`2 new, 1 flaky, 1 known`; '' if there is no finding."""
    told = [(len(results.of_status(status)), status) for status in R.STATUSES]
    return ", ".join("%s %s" % (number(many), status) for many, status in told if many)


def _findings(results):
    """`1 finding`; with its status if that is not new."""
    line = count(len(results.findings), "finding")
    told = statuses(results)
    return line if len(results.of_status(R.NEW)) == len(results.findings) else "%s (%s)" % (line, told)


def summary(results):
    """The verdict in one line."""
    tail = " in %s" % duration(results.seconds)
    executions = count(results.executions, "execution")
    broken = sum(job.verdict == R.COULD_NOT_RUN for job in results.jobs)
    verdict = results.verdict
    if verdict == R.FINDING:
        line = "%s, %s%s" % (_findings(results), executions, tail)
    elif verdict == R.CLEAN:
        fixed = len(results.of_status(R.FIXED))
        line = "clean: no finding, %s%s%s" % (
            "%s fixed, " % number(fixed) if fixed else "", executions, tail)
    elif verdict == R.KNOWN:
        line = "only known findings: %s, %s%s" % (statuses(results), executions, tail)
    elif results.error:
        line = "could not run: broke off after %s%s" % (executions, tail)
    elif results.cut_off:
        line = "could not run to its end: %s%s" % (executions, tail)
    elif not results.begun:
        line = "could not run: no job was begun, %s%s" % (executions, tail)
    elif broken:
        line = "could not run: %d of %s executed nothing or broke off, %s%s" % (
            broken, count(len(results.jobs), "job"), executions, tail)
    else:
        line = "could not run: %s%s" % (executions, tail)
    if verdict == R.COULD_NOT_RUN and results.findings:
        line += "; " + _findings(results)
    for phase in results.failed_phases:
        line += "; %s failed: %s" % (one_line(phase.name), one_line(phase.note) or "it does not say why")
    if results.stopped and results.stopped != R.KILLED:
        line += "; stopped early by " + one_line(results.stopped)
    waiting = sum(job.not_started for job in results.jobs)
    if waiting:
        line += ", %s not started" % count(waiting, "job")
    if results.cut_off:
        line += "; it has not ended" if results.state == "running" else "; it was killed"
    return line + ("; " + one_line(results.error, 320) if results.error else "")


def matrix(results):
    """What the matrix comes to, in one line; '' if there is none."""
    counts = rules.counts(results)
    told = ["%s %s" % (number(many), state) for state, many in counts.items()
            if many and state != rules.NOT_APPLICABLE]
    return "checks (strategy x property): " + ", ".join(told) if told else ""


def standing(finding):
    """What is to be known of its status, in words; '' of a new one."""
    if finding.status == R.FLAKY:
        if finding.replays:
            return "flaky: %d of %s showed it" % (
                finding.replays["same"], count(finding.replays["runs"], "replay"))
        return "flaky: it was seen, but replays of its program are clean"
    if finding.status == R.KNOWN_ONE:
        return "known: accepted%s%s" % (
            " until " + one_line(finding.expires) if finding.expires else "",
            ": " + one_line(finding.reason, 320) if finding.reason else "")
    if finding.status == R.FIXED:
        return "fixed: all replays of its program are clean"
    if finding.known or finding.before:
        return "an earlier run in this folder stored it" + (
            ", " + one_line(finding.since) if finding.since else "")
    return ""


def location(finding):
    """`allocators/tlsf.c:388 (merge_right)`, or ''."""
    if not finding.file:
        return ""
    return one_line("%s%s%s" % (
        finding.file, ":%d" % finding.line if finding.line else "",
        " (%s)" % finding.function if finding.function else ""))


def how_found(finding):
    """`libFuzzer, after 1 234 executions and 0.4 s; 17 inputs`."""
    parts = []
    if finding.executions:     # replays of the corpus come before any
        parts.append(count(finding.executions, "execution"))
    if finding.seconds is not None:
        parts.append("%.1f s" % finding.seconds)
    # One that only replays met is of an earlier campaign.
    line = "replay of the corpus" if finding.engine == "corpus" else \
        engine(finding.engine) if finding.engine else "an earlier campaign"
    if parts:
        line += ", after " + " and ".join(parts)
    inputs = sum(finding.inputs.values())
    return line + ("; " + count(inputs, "input") if inputs else "")
