"""What a fuzzing engine is to the supervisor: sessions that start, tell of progress, and end.

A session is one process of one engine on one strategy, for a number of seconds. engine_libfuzzer
and engine_afl say how each engine is started, read and understood.
"""
import dataclasses
import os
import re
import signal
import sys
import time
import typing

from ci import process, quotas

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
                                "fuzz"))
import counters  # noqa: E402
import engines  # noqa: E402,F401

# Beyond its time a session gets these seconds to end by itself, and then to obey SIGTERM.
GRACE_TO_END = 6.0
GRACE_TO_OBEY = 4.0

# Seconds after its last change in which a file of a living engine is left alone.
_WRITING = 1.0

_ASSERTION = re.compile(r"ASSERTION FAILED: (\S+)")
_ERROR = re.compile(r"ERROR: (?:assay: )?(.*)")


@dataclasses.dataclass
class Suspect:
    """An input that an engine says is a finding, and what the engine knows of it."""
    strategy: str
    engine: str
    kind: str                # crash, hang, out-of-memory or leak
    data: typing.Optional[bytes]  # None: the process failed and left no input
    target: str              # the fuzz target's program
    property: str = ""       # from the log's `ASSERTION FAILED:`
    diagnosis: str = ""      # from the log's `ERROR:`
    log: str = ""
    executions: typing.Optional[int] = None
    seconds: typing.Optional[float] = None
    verdict: typing.Optional[dict] = None    # if `assay run` has judged it already
    sanitizer: str = ""
    job: typing.Optional[int] = None         # row in the history, as is
    session: typing.Optional[int] = None


@dataclasses.dataclass
class Setting:
    """Where a session works, and with what."""
    strategy: str
    program: str             # the fuzz target
    seconds: float
    seed: int
    corpus: str              # folder of SHA-1-named inputs, shared by all sessions of the strategy
    work: str                # a folder of the session's own
    environment: typing.Dict[str, str] = dataclasses.field(default_factory=dict)
    role: str = ""           # where several run for a job: AFL++'s `main`, or `secondary`
    main: str = ""           # the main's folder, for a secondary
    memory: int = 2560       # MiB that one process may take
    mutator: str = ""        # AFL++'s
    first: bool = True       # of the strategy's sessions in `work`
    sanitizer: str = ""
    job: typing.Optional[int] = None         # row in the history, as is
    session: typing.Optional[int] = None


class Session:
    """Base of the engines' sessions. Subclasses define NAME, command(), environment(), read_line(),
    progress(), artefacts() and kept().

    Nothing below `setting.work` is removed: should the supervisor die, its successor finds there
    what the session had found (recovery.py)."""

    NAME = ""

    def __init__(self, setting):
        self.setting = setting
        self._collected = set()
        self._kept = set()
        self._found = []         # kinds of the suspects so far
        self.limit = ""          # that it exceeded, and was stopped for
        self.executions = 0
        self.rate = None
        self.coverage = None
        self.features = None
        self.initial = None      # (coverage, features) of the corpus that it began with
        self.start_up = None     # seconds until it was through with the corpus
        self.counted = None      # by the target itself: counters.Counters
        self.property = ""
        self.diagnosis = ""
        self._stopped = None
        os.makedirs(setting.work, exist_ok=True)
        self.process = process.Process(quotas.polite(self.command()), self.environment())
        self.started = time.monotonic()
        self.ended = None

    def command(self):
        raise NotImplementedError

    def environment(self):
        raise NotImplementedError

    def read_line(self, line):
        """Learns from a line of the engine's output."""

    def progress(self):
        """Learns from the engine's files. Called every few seconds, and at the end."""

    @classmethod
    def artefacts(cls, work):
        """(kind, path) of each input below a session's folder that the engine calls a finding."""
        raise NotImplementedError

    @classmethod
    def kept(cls, work):
        """Paths of the inputs below a session's folder that it found worth keeping."""
        return []

    def collect(self):
        """Yields the Suspects that the engine stored since the last call. One counts as collected
        when the next is asked for: if the disk is too full to keep it, it comes again."""
        new = [(kind, path) for kind, path in self.artefacts(self.setting.work)
               if path not in self._collected and self._is_whole(path)]
        if new:
            self.count()
        for kind, path in new:
            data = read_input(path)
            if data is not None:
                yield self.suspect(kind, data)
                self._collected.add(path)
                self._found.append(kind)

    def new_inputs(self):
        """Yields the inputs that it found worth keeping since the last call; likewise."""
        for path in self.kept(self.setting.work):
            if path not in self._kept and self._is_whole(path):
                data = read_input(path)
                if data is not None:
                    yield data
                self._kept.add(path)

    def _is_whole(self, path):
        """A living engine may be writing it."""
        try:
            return bool(self.ended) or time.time() - os.stat(path).st_mtime > _WRITING
        except OSError:
            return False

    @property
    def log(self):
        """The end of what the engine printed."""
        return self.process.tail

    @property
    def seconds(self):
        return (self.ended or time.monotonic()) - self.started

    @property
    def was_stopped(self):
        return self._stopped is not None

    @property
    def early(self):
        """It ended by itself, well before its time."""
        return not self.was_stopped and self.seconds < 0.8 * self.setting.seconds - 2

    def poll(self):
        """Reads its output. True if the session has ended; then it has been understood."""
        if self.ended:
            return True
        for line in self.process.poll():
            self._note_failure(line)
            self.read_line(line)
            self._note_initial()
        if self.process.code is None:
            self._enforce_time()
            return False
        self.ended = time.monotonic()
        self.progress()
        self.count()
        return True

    def count(self):
        """Reads what the target counts itself."""
        self.counted = read_counters(self.setting.work) or self.counted

    @property
    def crashes(self):
        """Inputs that failed."""
        return len(self._found)

    def numbers(self):
        """What it came to so far, as columns of its row in the history and of its samples."""
        counted = self.counted
        return {
            "seconds": self.seconds, "cpu_seconds": self.process.cpu_seconds,
            "executions": counted.executions if counted else self.executions,
            "operations": counted.operations if counted else 0,
            "states": len(counted.states) if counted else None,
            "coverage": self.coverage, "features": self.features, "crashes": self.crashes,
            "memory": self.process.memory, "peak_memory": self.process.peak_memory,
        }

    @property
    def how(self):
        """How it ended."""
        if self._found and self.process.code != 0:
            return {"hang": "hang", "out-of-memory": "memory"}.get(self._found[-1], "crash")
        if self.limit:
            return "memory"
        if self.was_stopped:
            return "stopped"
        return "over" if self.process.code == 0 and not self.early else "died"

    def _note_initial(self):
        if self.initial is None and self.coverage is not None:
            self.initial = self.coverage, self.features

    def _note_failure(self, line):
        match = _ERROR.search(line)
        if match and not self.diagnosis:
            self.diagnosis = match.group(1)
        match = _ASSERTION.search(line)
        if match and not self.property:
            self.property = match.group(1)

    def _enforce_time(self):
        now = time.monotonic()
        if self._stopped is not None:
            if now - self._stopped > GRACE_TO_OBEY:
                self.process.kill()
        elif self.seconds > self.setting.seconds + GRACE_TO_END:
            self.stop()

    def stop(self):
        """Asks it to end; poll() sees to it that it does."""
        if self._stopped is None and self.ended is None:
            self._stopped = time.monotonic()
            self.process.signal(signal.SIGTERM)

    def suspect(self, kind, data):
        setting = self.setting
        return Suspect(setting.strategy, self.NAME, kind, data, setting.program,
                       property=self.property, diagnosis=self.diagnosis, log=self.process.tail,
                       executions=self.numbers()["executions"], sanitizer=setting.sanitizer, job=setting.job,
                       session=setting.session)


def counters_file(work):
    """Where the target of a session is told to count (ASSAY_COUNTERS)."""
    return os.path.join(work, "counters")


def read_counters(work):
    """What the target of a session counted, dead or alive; None if it does not."""
    return counters.read(counters_file(work))


def names_in(folder):
    """The names in a folder, sorted; none if it is not there (yet)."""
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def read_input(path, limit=1 << 24):
    """The bytes of an engine's file, or None if it is gone or no input."""
    try:
        with open(path, "rb") as f:
            data = f.read(limit + 1)
    except OSError:
        return None
    return data if len(data) <= limit else None
