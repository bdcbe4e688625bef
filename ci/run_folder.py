"""The folder of a campaign: made, claimed for one process, and checked before anything is started.

  DIR/report.{md,json,xml,...}    the report of the last campaign
  DIR/campaigns/<uuid>/           each campaign's own
  DIR/history.db                  what all of them did (reports/history.sql)
  DIR/findings/                   finding_store.py
  DIR/suspects/                   inputs that wait for a verdict
  DIR/corpus/<strategy>/          inputs worth keeping; the next campaign goes on from there
  DIR/sessions/<id>/              an engine's own files, while its session runs
  DIR/logs/                       ends of the engines' logs
  DIR/ballast                     given up when the disk is full, so that there is room to say so
  DIR/tmp/                        deleted at the start and at the end
"""
import errno
import fcntl
import os
import shutil
import time

from ci.workbench import CannotRun, shown
from reports import files
from reports.history import HistoryError

# Bytes that must be free: a corpus and the engines' own files easily take that.
_SPACE = 256 << 20

# Bytes of the ballast: a report, a log, and what the history has yet to take.
_BALLAST = 16 << 20

# Of a campaign, beside tmp/.
FOLDERS = ("logs", "findings", "suspects", "corpus", "sessions", "campaigns")


def explain(error, folder):
    """What ended a campaign, mostly an OSError, as one line with its cure."""
    if isinstance(error, (CannotRun, HistoryError)):
        return str(error)
    if not isinstance(error, OSError):
        return "a mistake in Assay: %s: %s: what was found is kept" % (type(error).__name__, error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "no space left in %s: free some, or choose another folder with --out" % shown(folder)
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "%s: %s: choose a folder that you may write to with --out" % (
            shown(error.filename or folder), error.strerror)
    if error.errno in (errno.EEXIST, errno.ENOTDIR):
        return "%s is no folder: choose one with --out" % shown(error.filename or folder)
    return "%s: %s: choose another folder with --out" % (
        shown(str(error.filename or folder)), error.strerror or error)


class RunFolder:
    """DIR, claimed until release() or the process's end."""

    def __init__(self, path, space=_SPACE, folders=FOLDERS):
        self.path = os.path.abspath(path)
        try:
            os.makedirs(self.path, exist_ok=True)
            self._lock = os.open(os.path.join(self.path, "lock"), os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise CannotRun(explain(error, self.path)) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(self._lock, 200).decode(errors="replace").strip()
            os.close(self._lock)
            raise CannotRun("%s is in use by %s: wait for it, or choose another folder with --out"
                            % (shown(self.path), holder or "another process")) from error
        try:
            free = shutil.disk_usage(self.path).free
            if free < space:
                raise CannotRun("no space left in %s: %d MB are free, %d are needed: free some, or "
                                "choose another folder with --out" % (
                                    shown(self.path), free >> 20, space >> 20))
            # The kernel gives the lock up with the process: nothing stale is ever in the way.
            os.truncate(self._lock, 0)
            os.write(self._lock, ("process %d, since %s\n" % (
                os.getpid(), time.strftime("%Y-%m-%d %H:%M:%S"))).encode())
            shutil.rmtree(self.join("tmp"), ignore_errors=True)
            self._sweep()
            for name in ("tmp", *folders):
                os.makedirs(self.join(name), exist_ok=True)
            if "sessions" in folders:
                self._take_ballast()
        except (OSError, CannotRun) as error:
            os.close(self._lock)
            if isinstance(error, CannotRun):
                raise
            raise CannotRun(explain(error, self.path)) from error

    def _take_ballast(self):
        path = self.join("ballast")
        with open(path, "ab") as f:
            os.posix_fallocate(f.fileno(), 0, _BALLAST)

    def _sweep(self):
        """Deletes what a killed process had not yet given its name (files.write_whole)."""
        for parent, folders, names in os.walk(self.path):
            if parent == self.path:
                # These have many files, and their own ways.
                folders[:] = [name for name in folders if name not in ("corpus", "sessions")]
            for name in names:
                if files.is_unfinished(name):
                    os.unlink(os.path.join(parent, name))

    def drop_ballast(self):
        """Makes room."""
        try:
            os.unlink(self.join("ballast"))
        except FileNotFoundError:
            pass

    def join(self, *names):
        return os.path.join(self.path, *names)

    def release(self):
        shutil.rmtree(self.join("tmp"), ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
