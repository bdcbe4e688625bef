"""Keeps a campaign from filling the disk or the memory of the machine that it runs on.

Memory: what all engines hold at once, and what a single process does. The largest session goes.
Disk: what the campaign folder holds, and what must stay free for others. First logs are cut and
corpora are thinned; if that does not help, the session with the largest folder goes; then the
fuzzing ends, and the report is made of what there is. Nothing else on the machine is touched.

Looking is cheap: free space is one call, and the folder is walked a little at each look.
"""
import dataclasses
import os
import resource
import shutil
import time

from reports import text

MIB, GIB = 1 << 20, 1 << 30

# libFuzzer's own limit for its process is this; whatever exceeds it by _GRACE is stopped from here.
PROCESS = 2560 * MIB
_GRACE = 1.25

# Of the memory that is available at the start.
_SHARE = 0.75

# Seconds of walking at each look; so many times as long if the quota may be exceeded.
_WALK, _HURRY = 0.02, 10

# Seconds between the end of a walk and the beginning of the next.
_PAUSE = 60.0

# Seconds that a remedy gets to work before the next one.
_PATIENCE = 10.0

# Bytes of each log that are left where space is short.
_LOG = 4096

_UNITS = {"k": 1 << 10, "m": MIB, "g": GIB, "t": 1 << 40}


def size(value, least=MIB):
    """`8G`, `512M` or bytes, for options."""
    digits = value.strip().lower().removesuffix("b").removesuffix("i")
    unit = _UNITS.get(digits[-1:], 0)
    try:
        number = float(digits[:-1] if unit else digits) * (unit or 1)
    except ValueError:
        number = 0
    if not least <= number < 1 << 60:
        raise ValueError("'%s' is no size of at least %s; give one such as %s" % (
            value, "1M" if least == MIB else "%dK" % (least >> 10),
            "8G or 512M" if least == MIB else "64K or 20M"))
    return int(number)


def available_memory():
    """Bytes that may be used without swapping, in this control group too."""
    found = []
    try:
        with open("/proc/meminfo", encoding="ascii", errors="replace") as f:
            found += [int(line.split()[1]) * 1024 for line in f if line.startswith("MemAvailable:")]
    except (OSError, ValueError, IndexError):
        pass
    for limit, used in (("memory.max", "memory.current"),
                        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes")):
        try:
            with open("/sys/fs/cgroup/" + limit, encoding="ascii") as f, \
                    open("/sys/fs/cgroup/" + used, encoding="ascii") as g:
                found.append(int(f.read()) - int(g.read()))
        except (OSError, ValueError):
            pass
    return max(256 * MIB, min(found, default=4 * GIB))


@dataclasses.dataclass
class Limits:
    """In bytes."""
    disk: int = 8 * GIB      # of the campaign folder
    free: int = GIB          # on its disk, for others
    memory: int = 0          # resident, of all engines; 0: _SHARE of what is available at the start
    process: int = PROCESS   # resident, of one process

    def __post_init__(self):
        self.memory = self.memory or int(_SHARE * available_memory())
        self.process = min(self.process, self.memory)

    def __str__(self):
        return "at most %s of disk (%s stay free), %s of memory (%s for one process)" % (
            text.size(self.disk), text.size(self.free), text.size(self.memory),
            text.size(self.process))


def limit_children():
    """No core dumps: a night of crashes would fill the disk with them."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


def polite(command):
    """The command as one that others go before, and that the kernel ends first if it has to."""
    oom = ["choom", "-n", "500", "--"] if shutil.which("choom") else []
    return ["nice", "-n", "10", *oom, *command]


class Walk:
    """Adds up what a folder holds, a little at a time. `parts`: bytes by the first two names of a
    path, such as ("sessions", "12")."""

    def __init__(self, folder):
        self._folder = folder
        self._pending = [(folder, ())]
        self._entries = None
        self._key = ()
        self.parts = {}
        self.done = False

    def step(self, seconds):
        """Goes on for about that long; True once all has been seen."""
        end = time.monotonic() + seconds
        while not self.done:
            for entry in self._some():
                self._count(entry)
            if time.monotonic() >= end:
                break
        return self.done

    def _some(self):
        """Up to 100 entries of the current folder, or of the next."""
        try:
            if self._entries is None:
                if not self._pending:
                    self.done = True
                    return []
                path, self._key = self._pending.pop()
                self._entries = os.scandir(path)
            found = [entry for entry, _ in zip(self._entries, range(100))]
        except OSError:     # it is gone meanwhile
            found = []
        if not found:
            if self._entries is not None:
                self._entries.close()
            self._entries = None
        return found

    def _count(self, entry):
        key = (*self._key, entry.name)[:2]
        try:
            status = entry.stat(follow_symlinks=False)
            is_folder = entry.is_dir(follow_symlinks=False)
            if is_folder:
                self._pending.append((entry.path, key))
        except OSError:
            return
        # Of what has several names each counts its part.
        taken = status.st_blocks * 512 // max(1, status.st_nlink if not is_folder else 1)
        self.parts[key] = self.parts.get(key, 0) + taken

    def total(self):
        return sum(self.parts.values())


class Disk:
    """How much the folder takes, and how much is free."""

    def __init__(self, folder, pause=_PAUSE):
        self._folder = folder
        self._pause = pause
        self._walk = None
        self._begin = -pause
        self._base = 0           # taken on the whole disk when the last walk began
        self._next_base = 0
        self.parts = {}          # as the last whole walk saw them
        self.walks = 0           # whole ones so far

    def status(self):
        """(bytes taken on the whole disk, bytes free for us)."""
        status = os.statvfs(self._folder)
        return ((status.f_blocks - status.f_bfree) * status.f_frsize,
                status.f_bavail * status.f_frsize)

    def look(self, now, hurry=False):
        """Walks on."""
        if self._walk is None and (hurry or now - self._begin >= self._pause):
            self._walk = Walk(self._folder)
            self._next_base = self.status()[0]
        if self._walk and self._walk.step(_WALK * (_HURRY if hurry else 1)):
            self.parts, self._base = self._walk.parts, self._next_base
            self._walk, self._begin = None, now
            self.walks += 1

    @property
    def known(self):
        """Bytes that the last walk saw."""
        return sum(self.parts.values())

    @property
    def guess(self):
        """That, and all that the whole disk got since: an upper bound."""
        return self.known + max(0, self.status()[0] - self._base) if self.walks else 0


class Guard:
    """Looks, and does something about it. The calls that it is given do the work:

    `stop(session, why)` ends a session; `thin(strategy)` begins to thin a corpus, and returns False
    if it cannot; `busy()` tells whether that is still going on; `end(why)` ends the fuzzing;
    `say(line)` tells a person.
    """

    def __init__(self, folder, limits, stop, thin, end, busy=lambda: False,
                 say=lambda line: None, pause=_PAUSE):
        self._folder = folder
        self._limits = limits
        self._stop, self._thin, self._end, self._busy, self._say = stop, thin, end, busy, say
        self.disk = Disk(folder, pause)
        self.memory = 0          # resident bytes of all engines at the last look
        self._remedies = None    # that are left to try, while the disk is too full
        self._last = 0.0         # when the last of them was tried
        self._walks = 0          # walks before it
        self._stopped = set()

    def look(self, now, sessions):
        """`sessions`: {id: resident bytes of each of its processes}."""
        self._look_at_memory(sessions)
        _, free = self.disk.status()
        hurry = self.disk.guess > self._limits.disk or self._remedies is not None
        self.disk.look(now, hurry)
        if free < self._limits.free:
            self._remedy(now, "only %s are free on its disk" % text.size(free), sessions)
        elif self.disk.known > self._limits.disk:
            self._remedy(now, "%s holds %s, of %s that it may" % (
                self._folder, text.size(self.disk.known), text.size(self._limits.disk)), sessions)
        elif self._remedies is not None and self.disk.walks > self._walks:
            self._remedies = None

    # Memory.

    def _look_at_memory(self, sessions):
        held = {session: sum(processes) for session, processes in sessions.items()
                if session not in self._stopped}
        self.memory = sum(sum(processes) for processes in sessions.values())
        self._stopped &= set(sessions)
        for session in list(held):
            most = max(sessions[session], default=0)
            if most > self._limits.process * _GRACE:
                self._stop_session(session, "a process of it held %s, of %s that it may" % (
                    text.size(most), text.size(self._limits.process)))
                del held[session]
        while held and sum(held.values()) > self._limits.memory:
            session = max(held, key=held.get)
            self._stop_session(session, "the engines held %s, of %s that they may" % (
                text.size(sum(held.values())), text.size(self._limits.memory)))
            del held[session]

    def _stop_session(self, session, why):
        self._stopped.add(session)
        self._stop(session, why)

    # Disk.

    def _remedy(self, now, why, sessions):
        """The next thing to try, once the last had its time and a walk has seen what it brought."""
        if self._remedies is None:
            self._say("space is short: %s" % why)
            self._remedies = [self._cut_logs, self._thin_corpora, self._stop_guilty]
        elif now - self._last < _PATIENCE or self.disk.walks <= self._walks:
            return
        if self._busy():
            self._walks = self.disk.walks    # what they see now is out of date when it ends
            return
        if not self.disk.walks:
            return               # nothing is known yet of who holds what
        self._last, self._walks = now, self.disk.walks
        while self._remedies:
            if self._remedies[0](sessions):
                return
            self._remedies.pop(0)
        self._end("space is short: " + why)

    def _cut_logs(self, _):
        """True if there is something to wait for."""
        for entry in os.scandir(os.path.join(self._folder, "logs")):
            if entry.is_file(follow_symlinks=False) and entry.stat().st_size > _LOG:
                with open(entry.path, "rb+") as f:
                    f.seek(-_LOG, os.SEEK_END)
                    kept = f.read()
                    f.seek(0)
                    f.write(kept)
                    f.truncate()
        self._remedies[0] = lambda sessions: False
        return True

    def _thin_corpora(self, _):
        """The largest one first; each once."""
        corpora = sorted((taken, key[1]) for key, taken in self.disk.parts.items()
                         if key[0] == "corpus" and len(key) == 2)
        queue = [strategy for _, strategy in reversed(corpora)]

        def thin_next(_):
            while queue:
                if self._thin(queue.pop(0)):
                    return True
            return False
        self._remedies[0] = thin_next
        return thin_next(None)

    def _stop_guilty(self, sessions):
        """The session whose own folder is largest."""
        held = {int(key[1]): taken for key, taken in self.disk.parts.items()
                if key[0] == "sessions" and len(key) == 2 and key[1].isdigit()
                and int(key[1]) in sessions and int(key[1]) not in self._stopped}
        if not held or max(held.values()) < self._limits.disk / 100:
            return False
        guilty = max(held, key=held.get)
        self._stop_session(guilty, "its folder took %s, and space is short" % text.size(
            held[guilty]))
        return True
