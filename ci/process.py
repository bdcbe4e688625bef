"""Child processes that cannot outlive, block or flood their supervisor."""
import collections
import os
import shutil
import signal
import subprocess
import time

# Bytes of output kept of each process: its end, where sanitizers and engines say what happened.
TAIL = 65536

# A line longer than this is no line that anybody waits for.
LONGEST_LINE = 4096


def children_of(pid):
    """All descendants of a process. afl-fuzz puts its target into a session of its own, where no
    signal to afl-fuzz's process group arrives."""
    parents = collections.defaultdict(list)
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open("/proc/%s/stat" % name, encoding="utf-8", errors="replace") as f:
                # The command, in parentheses, may hold blanks and parentheses itself.
                parent = int(f.read().rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            continue
        parents[parent].append(int(name))
    found, queue = [], [pid]
    while queue:
        for child in parents[queue.pop()]:
            found.append(child)
            queue.append(child)
    return found


class Process:
    """A running command. Its output, stdout and stderr together, is read as lines with poll().

    It gets SIGTERM if this process dies, even by SIGKILL; and, being in a session of its own, no
    Ctrl-C of the terminal: its end is decided here.
    """

    def __init__(self, command, env, folder=None):
        prefix = ["setpriv", "--pdeathsig", "TERM", "--"] if shutil.which("setpriv") else []
        self._child = subprocess.Popen(
            prefix + command, env=env, cwd=folder, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
        os.set_blocking(self._child.stdout.fileno(), False)
        self.started = time.monotonic()
        self.code = None
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
        code = self._child.poll()
        lines = self._read(drain=code is not None)
        if code is not None and self.code is None:
            self.code = code
            self._child.stdout.close()
            if self._partial:
                lines.append(self._partial.decode(errors="replace"))
                self._partial = b""
        return lines

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


def run(command, env=None, seconds=60.0):
    """Runs a short command to its end. Returns (exit code or None, stdout, stderr as text); the
    code is None if it took longer than `seconds` and was killed."""
    child = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, start_new_session=True)
    try:
        out, err = child.communicate(timeout=seconds)
        code = child.returncode
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        out, err = child.communicate()
        code = None
    return code, out.decode(errors="replace"), err.decode(errors="replace")
