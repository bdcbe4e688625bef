"""Tells how it goes: a live screen on a terminal, else a plain line now and then; and a file."""
import sys
import time

from ci import live, screen

# Seconds between updates of the screen, of a single line on it, and of the file.
_SCREEN, _LINE, _FILE = 1.0, 0.5, 2.0

# Seconds between lines where no terminal rewrites them: a tenth of the time so far, within these.
_PLAIN = (10.0, 60.0)


class Status:
    """`file`: where to write status.json, if anywhere; may be set later, as may `about`, fields of
    live.Live that hold for all that is shown."""

    def __init__(self, stream=None, file=""):
        self._stream = stream or sys.stdout
        self._screen = screen.Screen(self._stream) if self._stream.isatty() else None
        self.file = file
        self.about = {}
        self._live = live.Live()
        self._began = time.monotonic()
        # The first plain line soon: it shows that something happens.
        self._next = time.monotonic() + (0 if self._screen else 2)
        self._next_file = 0.0

    def due(self):
        now = time.monotonic()
        return now >= self._next or bool(self.file) and now >= self._next_file

    def show(self, now):
        """`now`: a live.Live."""
        for name, value in self.about.items():
            setattr(now, name, value)
        self._live = now
        self._keep()
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + (_SCREEN if self._screen else self._pause())
        if self._screen:
            self._screen.draw(screen.render(now, *self._screen.size()))
        else:
            self._say(screen.plain(now))

    def last(self, now):
        """What it came to when all engines had ended; for the file."""
        for name, value in self.about.items():
            setattr(now, name, value)
        self._live = now
        self._next_file = 0.0
        self._keep()

    def _pause(self):
        return min(_PLAIN[1], max(_PLAIN[0], (time.monotonic() - self._began) / 10))

    def _keep(self):
        if self.file and time.monotonic() >= self._next_file:
            self._next_file = time.monotonic() + _FILE
            live.write(self._live, self.file)

    def phase(self, name, left=0.0, **fields):
        """What begins now; for the file and the screen."""
        self.about.update(fields, phase=name)
        for key, value in self.about.items():
            setattr(self._live, key, value)
        self._live.left = left
        if name != "fuzz":
            for job in self._live.jobs:
                job.state, job.rate = (job.state if job.problem else live.WAITING), 0.0
        self._next_file = 0.0
        self._keep()

    def progress(self, line):
        """What is done right now; where no terminal rewrites it, only now and then."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + (_LINE if self._screen else self._pause())
        if self._screen:
            self._screen.draw([line])
        else:
            self._say(line)

    def say(self, line):
        """A line that stays."""
        if self._screen:
            self._screen.say(line)
        else:
            self._say(line)

    def _say(self, line):
        self._stream.write(line + "\n")
        self._stream.flush()

    def clear(self):
        if self._screen:
            self._screen.clear()
