"""The live screen: a block of lines at the end of the terminal, drawn anew each time.

No mode of the terminal is changed, so that nothing has to be restored, however the process ends.
What is said to stay scrolls away above the block.
"""
import shutil

from ci import live as lives
from reports import text

# Lines that are left above the block, for what is said.
_ABOVE = 4

# Columns: heading, width, and how important it is: where the terminal is narrow, the others go.
_COLUMNS = (("exec/s", 8, 1), ("execs", 8, 4), ("edges", 7, 2), ("corpus", 8, 5),
            ("found", 6, 3), ("new", 9, 2), ("CPU", 9, 6))

_ORDER = (lives.RUNNING, lives.WAITING, lives.PARKED, lives.GIVEN_UP)

_STATES = {lives.RUNNING: ">", lives.WAITING: " ", lives.PARKED: "z", lives.GIVEN_UP: "x"}


def name_of(job):
    return text.one_line("%s %s %s" % (job.strategy, job.engine, job.sanitizer))


def short(value):
    """1234567 as `1.23M`."""
    for unit in ("", "k", "M", "G"):
        if value < 999.5 or unit == "G":
            return "%.3g%s" % (value, unit) if value < 999.5 else "%.0f%s" % (value, unit)
        value /= 1000


def _cells(job):
    quiet = "-" if job.quiet is None else "now" if job.quiet < 1 else text.duration(job.quiet)
    return {"exec/s": text.number(job.rate) if job.state == lives.RUNNING else "-",
            "execs": short(job.executions), "edges": text.number(job.coverage),
            "corpus": text.number(job.corpus), "found": str(job.findings or "-"), "new": quiet,
            "CPU": text.duration(job.cpu_seconds)}


def _fitting(width, name):
    """The columns that there is room for, in their order."""
    chosen, left = set(), width - name - 2
    for heading, size, _ in sorted(_COLUMNS, key=lambda column: column[2]):
        if size > left:
            break
        chosen.add(heading)
        left -= size
    return [column for column in _COLUMNS if column[0] in chosen]


def findings(live):
    """`2 new, 1 known`."""
    return ", ".join("%s %s" % (text.number(number), status)
                     for status, number in live.findings.items() if number) or "none"


def _head(live):
    lines = ["%s | %s, %s left | %s so far" % (
        live.command or "fuzzing", live.phase or "fuzz", text.duration(live.left),
        text.duration(live.seconds))]
    lines.append("%s executions, %s/s | corpus %s | findings: %s%s" % (
        text.number(live.executions), text.number(live.rate), text.number(live.corpus),
        findings(live), " (%s to judge)" % text.number(live.waiting) if live.waiting else ""))
    room = []
    if live.disk_limit:
        room.append("disk %s of %s, %s free" % (
            text.size(live.disk_used), text.size(live.disk_limit), text.size(live.disk_free)))
    if live.memory_limit:
        room.append("memory %s of %s" % (
            text.size(live.memory_used), text.size(live.memory_limit)))
    return lines + ([" | ".join(room)] if room else [])


def _table(live, width, height):
    """The jobs, those that run first, then those to which something new came last."""
    jobs = sorted(live.jobs, key=lambda job: (
        _ORDER.index(job.state), float("inf") if job.quiet is None else job.quiet, name_of(job)))
    longest = max([len(name_of(job)) for job in jobs] + [len("job")])
    name = max(10, min(longest, width - 10))
    columns = _fitting(width, name)
    lines = ["  %-*s%s" % (name, "job", "".join(
        heading.rjust(size) for heading, size, _ in columns))]
    shown = jobs if len(jobs) <= height - 1 else jobs[:max(0, height - 2)]
    for job in shown:
        cells = _cells(job)
        lines.append("%s %-*s%s" % (
            _STATES[job.state], name, name_of(job)[:name],
            "".join(cells[heading].rjust(size) for heading, size, _ in columns)))
    rest = jobs[len(shown):]
    if rest:
        lines.append("  and %s: %s" % (text.count(len(rest), "other"), ", ".join(
            "%d %s" % (sum(job.state == state for job in rest), state) for state in _ORDER
            if any(job.state == state for job in rest))))
    return lines


def render(live, width, height):
    """The block's lines, none longer than `width`, no more than `height`."""
    lines = _head(live)
    if height > len(lines) + 3 and live.jobs:
        lines += [""] + _table(live, width, height - len(lines) - 1)
    return [line[:width] for line in lines[:height]]


def plain(live):
    """All in one line."""
    running = "".join(
        " | %s%s" % (name_of(job), " %s/s" % text.number(job.rate) if job.rate else "")
        for job in live.jobs if job.state == lives.RUNNING)
    return "%s left | %s executions, %s/s | corpus %s | coverage %s | findings: %s%s" % (
        text.duration(live.left), text.number(live.executions), text.number(live.rate),
        text.number(live.corpus), text.number(live.coverage), findings(live), running)


class Screen:
    """A block of lines on a terminal."""

    def __init__(self, stream):
        self._stream = stream
        self._lines = []         # as they stand there
        self._size = None

    @staticmethod
    def size():
        """(columns, lines) that a block may have."""
        size = shutil.get_terminal_size()
        # A line that fills the last column may wrap.
        return max(1, size.columns - 1), max(1, size.lines - _ABOVE)

    def draw(self, lines):
        size = self.size()
        lines = [line[:size[0]] for line in lines[:size[1]]]
        # Where the size changed the terminal has broken old lines anew, and nobody knows how.
        begin = "\033[H\033[2J" if self._size not in (None, size) and self._lines else self._up()
        self._write(begin + "".join(line + "\033[K\n" for line in lines) + "\033[J")
        self._lines, self._size = lines, size

    def say(self, line):
        """A line that stays, above the block."""
        lines = self._lines
        self._write(self._up() + "\033[J" + line + "\n")
        self._lines = []
        if lines:
            self.draw(lines)

    def clear(self):
        """Takes the block away."""
        if self._lines:
            self._write(self._up() + "\033[J")
        self._lines = []

    def _up(self):
        return "\r" + ("\033[%dA" % len(self._lines) if self._lines else "")

    def _write(self, data):
        self._stream.write(data)
        self._stream.flush()
