"""For tests: campaigns whose engines write down, somewhere else, what they have done, and what must
be true of the accounts afterwards, whatever happened meanwhile.

A fake libFuzzer or afl-fuzz keeps inputs, finds bugs and counts executions as the real ones do with a
target of ours, and only then adds a line to the file TRUTH: what stands there has happened. The
lines: `kept STRATEGY SHA1`, `bug STRATEGY SIGNATURE SHA1`, `executions SESSION NUMBER`.
"""
import collections
import contextlib
import json
import os
import re
import sqlite3
import subprocess
import sys
import time

from ci import corpus_folder, fakes
from ci.workbench import ROOT

# Signatures of the bugs that each strategy has.
SIGNATURES = ["%08x" % (0x11111111 * i) for i in range(1, 6)]

ENGINE = r'''
import hashlib, mmap, os, random, signal, struct, sys, time
SIGNATURES = %r
name = os.path.basename(sys.argv[0])
afl = name == "afl-fuzz"
def value(key, default=""):
    return next((a[len(key):] for a in sys.argv if a.startswith(key)), default)
counters = os.environ["ASSAY_COUNTERS"]
session = os.path.basename(os.path.dirname(counters))
strategy = os.environ["ASSAY_STRATEGY"]
if afl:
    out = sys.argv[sys.argv.index("-o") + 1]
    role = next((sys.argv[sys.argv.index(o) + 1] for o in ("-M", "-S") if o in sys.argv), "default")
    work = os.path.join(out, role)
    seconds = int(sys.argv[sys.argv.index("-V") + 1])
    for folder in ("queue", "crashes", "hangs"):
        os.makedirs(os.path.join(work, folder))
else:
    work, corpus = value("-artifact_prefix="), sys.argv[-1]
    seconds = int(value("-max_total_time=", "1"))

# A counters file as fuzz/counters.h has it, of three numbers and one state.
NAMES = [n.encode().ljust(40, b"\0") for n in ("executions", "operations", "exercised:overlap")]
def check():
    v = 14695981039346656037
    for b in struct.pack("=IIII", 1, 3, 1, 40) + b"".join(NAMES):
        v = (v ^ b) * 1099511628211 %% 2**64
    return v
whole = struct.pack("=QIIIIQ", 0x315443594153531A, 1, 3, 1, 40, check()) + b"".join(
    n + struct.pack("=Q", 0) for n in NAMES) + struct.pack("=QQ", 7, 0)
with open(counters + ".part", "wb") as f:
    f.write(whole)
os.rename(counters + ".part", counters)
with open(counters, "r+b") as f:
    memory = mmap.mmap(f.fileno(), 0)
PLACES = [32 + 48 * i + 40 for i in range(3)] + [32 + 48 * 3 + 8]

truth_file = os.open(os.environ["TRUTH"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
def truth(*words):
    os.write(truth_file, (" ".join(map(str, words)) + "\n").encode())
chance = random.Random()
count = 0
def store(data, folder, kind):
    global count
    count += 1
    sha1 = hashlib.sha1(data).hexdigest()
    if afl:
        path = os.path.join(work, folder, "id:%%06d,src:0" %% count)
    else:
        path = os.path.join(corpus, sha1) if kind == "kept" else work + kind + "-" + sha1
    with open(path, "wb", buffering=0) as f:
        # A real engine's files are not whole at once either.
        f.write(data[:5]); time.sleep(0.002); f.write(data[5:])
    return sha1
executions = 0
def finish(code=0):
    # It may be stopped between two lines: what was counted is what has happened.
    truth("executions", session, struct.unpack("=Q", memory[PLACES[0]:PLACES[0] + 8])[0])
    if afl:
        with open(os.path.join(work, "fuzzer_stats"), "w") as f:
            f.write("execs_done : %%d\nedges_found : 12\n" %% executions)
    else:
        print("stat::number_of_executed_units: %%d" %% executions, flush=True)
    sys.exit(code)
signal.signal(signal.SIGTERM, lambda *_: finish())
end = time.monotonic() + seconds
while time.monotonic() < end:
    executions += 1
    for place in PLACES:
        memory[place:place + 8] = struct.pack("=Q", executions)
    if executions %% 5 == 0:
        truth("executions", session, executions)
    if chance.random() < 0.2:
        data = b"input %%d" %% chance.getrandbits(64)
        truth("kept", strategy, store(data, "queue", "kept"))
    if chance.random() < (0.02 if afl else 0.02):
        signature = chance.choice(SIGNATURES)
        data = ("bug overlap %%s %%d" %% (signature, chance.getrandbits(64))).encode()
        truth("bug", strategy, signature, store(data, "crashes", "crash"))
        if not afl:
            print("ERROR: assay: x\nASSERTION FAILED: overlap", flush=True)
            finish(77)
    if executions %% 20 == 0 and not afl:
        print("#%%d\tNEW    cov: 7 ft: 9 corp: 2/9b exec/s: 500 rss: 9Mb" %% executions, flush=True)
    time.sleep(0.01)
finish()
''' % (SIGNATURES,)


class Truth:
    """What the engines did: kept {(strategy, SHA-1)}, bugs {(strategy, signature, SHA-1)}, executions
    {session: number}."""

    def __init__(self, path):
        self.kept, self.bugs, self.executions = set(), set(), {}
        with open(path, encoding="utf-8") as f:
            for what, *words in map(str.split, f):
                if what == "kept":
                    self.kept.add(tuple(words))
                elif what == "bug":
                    self.bugs.add(tuple(words))
                else:
                    # A history that was damaged may give a number again.
                    session, number = map(int, words)
                    self.executions[session] = max(number, self.executions.get(session, 0))


class Campaigns:
    """The campaigns of one folder, one after the other."""

    def __init__(self, base, folder, seconds):
        """`base` for the engines, their truth and the log; `folder` is the campaigns'; `seconds`
        each."""
        self.folder = folder
        self._history = os.path.join(folder, "history.db")
        self._seconds = seconds
        self._truth = os.path.join(base, "truth")
        open(self._truth, "w", encoding="utf-8").close()
        self._log = open(os.path.join(base, "log"), "w+b")
        tree = fakes.build_tree(os.path.join(base, "tree"))
        for program in ("fuzz/alpha_libfuzzer.elf", "fuzz/beta_libfuzzer.elf", "bin/afl-fuzz"):
            fakes.script(os.path.join(tree, program), ENGINE)
        self._tree = tree
        self._environment = dict(
            os.environ, TRUTH=self._truth,
            PATH=os.path.join(tree, "bin") + os.pathsep + os.environ["PATH"])

    def start(self):
        """Goes on with the last campaign, or begins another."""
        command = [sys.executable, os.path.join(ROOT, "ci", "overnight_command.py"), "--prebuilt",
                   self._tree, "--out", self.folder]
        command += ["--resume"] if self.unfinished() else [
            "--hours", "%.6f" % (self._seconds / 3600), "--jobs", "2", "--seed", "7", "--free", "1M",
            "--without", "minimise,coverage,power,benchmarks"]
        return subprocess.Popen(command, env=self._environment, stdin=subprocess.DEVNULL,
                                stdout=self._log, stderr=subprocess.STDOUT)

    def exists(self):
        """Whether there is a history that can be asked."""
        try:
            return os.path.exists(self._history) and bool(self.query("PRAGMA user_version")[0][0])
        except sqlite3.Error:
            return False

    def unfinished(self):
        rows = self.exists() and self.query("SELECT state FROM campaigns ORDER BY id DESC LIMIT 1")
        return bool(rows) and rows[0][0] != "ended"

    def wait_for_engines(self, supervisor):
        """Until one that it started says that it works, or the supervisor has ended: machines differ in
        speed."""
        size = os.path.getsize(self._truth)
        while supervisor.poll() is None and os.path.getsize(self._truth) == size:
            time.sleep(0.02)

    def finish(self):
        """Begins another campaign where none is unfinished, and brings it to its end. Returns its exit
        code."""
        while True:
            supervisor = self.start()
            supervisor.wait()
            if not self.unfinished():
                return supervisor.returncode

    def query(self, sql):
        with contextlib.closing(sqlite3.connect(self._history, timeout=30)) as database:
            return database.execute(sql).fetchall()

    def said(self):
        self._log.seek(0)
        return self._log.read().decode(errors="replace")

    def truth(self):
        return Truth(self._truth)


def files_below(folder):
    return [os.path.join(parent, name) for parent, _, names in os.walk(folder) for name in names]


class Accounts:
    """Test cases: nothing is lost, nothing is there twice. A class of tests sets `campaigns`, `truth`
    and `disturbed`, the number of times that something died."""

    def test_no_corpus_entry_is_lost_or_torn(self):
        folder = os.path.join(self.campaigns.folder, "corpus")
        entries = {(strategy, name) for strategy in os.listdir(folder)
                   for name in os.listdir(os.path.join(folder, strategy))}
        self.assertEqual(self.truth.kept - entries, set())
        for strategy, name in entries:
            with open(os.path.join(folder, strategy, name), "rb") as f:
                self.assertEqual(corpus_folder.sha1(f.read()), name)

    def test_no_finding_is_lost(self):
        sightings = set(self.campaigns.query(
            "SELECT strategy, signature, input FROM sightings JOIN findings ON id = finding"))
        self.assertEqual(self.truth.bugs - sightings, set())
        # A process may die between doing something and writing it down.
        self.assertLessEqual(len(sightings - self.truth.bugs), self.disturbed)

    # A program that its engine had not written to the end when it was killed shows nothing: what is
    # left is the engine's word, a finding without operations.
    def test_no_finding_is_there_twice(self):
        identities = self.campaigns.query("SELECT strategy, property, signature, operations IS NULL "
                                          "FROM findings ORDER BY strategy, signature")
        self.assertEqual([identity[:3] for identity in identities if not identity[3]], sorted(
            {(strategy, "overlap", signature) for strategy, signature, _ in self.truth.bugs}))
        self.assertLessEqual({identity[1] for identity in identities if identity[3]}, {"crash"})
        self.assertEqual(self.campaigns.query(
            "SELECT input, count(*) FROM sightings JOIN findings ON id = finding "
            "WHERE operations IS NOT NULL GROUP BY input HAVING count(*) > 1"), [])
        stored = collections.Counter(
            (os.path.basename(os.path.dirname(path)), os.path.basename(path)[:-41])
            for path in files_below(os.path.join(self.campaigns.folder, "findings"))
            if re.search(r"-[0-9a-f]{40}$", path))
        self.assertEqual(stored, {(strategy, "%s-%s" % (name, signature)): 1
                                  for strategy, name, signature, _ in identities})

    def test_every_finding_is_whole(self):
        for path, name, flaky in self.campaigns.query(
                "SELECT path, property, operations IS NULL FROM findings"):
            path = os.path.join(self.campaigns.folder, path)
            with open(path + ".json", encoding="utf-8") as f:
                self.assertEqual(json.load(f)["property"], name)
            for kind in (".log",) if flaky else (".txt", ".c", ".md"):
                self.assertGreater(os.path.getsize(path + kind), 0, path + kind)

    def test_executions_are_counted_once(self):
        rows = dict(self.campaigns.query("SELECT id, executions FROM sessions"))
        for session, executions in self.truth.executions.items():
            self.assertGreaterEqual(rows[session], executions, "session %d" % session)
            self.assertLessEqual(rows[session], executions + 5, "session %d" % session)
        # An engine counts an execution, then what it judged, then the heap's state: one that is killed
        # between two of them leaves the later one behind, by one, and never ahead.
        missing = 0
        for session, executions, times in self.campaigns.query(
                "SELECT sessions.id, executions, coalesce(times, 0) FROM sessions "
                "JOIN jobs ON jobs.id = job LEFT JOIN exercised ON session = sessions.id "
                "WHERE engine != 'corpus'"):
            self.assertIn(executions - times, (0, 1), "session %d" % session)
            missing += executions - times
        self.assertLessEqual(missing, self.disturbed)
        (judged,), = self.campaigns.query("SELECT sum(times) FROM exercised")
        (states,), = self.campaigns.query("SELECT sum(hits) FROM state_hits")
        self.assertLessEqual(states, judged)
        self.assertLessEqual(judged - states, self.disturbed)

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
