"""The accounts of a campaign: its rows in the history, each written so that a kill costs nothing.

A session's row is there before its process is; its numbers are what it came to so far, replaced and
never added to. Whoever finds a row that still says `running` when nothing runs can therefore finish
it (recovery.py), and no sum counts anything twice.
"""
import contextlib
import datetime
import json
import os
import platform
import resource
import shutil
import time
import uuid

from ci import process
from reports import rebuild, record

# In a session's folder: the job's key.
IDENTITY = "session.json"

# Seconds between records of the campaign; rarer where writing them takes long.
_RECORD = 300.0

# What a session's row, and each of its samples, says of its progress.
NUMBERS = ("cpu_seconds", "executions", "operations", "coverage", "features")


def now():
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def machine():
    """Processor and system, in words."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as f:
            model = next((line.partition(":")[2].strip() for line in f
                          if line.startswith("model name")), "")
    except OSError:
        model = ""
    return ", ".join(filter(None, (model or platform.machine(), platform.system() + " " +
                                   platform.release())))


class Campaign:
    """One campaign's rows, and this process's run of it."""

    def __init__(self, history, folder, row):
        """`folder` is a RunFolder. Of begin() and resume()."""
        self.history = history
        self.folder = folder
        self.id = row["id"]
        self.uuid = row["uuid"]
        self._jobs = {}
        self._started = time.monotonic()
        self._cpu = _own_cpu()
        self._judge = process.run.cpu_seconds
        self.before = history.one(
            "SELECT coalesce(sum(seconds), 0) AS s FROM runs WHERE campaign = ?", self.id)["s"]
        with self.writing():
            # A run that is still open in here was killed: this process holds the folder's lock.
            history.write("UPDATE runs SET ended = ?, how = 'killed' WHERE campaign = ? AND "
                          "ended IS NULL", now(), self.id)
            self.run = history.insert("runs", campaign=self.id, started=now())
        os.makedirs(self.path, exist_ok=True)
        self._next_record = 0.0
        self.record()

    def record(self):
        """Writes what a damaged history is rebuilt from."""
        start = time.monotonic()
        record.checkpoint(self.history, self.id, self.folder.path)
        now = time.monotonic()
        self._next_record = now + max(_RECORD, 500 * (now - start))

    @classmethod
    def begin(cls, history, folder, command, **columns):
        """A new campaign. `options`, a dictionary, is what resuming it takes."""
        columns["options"] = json.dumps(columns.get("options", {}))
        with history.transaction():
            identity = history.insert("campaigns", uuid=str(uuid.uuid4()), command=command,
                                      started=now(), machine=machine(), **columns)
        return cls(history, folder, history.one("SELECT * FROM campaigns WHERE id = ?", identity))

    @classmethod
    def resume(cls, history, folder, row):
        """Goes on with a campaign that was cut off or stopped."""
        with history.transaction():
            history.write("UPDATE campaigns SET ended = NULL, state = 'running', stopped = '', "
                          "error = '' WHERE id = ?", row["id"])
        return cls(history, folder, row)

    @property
    def path(self):
        """The folder of its reports."""
        return self.folder.join("campaigns", self.uuid)

    @contextlib.contextmanager
    def writing(self):
        """A transaction."""
        with self.history.transaction():
            yield self.history

    def clock(self):
        """Campaign seconds: wall time of all its runs."""
        return self.before + time.monotonic() - self._started

    @property
    def run_seconds(self):
        return time.monotonic() - self._started

    # Jobs and versions.

    def job(self, key, **columns):
        """The row of a job, (strategy, engine, sanitizer), made if it is not there."""
        if key not in self._jobs:
            names = dict(zip(("strategy", "engine", "sanitizer"), key), campaign=self.id)
            with self.writing() as history:
                history.upsert("jobs", ("campaign", "strategy", "engine", "sanitizer"),
                               **names, **(columns or {"problem": ""}))
                self._jobs[key] = history.one(
                    "SELECT id FROM jobs WHERE campaign = ? AND strategy = ? AND engine = ? AND "
                    "sanitizer = ?", self.id, *key)["id"]
        elif columns:
            self.say_of(self._jobs[key], **columns)
        return self._jobs[key]

    def say_of(self, job, **columns):
        """Replaces columns of a job's row."""
        with self.writing() as history:
            history.write("UPDATE jobs SET %s WHERE id = ?" % ", ".join(
                "%s = ?" % name for name in columns), *columns.values(), job)

    def deaths(self, job):
        """(sessions of a job that have ended, how many of them because the engine died)."""
        return tuple(self.history.one(
            "SELECT count(*), coalesce(sum(how = 'died'), 0) FROM sessions WHERE job = ? AND "
            "state != 'running'", job))

    def versions(self, assay, sources):
        """What is tested: {strategy: hash of its sources}."""
        with self.writing() as history:
            for strategy, source in sources.items():
                history.write("INSERT OR IGNORE INTO versions (assay, strategy, source) "
                              "VALUES (?, ?, ?)", assay, strategy, source)
                history.write(
                    "INSERT OR IGNORE INTO campaign_versions (campaign, version) SELECT ?, id FROM "
                    "versions WHERE assay = ? AND strategy = ? AND source = ?",
                    self.id, assay, strategy, source)

    def totals(self):
        """{key: what the job came to so far, by its sessions}."""
        return {(row["strategy"], row["engine"], row["sanitizer"]): row for row in
                self.history.query(
                    "SELECT j.*, count(s.id) AS sessions, coalesce(sum(s.executions), 0) AS "
                    "executions, coalesce(sum(s.seconds), 0) AS seconds, max(s.coverage) AS "
                    "coverage, max(s.features) AS features, coalesce(sum(s.crashes), 0) AS "
                    "crashes, coalesce(sum(s.cpu_seconds), 0) AS cpu_seconds FROM jobs j "
                    "LEFT JOIN sessions s ON s.job = j.id WHERE j.campaign = ? GROUP BY j.id "
                    "ORDER BY j.id", self.id)}

    # Sessions.

    def open_session(self, job, role="", seed=0):
        """Adds a session before its process starts; returns its id, and its folder."""
        with self.writing() as history:
            session = history.insert("sessions", job=job, run=self.run, role=role, seed=seed,
                                     began=self.clock())
        work = session_folder(self.folder, session)
        os.makedirs(work)
        # Of use if the history is lost, and this with it.
        key = next((key for key, row in self._jobs.items() if row == job), ("", "", ""))
        with open(os.path.join(work, IDENTITY), "w", encoding="utf-8") as f:
            json.dump(dict(zip(("strategy", "engine", "sanitizer"), key)), f)
        return session, work

    def sample(self, sessions):
        """Writes what running sessions came to so far: {id: columns of sessions and samples}."""
        at = self.clock()
        with self.writing() as history:
            for session, numbers in sessions.items():
                _update(history, session, numbers)
                history.write(
                    "INSERT OR REPLACE INTO samples (session, at, cpu_seconds, executions, "
                    "operations, coverage, features, corpus, states, memory) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", session, at,
                    *(numbers.get(name) or 0 for name in NUMBERS[:3]),
                    *(numbers.get(name) for name in (
                        "coverage", "features", "corpus", "states", "memory")))
            self._touch(history)
        if time.monotonic() >= self._next_record:
            self.record()

    def close_session(self, session, numbers, how, exit_code=None, exercised=None, states=None,
                      corpus=None):
        """Makes a session's row final. Its suspects and inputs must be safe before."""
        close_session(self.history, session, dict(numbers, exit_code=exit_code), how, "ended",
                      exercised, states, at=self.clock(), corpus=corpus)
        remove_session_folder(self.folder, session)

    # Phases.

    def phase(self, name):
        """The state of a phase, or ''."""
        row = self.history.one("SELECT state FROM phases WHERE campaign = ? AND name = ?",
                               self.id, name)
        return row["state"] if row else ""

    def reopen_phases(self, names):
        """When a campaign goes on, so do all phases from the first that is not done."""
        names = list(names)
        while names and self.phase(names[0]) == "done":
            names.pop(0)
        with self.writing() as history:
            for name in names:
                history.write("UPDATE phases SET state = 'begun', note = '' WHERE campaign = ? AND "
                              "name = ?", self.id, name)

    def set_phase(self, name, state, seconds=None, note=""):
        """`seconds`: what this run spent on it, on top of what earlier runs did."""
        with self.writing() as history:
            history.write(
                "INSERT INTO phases (campaign, name, state, seconds, note) VALUES (?, ?, ?, ?, ?) "
                "ON CONFLICT (campaign, name) DO UPDATE SET state = excluded.state, "
                "seconds = seconds + excluded.seconds, note = excluded.note",
                self.id, name, state, seconds or 0, note)
            self._touch(history)

    # The run.

    def touch(self):
        """Writes down the time that has passed."""
        with self.writing() as history:
            self._touch(history)

    def _touch(self, history):
        history.write("UPDATE runs SET seconds = ?, cpu_seconds = ?, judge_cpu_seconds = ? "
                      "WHERE id = ?", self.run_seconds, _own_cpu() - self._cpu,
                      process.run.cpu_seconds - self._judge, self.run)

    def end(self, stopped="", error="", unfinished=False):
        """The campaign is over; or stopped by `stopped`, or for another reason `unfinished`: then it
        can be resumed. `error`: what went wrong."""
        state = "stopped" if stopped or unfinished else "ended"
        with self.writing() as history:
            self._touch(history)
            history.write("UPDATE runs SET ended = ?, how = ? WHERE id = ?", now(), state, self.run)
            history.write("UPDATE campaigns SET ended = ?, state = ?, stopped = ?, error = ? "
                          "WHERE id = ?", now(), state, stopped, error, self.id)
        self.record()


def last(history, command=None):
    """The row of the last campaign, or of that of a command; None if there is none."""
    if command:
        return history.one("SELECT * FROM campaigns WHERE command = ? ORDER BY id DESC LIMIT 1",
                           command)
    return history.one("SELECT * FROM campaigns ORDER BY id DESC LIMIT 1")


def close_killed(history):
    """Closes campaigns that were cut off: nobody goes on with them. Returns how many."""
    with history.transaction():
        history.write("UPDATE runs SET ended = ?, how = 'killed' WHERE ended IS NULL", now())
        return history.write("UPDATE campaigns SET ended = ?, state = 'stopped', "
                             "stopped = 'killed' WHERE ended IS NULL", now()).rowcount


def options_of(row):
    """What it takes to resume the campaign of a row."""
    return json.loads(row["options"])


def session_folder(folder, session):
    return folder.join("sessions", str(session))


def remove_session_folder(folder, session):
    shutil.rmtree(session_folder(folder, session), ignore_errors=True)


def _update(history, session, numbers):
    columns = {name: numbers[name] for name in (
        *NUMBERS, "seconds", "crashes", "peak_memory", "exit_code") if numbers.get(name) is not None}
    if columns:
        history.write("UPDATE sessions SET %s WHERE id = ?" % ", ".join(
            "%s = ?" % name for name in columns), *columns.values(), session)


def close_session(history, session, numbers, how, state, exercised=None, states=None, at=None,
                  corpus=None):
    """One transaction: the row that says `running` becomes final, with what belongs to it. Does
    nothing if it is final already; returns whether it did something."""
    with history.transaction():
        if not history.write("UPDATE sessions SET state = ?, how = ? WHERE id = ? AND "
                             "state = 'running'", state, how, session).rowcount:
            return False
        _update(history, session, numbers)
        for name, times in (exercised or {}).items():
            history.upsert("exercised", ("session", "property"), session=session, property=name,
                           times=times)
        _merge_states(history, session, states or {})
        if at is not None:
            history.write(
                "INSERT OR REPLACE INTO samples (session, at, cpu_seconds, executions, operations, "
                "coverage, features, corpus, states, memory) SELECT id, ?, cpu_seconds, executions, "
                "operations, coverage, features, ?, ?, NULL FROM sessions WHERE id = ?",
                at, corpus, len(states) if states is not None else None, session)
    return True


def _merge_states(history, session, states):
    if not states:
        return
    row = history.one("SELECT campaign, strategy FROM jobs WHERE id = (SELECT job FROM sessions "
                      "WHERE id = ?)", session)
    # SQLite's integers are signed.
    history.write_many(
        "INSERT INTO state_hits (campaign, strategy, state, hits) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (campaign, strategy, state) DO UPDATE SET hits = hits + excluded.hits",
        [(row["campaign"], row["strategy"], state - (state >> 63 << 64), hits)
         for state, hits in states.items()])


def open_history(folder, say=print):
    """The history of a claimed campaign folder; repaired, if need be, and `say` is told of it."""
    return rebuild.open_folder(folder.path, say)


def _own_cpu():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
