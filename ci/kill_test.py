#!/usr/bin/env python3
"""A campaign is killed again and again, at moments chosen at random, and resumed: the supervisor, one of
the processes that it started, or all of them. In the end nothing that the engines did may be
missing, and nothing may be there twice. The engines are fakes that write down, somewhere else, what
they did (truthful_engine.py).

KILLS in the environment says how often (100), SEED which moments.
"""
import collections
import json
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)
from ci import corpus_folder, fakes, process, truthful_engine  # noqa: E402

KILLS = int(os.environ.get("KILLS", "100"))
SEED = int(os.environ.get("SEED", "1"))

# Of each campaign: so short that a hundred kills see the beginnings and the ends of several.
SECONDS = 14


class Campaigns:
    """The campaigns of one folder, one after the other."""

    def __init__(self, base):
        self.folder = os.path.join(base, "campaign")
        self._truth = os.path.join(base, "truth")
        open(self._truth, "w", encoding="utf-8").close()
        self._log = open(os.path.join(base, "log"), "w+b")
        tree = fakes.build_tree(os.path.join(base, "tree"))
        for program in ("fuzz/alpha_libfuzzer.elf", "fuzz/beta_libfuzzer.elf", "bin/afl-fuzz"):
            fakes.script(os.path.join(tree, program), truthful_engine.ENGINE)
        self._tree = tree
        self._environment = dict(
            os.environ, TRUTH=self._truth,
            PATH=os.path.join(tree, "bin") + os.pathsep + os.environ["PATH"])

    def start(self):
        """Goes on with the last campaign, or begins another."""
        command = [sys.executable, os.path.join(ROOT, "ci", "overnight_command.py"), "--prebuilt",
                   self._tree, "--out", self.folder]
        command += ["--resume"] if self._unfinished() else [
            "--hours", "%.6f" % (SECONDS / 3600), "--jobs", "2", "--seed", "7",
            "--without", "minimise,coverage,power,benchmarks"]
        return subprocess.Popen(command, env=self._environment, stdin=subprocess.DEVNULL,
                                stdout=self._log, stderr=subprocess.STDOUT)

    def _unfinished(self):
        path = os.path.join(self.folder, "history.db")
        if not os.path.exists(path):
            return False
        try:
            with self.database() as database:
                row = database.execute(
                    "SELECT state FROM campaigns ORDER BY id DESC LIMIT 1").fetchone()
        except sqlite3.OperationalError:
            return False
        return row is not None and row[0] != "ended"

    def database(self):
        return sqlite3.connect(os.path.join(self.folder, "history.db"), timeout=30)

    def query(self, sql):
        with self.database() as database:
            return database.execute(sql).fetchall()

    def said(self):
        self._log.seek(0)
        return self._log.read().decode(errors="replace")

    def truth(self):
        """What the engines did: kept {(strategy, SHA-1)}, bugs {(strategy, signature, SHA-1)},
        executions {session: number}."""
        kept, bugs, executions = set(), set(), {}
        with open(self._truth, encoding="utf-8") as f:
            for what, *words in map(str.split, f):
                if what == "kept":
                    kept.add(tuple(words))
                elif what == "bug":
                    bugs.add(tuple(words))
                else:
                    executions[int(words[0])] = int(words[1])
        return kept, bugs, executions


def kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def strike(chance, supervisor):
    """Kills the supervisor, a process below it, or all of them at once."""
    children = process.children_of(supervisor.pid)
    if children and chance.random() < 0.2:
        kill(chance.choice(children))
        return
    kill(supervisor.pid)
    if chance.random() < 0.5:
        for child in children:
            kill(child)
    supervisor.wait()


def files_below(folder):
    return [os.path.join(parent, name) for parent, _, names in os.walk(folder) for name in names]


class Kill(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        base = tempfile.TemporaryDirectory(dir=os.environ.get("TEST_TMPDIR"))
        cls.addClassCleanup(base.cleanup)
        cls.campaigns = Campaigns(base.name)
        chance = random.Random(SEED)
        supervisor, kills = None, 0
        while kills < KILLS:
            if supervisor is None or supervisor.poll() is not None:
                supervisor = cls.campaigns.start()
            try:
                supervisor.wait(timeout=chance.uniform(0.05, 2.5))
            except subprocess.TimeoutExpired:
                strike(chance, supervisor)
                kills += 1
        if supervisor.poll() is None:
            supervisor.wait()
        # And to its end, undisturbed.
        while cls.campaigns._unfinished():
            cls.last = cls.campaigns.start()
            cls.last.wait(timeout=120)
        cls.kept, cls.bugs, cls.executions = cls.campaigns.truth()

    def test_there_was_something_to_lose(self):
        self.assertGreater(len(self.kept), KILLS)
        self.assertGreater(len(self.bugs), KILLS // 4)
        self.assertGreater(len(self.executions), KILLS // 4)
        campaigns = self.campaigns.query("SELECT count(*) FROM campaigns")[0][0]
        killed = self.campaigns.query("SELECT count(*) FROM runs WHERE how = 'killed'")[0][0]
        self.assertGreater(campaigns, 1)
        self.assertGreater(killed, KILLS // 3)

    def test_the_last_run_says_what_was_found(self):
        self.assertEqual(self.last.returncode, 1, self.campaigns.said()[-4000:])
        self.assertNotIn("Traceback", self.campaigns.said())

    def test_no_corpus_entry_is_lost_or_torn(self):
        folder = os.path.join(self.campaigns.folder, "corpus")
        entries = {(strategy, name) for strategy in os.listdir(folder)
                   for name in os.listdir(os.path.join(folder, strategy))}
        self.assertEqual(self.kept - entries, set())
        for strategy, name in entries:
            with open(os.path.join(folder, strategy, name), "rb") as f:
                self.assertEqual(corpus_folder.sha1(f.read()), name)

    def test_no_finding_is_lost(self):
        sightings = set(self.campaigns.query(
            "SELECT strategy, signature, input FROM sightings JOIN findings ON id = finding"))
        self.assertEqual(self.bugs - sightings, set())
        # A process may be killed between doing something and writing it down.
        self.assertLessEqual(len(sightings - self.bugs), KILLS)

    def test_no_finding_is_there_twice(self):
        identities = self.campaigns.query("SELECT strategy, property, signature FROM findings")
        self.assertEqual(sorted(identities), sorted(
            {(strategy, "overlap", signature) for strategy, signature, _ in self.bugs}))
        self.assertEqual(self.campaigns.query(
            "SELECT input, count(*) FROM sightings GROUP BY input HAVING count(*) > 1"), [])
        stored = collections.Counter(
            (os.path.basename(os.path.dirname(path)), os.path.basename(path)[:-41])
            for path in files_below(os.path.join(self.campaigns.folder, "findings"))
            if re.search(r"-[0-9a-f]{40}$", path))
        self.assertEqual(stored, {(strategy, "overlap-" + signature): 1
                                  for strategy, _, signature in identities})

    def test_every_finding_is_whole(self):
        for (path,) in self.campaigns.query("SELECT path FROM findings"):
            path = os.path.join(self.campaigns.folder, path)
            with open(path + ".json", encoding="utf-8") as f:
                self.assertEqual(json.load(f)["property"], "overlap")
            for kind in (".txt", ".c", ".md"):
                self.assertGreater(os.path.getsize(path + kind), 0, path + kind)

    def test_executions_are_counted_once(self):
        rows = dict(self.campaigns.query("SELECT id, executions FROM sessions"))
        for session, executions in self.executions.items():
            self.assertGreaterEqual(rows[session], executions, "session %d" % session)
            self.assertLessEqual(rows[session], executions + 5, "session %d" % session)
        for strategy in ("alpha", "beta"):
            told = [self.campaigns.query(sql % strategy)[0][0] for sql in (
                "SELECT sum(executions) FROM sessions JOIN jobs ON jobs.id = job "
                "WHERE engine != 'corpus' AND strategy = '%s'",
                "SELECT sum(times) FROM exercised JOIN sessions ON sessions.id = session "
                "JOIN jobs ON jobs.id = job WHERE strategy = '%s'",
                "SELECT sum(hits) FROM state_hits WHERE strategy = '%s'")]
            self.assertEqual(told, [told[0]] * 3)

    def test_nothing_is_left_open(self):
        self.assertEqual(self.campaigns.query("PRAGMA integrity_check"), [("ok",)])
        self.assertEqual(self.campaigns.query("PRAGMA foreign_key_check"), [])
        for table, column in (("sessions", "state"), ("campaigns", "state")):
            self.assertEqual(self.campaigns.query(
                "SELECT id FROM %s WHERE %s = 'running'" % (table, column)), [])
        self.assertEqual(self.campaigns.query("SELECT id FROM runs WHERE ended IS NULL"), [])
        for name in ("sessions", "suspects", "tmp"):
            self.assertEqual(files_below(os.path.join(self.campaigns.folder, name)), [])
        self.assertEqual([path for path in files_below(self.campaigns.folder)
                          if path.endswith(".tmp")], [])

    def test_no_process_is_left(self):
        time.sleep(0.5)
        left = []
        for name in os.listdir("/proc"):
            try:
                with open("/proc/%s/environ" % name, "rb") as f:
                    if ("=" + self.campaigns.folder).encode() in f.read():
                        left.append(name)
            except OSError:
                continue
        self.assertEqual(left, [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
