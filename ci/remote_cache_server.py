"""One nginx as Bazel's remote cache, in a folder of its own, and a keeper that holds it to its size.

  FOLDER/entries/{ac,cas}/<hash>   what is cached; may be deleted at any time: Bazel then builds again
  FOLDER/access.log                one line for each request: what hit rates are counted from
  FOLDER/state.json                keeper's process and address; locked as long as the keeper lives
"""
import fcntl
import json
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import time

from ci.workbench import ROOT, CannotRun

_TEMPLATE = os.path.join(ROOT, "ci", "remote_cache.conf")

# Cleaning goes below the limit, so that it is not due again at once.
_CLEAN_TO = 0.8

# The log is for counting; the last part of it will do.
_MOST_LOG = 64 << 20

_LINE = re.compile(r"([A-Z]+) ([0-9]{3}) [0-9.]+ /(ac|cas)/")


def nginx():
    """The program. Its folder is not in everybody's PATH."""
    found = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if not found:
        raise CannotRun("nginx is not installed: run ci/setup --cache")
    return found


def configuration(folder, address, writers):
    """The text for nginx."""
    if re.search(r"[\s;{}\"'\\$]", folder):
        raise CannotRun("%s: nginx cannot have such a name in its configuration; choose another folder "
                        "with --folder" % folder)
    with open(_TEMPLATE, encoding="utf-8") as file:
        text = file.read()
    owner = pwd.getpwuid(os.getuid()).pw_name
    values = {
        "FOLDER": folder, "LISTEN": address,
        # Else nginx would make itself another user, who cannot write here.
        "USER": "user %s;" % owner if os.getuid() == 0 else "",
        "WRITERS": "\n        ".join("allow %s;" % writer for writer in writers),
    }
    return re.sub(r"@([A-Z]+)@", lambda match: values.get(match.group(1), match.group()), text)


def split(address):
    """('host', port) of host:port or [host]:port."""
    match = re.fullmatch(r"(?:\[([0-9a-fA-F:]+)\]|([^:\[\]\s;]+)):([0-9]{1,5})", address)
    if not match or not 0 < int(match.group(3)) < 65536:
        raise CannotRun("'%s' is no address; give one such as 127.0.0.1:8085" % address)
    return match.group(1) or match.group(2), int(match.group(3))


def answers(address):
    """Whether somebody listens there."""
    host, port = split(address)
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    try:
        with socket.create_connection((host, port), timeout=2):
            return True
    except OSError:
        return False


class Folder:
    """The folder of one cache."""

    def __init__(self, path):
        self.path = os.path.abspath(path)
        self._lock = None

    def join(self, *names):
        return os.path.join(self.path, *names)

    def claim(self):
        """For the keeper: False if another one has it."""
        os.makedirs(self.join("entries"), exist_ok=True)
        self._lock = open(self.join("state.json"), "a+", encoding="utf-8")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            return False
        return True

    def note(self, state):
        self._lock.seek(0)
        self._lock.truncate()
        json.dump(state, self._lock)
        self._lock.flush()

    def keeper(self):
        """The state of the keeper that lives, or None."""
        try:
            with open(self.join("state.json"), encoding="utf-8") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                    return None
                except OSError:
                    return json.load(file)
        except (OSError, ValueError):
            return None

    def entries(self):
        """[(time of last use, bytes, path)]."""
        found = []
        for folder, _, names in os.walk(self.join("entries")):
            for name in names:
                path = os.path.join(folder, name)
                try:
                    status = os.stat(path)
                except OSError:
                    continue    # gone meanwhile
                # Most file systems note a reading once a day: enough to tell what is no longer used.
                found.append((max(status.st_atime, status.st_mtime), status.st_blocks * 512, path))
        return found

    def clean(self, limit):
        """Deletes what was not used for longest if there is more than `limit` bytes; returns how many
        entries went."""
        entries = sorted(self.entries())
        total = sum(size for _, size, _ in entries)
        deleted = 0
        if total > limit:
            for _, size, path in entries:
                if total <= limit * _CLEAN_TO:
                    break
                try:
                    os.unlink(path)
                except OSError:
                    continue
                total -= size
                deleted += 1
        return deleted

    def counts(self):
        """{("GET" or "PUT", "ac" or "cas"): [succeeded, not]} of the log."""
        counts = {}
        for name in ("access.log.1", "access.log"):
            try:
                with open(self.join(name), encoding="utf-8", errors="replace") as file:
                    for line in file:
                        match = _LINE.match(line)
                        if match:
                            both = counts.setdefault((match.group(1), match.group(3)), [0, 0])
                            both[match.group(2)[0] != "2"] += 1
            except OSError:
                pass
        return counts


class Keeper:
    """Runs nginx until it is told to end, and cleans meanwhile."""

    def __init__(self, folder, address, writers, limit, every):
        self._folder, self._address, self._writers = folder, address, writers
        self._limit, self._every = limit, every
        self._ended = False

    def run(self):
        program, folder = nginx(), self._folder
        text = configuration(folder.path, self._address, self._writers)
        if not folder.claim():
            raise CannotRun("%s is in use by another cache: ci/remote_cache status" % folder.path)
        if answers(self._address):
            raise CannotRun("somebody else listens at %s: choose another --address" % self._address)
        with open(folder.join("nginx.conf"), "w", encoding="utf-8") as file:
            file.write(text)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)
        # Files that a killed nginx did not get whole.
        shutil.rmtree(folder.join("arriving"), ignore_errors=True)
        # Whatever ends the keeper ends nginx: nobody else would, and it would keep the address.
        bound = ["setpriv", "--pdeathsig", "TERM", "--"] if shutil.which("setpriv") else []
        server = subprocess.Popen([*bound, program, "-p", folder.path, "-e", folder.join("error.log"),
                                   "-c", folder.join("nginx.conf")], stdin=subprocess.DEVNULL)
        folder.note({"pid": os.getpid(), "address": self._address, "limit": self._limit})
        due = time.monotonic()
        try:
            while not self._ended and server.poll() is None:
                if time.monotonic() >= due:
                    folder.clean(self._limit)
                    self._turn_log(server)
                    due = time.monotonic() + self._every
                time.sleep(0.1)
        finally:
            if server.poll() is None:
                server.terminate()
                server.wait()
        if not self._ended:
            raise CannotRun("nginx ended with exit code %d; %s says why" % (
                server.returncode, folder.join("error.log")))

    def _end(self, *_):
        self._ended = True

    def _turn_log(self, server):
        log = self._folder.join("access.log")
        if os.path.exists(log) and os.path.getsize(log) > _MOST_LOG:
            os.replace(log, log + ".1")
            server.send_signal(signal.SIGUSR1)
