"""Tells a person how fuzzing goes: one live line on a terminal, else a plain line now and then."""
import shutil
import sys
import time

from reports import text

# Seconds between lines where no terminal rewrites them, and between updates where one does.
_PLAIN, _LIVE = 10.0, 0.5


class Status:
    def __init__(self, stream=None):
        self._stream = stream or sys.stdout
        self._live = self._stream.isatty()
        # The first plain line soon: it shows that something happens.
        self._next = time.monotonic() + (0 if self._live else 2)

    def due(self):
        return time.monotonic() >= self._next

    def show(self, left, executions, rate, corpus, coverage, findings, running):
        """`coverage`: {(strategy, engine): edges}; `running`: [(strategy, engine, rate)]."""
        self._next = time.monotonic() + (_LIVE if self._live else _PLAIN)
        line = "%s left | %s executions, %s/s | corpus %s | coverage %s | %s" % (
            text.duration(left), text.number(executions), text.number(rate), text.number(corpus),
            text.number(max(coverage.values(), default=None)), text.count(findings, "finding"))
        for strategy, engine, speed in running:
            line += " | %s on %s%s" % (
                strategy, text.engine(engine), " %s/s" % text.number(speed) if speed else "")
        if self._live:
            width = shutil.get_terminal_size().columns - 1
            self._stream.write("\r\033[K" + line[:width])
        else:
            self._stream.write(line + "\n")
        self._stream.flush()

    def progress(self, line):
        """What is done right now; where no terminal rewrites it, only now and then."""
        if not self.due():
            return
        self._next = time.monotonic() + (0 if self._live else _PLAIN)
        if self._live:
            self._stream.write("\r\033[K" + line[:shutil.get_terminal_size().columns - 1])
        else:
            self._stream.write(line + "\n")
        self._stream.flush()

    def say(self, line):
        """A line that stays."""
        if self._live:
            self._stream.write("\r\033[K")
        self._stream.write(line + "\n")
        self._stream.flush()

    def clear(self):
        if self._live:
            self._stream.write("\r\033[K")
            self._stream.flush()
