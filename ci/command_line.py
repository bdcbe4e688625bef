"""What the commands have in common: options, their errors, and being interrupted."""
import argparse
import math
import os
import signal
import sys
import time


def positive(value):
    try:
        number = int(value)
    except ValueError:
        number = 0
    if not 0 < number <= 4096:
        raise argparse.ArgumentTypeError("'%s' is no number from 1 to 4096" % value)
    return number


def amount(unit, most, such_as):
    """The type of an option that takes so much of a unit, fractions too; whoever wants more than `most`
    has mistyped."""
    def parse(value):
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not 0 < number <= most:
            raise argparse.ArgumentTypeError("'%s' is no number of %s; give one above 0 and up to %g, such "
                                             "as %s" % (value, unit, most, such_as))
        return number
    return parse


def seed(value):
    try:
        number = int(value)
    except ValueError:
        number = -1
    if not 0 <= number <= 0x7fffffff:
        raise argparse.ArgumentTypeError("'%s' is no number from 0 to 2147483647" % value)
    return number


def names(value):
    """`a,b` as a list."""
    found = [name for name in value.split(",") if name]
    if not found:
        raise argparse.ArgumentTypeError("name at least one")
    return found


def numbers(value):
    """`1-3,7` as [1, 2, 3, 7]."""
    found = []
    for part in value.split(","):
        first, dash, last = part.partition("-")
        first = positive(first)
        last = positive(last) if dash else first
        if last < first:
            raise argparse.ArgumentTypeError("'%s' ends before it begins" % part)
        found += range(first, last + 1)
    return list(dict.fromkeys(found))


class Parser(argparse.ArgumentParser):
    def error(self, message):
        """One line, and where to learn more."""
        message = message.replace("argument ", "", 1)
        self.exit(2, "%s: %s; see %s --help\n" % (self.prog, message, self.prog))

    def add_outputs(self, name, what):
        """Where that measurement's report goes (`out` is None unless told, see report_folder), and `what` it
        adds to a history."""
        self.add_argument("--out", metavar="DIR",
                          help="folder for the report (out/%s/<time> in the checkout)" % name)
        self.add_argument("--history", metavar="DIR",
                          help="also store the %s in DIR/history.db, as a campaign of their own" % what)
        # For tests: a folder like bazel-bin with everything built. Nothing is set up or built then.
        self.add_argument("--prebuilt", metavar="DIR", help=argparse.SUPPRESS)


def report_folder(root, name):
    """One of this moment, below a checkout's out/."""
    return os.path.join(root, "out", name, time.strftime("%Y-%m-%dT%H-%M-%S"))


class _Steady:
    """A stream that nobody may read any more, such as a pipe's or a closed terminal's, or whose file's
    disk is full: then what is written is lost, and not the work that it tells of."""

    def __init__(self, stream):
        self._stream = stream

    def write(self, data):
        try:
            self._stream.write(data)
        except OSError:
            pass
        return len(data)

    def flush(self):
        try:
            self._stream.flush()
        except OSError:
            pass

    def __getattr__(self, name):
        return getattr(self._stream, name)


def steady_output():
    """stdout and stderr, there from now on whatever becomes of who reads them."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            # Else the next file that is opened gets its number, and all that is printed.
            os.open(os.devnull, os.O_RDWR)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name) or open(os.devnull, "w", encoding="utf-8")
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")   # not all terminals know all letters
        setattr(sys, name, _Steady(stream))


class Interrupt:
    """Ctrl-C, SIGTERM and SIGHUP, as a question that the main loop asks."""

    def __init__(self, program, lost):
        """`lost` says what a second signal costs."""
        self.name = ""
        self._program, self._lost = program, lost

    def install(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # nohup wants it ignored.
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._take)

    def _take(self, number, _):
        if self.name:
            # Asked twice. What is stored is whole at any time.
            print("%s: stopped at once; %s" % (self._program, self._lost), file=sys.stderr)
            os._exit(2)
        self.name = signal.Signals(number).name
