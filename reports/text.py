"""How numbers, times and hostile text look in every report."""
import re

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
    seconds = max(0, int(round(seconds)))
    hours, rest = divmod(seconds, 3600)
    if hours:
        return "%d:%02d:%02d" % (hours, rest // 60, rest % 60)
    return "%d:%02d" % (rest // 60, rest % 60)


def engine(name):
    return ENGINES.get(name, one_line(name))


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
    return (job.strategy, engine(job.engine), duration(job.seconds), number(job.executions),
            number(job.rate), number(job.coverage), number(job.corpus), number(len(job.findings)),
            verdict)


def summary(results):
    """The verdict in one line."""
    tail = " in %s" % duration(results.seconds)
    executions = count(results.executions, "execution")
    if results.verdict == "finding":
        line = "%s, %s%s" % (count(len(results.findings), "finding"), executions, tail)
    elif results.verdict == "clean":
        line = "clean: no finding, %s%s" % (executions, tail)
    elif results.error:
        line = "could not run: broke off after %s%s" % (executions, tail)
    else:
        broken = sum(job.verdict == "could not run" for job in results.jobs)
        line = "could not run: %d of %s executed nothing or broke off, %s%s" % (
            broken, count(len(results.jobs), "job"), executions, tail)
    if results.stopped:
        line += "; stopped early by " + one_line(results.stopped)
    waiting = sum(job.not_started for job in results.jobs)
    if waiting:
        line += ", %s not started" % count(waiting, "job")
    return line + ("; " + one_line(results.error, 320) if results.error else "")


def how_found(finding):
    """`libFuzzer, after 1 234 executions and 0.4 s; 17 inputs`."""
    parts = []
    if finding.executions is not None:
        parts.append(count(finding.executions, "execution"))
    if finding.seconds is not None:
        parts.append("%.1f s" % finding.seconds)
    line = engine(finding.engine)
    if parts:
        line += ", after " + " and ".join(parts)
    return line + "; " + count(sum(finding.inputs.values()), "input")
