"""Child processes that cannot outlive, block or flood their supervisor."""
import collections
import itertools
import os
import shutil
import signal
import subprocess
import time

# Bytes of output kept of each process: its end, where sanitizers and engines say what happened.
TAIL = 65536

_RUNS = itertools.count()

# Seconds between questions whether a command shall go on.
_ASK = 0.5

# A line longer than this is no line that anybody waits for.
LONGEST_LINE = 4096


_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")

Entry = collections.namedtuple("Entry", "parent state cpu_seconds memory")


def _entry(pid):
    """What /proc says of a process, a zombie included; None if it is gone. The CPU time is its own
    and that of the children it has waited for."""
    try:
        with open("/proc/%s/stat" % pid, "rb") as f:
            # The command, in parentheses, may hold blanks and parentheses itself.
            fields = f.read().rpartition(b")")[2].split()
        return Entry(int(fields[1]), fields[0].decode(),
                     sum(map(int, fields[11:15])) / _TICK, int(fields[21]) * _PAGE)
    except (OSError, ValueError, IndexError):
        return None


def table():
    """All processes, as {pid: Entry}: a look that costs a few milliseconds."""
    entries = ((int(name), _entry(name)) for name in os.listdir("/proc") if name.isdigit())
    return {pid: entry for pid, entry in entries if entry}


def family(pids, entries):
    """{pid: the pids of it and of all its descendants}. afl-fuzz puts its target into a session of
    its own, where no signal to afl-fuzz's process group arrives."""
    children = collections.defaultdict(list)
    for pid, entry in entries.items():
        children[entry.parent].append(pid)
    families = {}
    for pid in pids:
        found = [pid]
        for member in found:
            found += children[member]
        families[pid] = found
    return families


def children_of(pid):
    """All descendants of a process."""
    return family([pid], table())[pid][1:]


def kill_marked(marker):
    """Kills every process whose environment holds the bytes `marker`, and waits a moment for that:
    children that their parent forgot, or that outlived it. Returns how many there were."""
    found = 0
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            with open("/proc/%s/environ" % name, "rb") as f:
                marked = marker in f.read()
            if marked:
                os.kill(int(name), signal.SIGKILL)
                found += 1
                _await_end(name)
        except OSError:
            continue
    return found


def _await_end(pid, seconds=2.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        entry = _entry(pid)
        if entry is None or entry.state == "Z":
            return
        time.sleep(0.005)


class Process:
    """A running command. Its output, stdout and stderr together, is read as lines with poll().

    It gets SIGTERM if this process dies, even by SIGKILL; and, being in a session of its own, no
    Ctrl-C of the terminal: its end is decided here.
    """

    def __init__(self, command, env, folder=None):
        prefix = ["setpriv", "--pdeathsig", "TERM", "--"] if shutil.which("setpriv") else []
        # SIGPIPE stays ignored: an engine whose supervisor is killed while it writes about a crash
        # must get so far as to store the input.
        self._child = subprocess.Popen(
            prefix + command, env=env, cwd=folder, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
            restore_signals=False)
        os.set_blocking(self._child.stdout.fileno(), False)
        self.started = time.monotonic()
        self.code = None
        self.cpu_seconds = 0.0   # of it and its descendants: set by measure(), and at the end
        self.memory = self.peak_memory = 0
        self._tail = b""
        self._partial = b""

    def fileno(self):
        """For select."""
        return self._child.stdout.fileno()

    @property
    def output_open(self):
        return not self._child.stdout.closed

    @property
    def tail(self):
        """The end of the output so far, as text."""
        return self._tail.decode(errors="replace")

    def poll(self):
        """Reads what there is; returns the complete lines in it. Sets `code` once it has ended."""
        # The exit code first: what was written before it is then read below.
        code = self._end()
        lines = self._read(drain=code is not None)
        if code is not None and self.code is None:
            self.code = code
            self._child.stdout.close()
            if self._partial:
                lines.append(self._partial.decode(errors="replace"))
                self._partial = b""
        return lines

    def _end(self):
        """Its exit code, or None. Before the zombie goes it is asked for its CPU time."""
        if self.code is None:
            try:
                if not os.waitid(os.P_PID, self._child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                    return None
                entry = _entry(self._child.pid)
                self.cpu_seconds = max(self.cpu_seconds, entry.cpu_seconds if entry else 0)
            except ChildProcessError:
                pass
        return self._child.poll()

    @property
    def pid(self):
        return self._child.pid

    def measure(self, members, entries):
        """Its CPU time and memory: those of its family, by table()."""
        known = [entries[pid] for pid in members if pid in entries]
        self.cpu_seconds = max(self.cpu_seconds, sum(entry.cpu_seconds for entry in known))
        self.memory = sum(entry.memory for entry in known)
        self.peak_memory = max(self.peak_memory, self.memory)

    def _read(self, drain):
        if self._child.stdout.closed:
            return []
        data = b""
        # Never more than this in one go: a process that floods must not hold up the others. What is
        # left in the pipe of a dead process is no more than the pipe's capacity.
        for _ in range(17 if drain else 4):
            try:
                part = os.read(self._child.stdout.fileno(), 65536)
            except BlockingIOError:
                break
            if not part:
                break
            data += part
        self._tail = (self._tail + data)[-TAIL:]
        pieces = (self._partial + data).split(b"\n")
        self._partial = pieces.pop()[-LONGEST_LINE:]
        return [piece[:LONGEST_LINE].decode(errors="replace") for piece in pieces]

    def signal(self, number):
        try:
            os.killpg(self._child.pid, number)
        except (ProcessLookupError, PermissionError):
            pass

    def kill(self):
        """Ends it and all that it started, without a chance to object, and waits for that."""
        orphans = children_of(self._child.pid)
        self.signal(signal.SIGKILL)
        for pid in orphans:
            try:
                os.kill(pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                pass
        self._child.wait()


class _Counted(subprocess.Popen):
    """Adds its CPU time to what run() has spent before it is gone."""

    def has_ended(self):
        """It, though maybe not all that it started."""
        return self.returncode is not None or bool(os.waitid(
            os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT))

    def wait(self, timeout=None):
        end = None if timeout is None else time.monotonic() + timeout
        pause = 0.0005
        while self.returncode is None and not os.waitid(
                os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            if end is not None and time.monotonic() >= end:
                raise subprocess.TimeoutExpired(self.args, timeout)
            time.sleep(pause)
            pause = min(2 * pause, 0.05)
        if self.returncode is None:
            entry = _entry(self.pid)
            run.cpu_seconds += entry.cpu_seconds if entry else 0
        return super().wait(timeout)


def run(command, env=None, seconds=60.0, stop=lambda: False):
    """Runs a short command to its end, and ends what it started and forgot, if that holds its output
    open. Returns (exit code or None, stdout, stderr as text); the code is None if it took longer
    than `seconds`, or stop() said so, and was killed."""
    end = time.monotonic() + seconds
    mark = "ASSAY_RUN=%d.%d" % (os.getpid(), next(_RUNS))
    child = _Counted(command, env=dict(os.environ if env is None else env, **dict([mark.split("=")])),
                     stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                     start_new_session=True)
    killed = False
    while True:
        try:
            out, err = child.communicate(timeout=max(0.0, min(_ASK, end - time.monotonic())))
            break
        except subprocess.TimeoutExpired as error:
            if not child.has_ended() and time.monotonic() < end and not stop():
                continue
            killed = not child.has_ended()
            if killed:
                os.killpg(child.pid, signal.SIGKILL)
            # Whoever holds the pipes now would make us wait for as long as it likes.
            kill_marked(mark.encode() + b"\0")
            try:
                out, err = child.communicate(timeout=5)
            except subprocess.TimeoutExpired:
                out, err = error.stdout or b"", error.stderr or b""
                child.stdout.close()
                child.stderr.close()
                child.wait()
            break
    code = None if killed else child.returncode
    return code, out.decode(errors="replace"), err.decode(errors="replace")


# Of all that it ran.
run.cpu_seconds = 0.0
