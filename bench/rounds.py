"""Runs `measure`, round after round, each time in a fresh process.

In a round every subject has its turn on every workload before the next round begins, and in another
order each time: what disturbs the machine disturbs all alike.
"""
import json
import os
import random
import signal
import subprocess
import time

from bench import results as model
from bench import subjects

# Rounds in which memory and single operations are measured: less depends on the machine.
MEMORY_ROUNDS = 3

# Seconds of such a run after which one is enough.
_SLOW = 2.0

# On a busy machine, times the CPU time that it may take.
_PATIENCE = 20

# CPU time for single operations, the heap around them included.
_WORST_SECONDS = 10

_UNSUPPORTED = 1


class Measure:
    """The program, and how each subject is run with it."""

    def __init__(self, program, seconds, stop=lambda: False):
        """`seconds` of CPU time for each run; one is ended when `stop()` says so."""
        self._program = program
        self._seconds = seconds
        self._stop = stop

    def __call__(self, subject, *arguments):
        """Returns (what it told, "") or (None, the reason)."""
        # A thousand operations that take longer are bad enough.
        seconds = min(self._seconds, _WORST_SECONDS) if "--worst" in arguments else self._seconds
        environment = dict(os.environ)
        environment.pop("LD_PRELOAD", None)
        on = subject.name
        if subject.kind == subjects.PEER:
            on = "libc"
            if subject.library:
                environment["LD_PRELOAD"] = subject.library
        code, out, err = self._run(
            [self._program, "--limit", "%d" % seconds, "--on", on, *arguments], environment,
            _PATIENCE * seconds)
        if code != 0 and self._stop():
            return None, ""
        if code in (None, -signal.SIGXCPU, -signal.SIGKILL):
            return None, "not within %d s" % seconds
        try:
            told = json.loads(out)
        except ValueError:
            told = {}
        if code == _UNSUPPORTED and "unsupported" in told:
            return None, told["unsupported"]
        if code < 0:
            return None, "killed by signal %d" % -code
        if code or not told:
            return None, (err.strip().splitlines() or ["exit code %d" % code])[-1]
        return self._checked(subject, told)

    def _run(self, command, environment, seconds):
        """Returns (exit code or None, stdout, stderr)."""
        deadline = time.monotonic() + seconds
        with subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              start_new_session=True) as child:
            while True:
                try:
                    out, err = child.communicate(timeout=0.2)
                    return child.returncode, out, err
                except subprocess.TimeoutExpired:
                    if self._stop() or time.monotonic() > deadline:
                        os.killpg(child.pid, signal.SIGKILL)
                        out, err = child.communicate()
                        return None, out, err

    @staticmethod
    def _checked(subject, told):
        # The dynamic loader only warns of a library that it cannot load.
        if subject.library and os.path.realpath(told.get("malloc", "")) != os.path.realpath(
                subject.library):
            return None, "%s could not be preloaded" % subject.library
        if told.get("refused"):
            return None, "refused %d requests" % told["refused"]
        return told, ""

    def describe(self, workload, *more):
        code, out, err = self._run([self._program, "--describe", *more, workload], None,
                                   _PATIENCE * self._seconds)
        if code != 0:
            return None, (err.strip().splitlines() or ["%s: not read in time" % workload])[-1]
        return json.loads(out), ""


class Rounds:
    """`say(text)` tells what is measured now; `stop()` asks whether to go on."""

    def __init__(self, measure, results, say, stop, seed=1, latency_rounds=MEMORY_ROUNDS):
        self._measure, self._results, self._say, self._stop = measure, results, say, stop
        self._random = random.Random(seed)
        self._slow = set()
        self._latency_rounds = latency_rounds

    def prepare(self, with_worst, sizes):
        """Enters all that is to be measured."""
        results = self._results
        for workload in results.workloads:
            for subject in results.subjects:
                if subject.kind == subjects.SYSTEM and workload.made_for != "page_bump":
                    continue
                results.runs.append(model.Run(workload.name, subject.name,
                                              reason=subject.missing))
        results.worst = [model.Worst(name, size) for name in with_worst for size in sizes]

    def run(self):
        """All rounds, or as many as there is time for."""
        for turn in range(self._results.rounds):
            for workload in self._results.workloads:
                self._run_workload(turn, workload)
            self._run_worst(turn)
            if self._stop():
                return
            self._results.done = turn + 1

    def _subject(self, name):
        return next(subject for subject in self._results.subjects if subject.name == name)

    def _run_workload(self, turn, workload):
        runs = [run for run in self._results.runs if run.workload == workload.name]
        self._random.shuffle(runs)
        for run in runs:
            if self._stop() or run.reason:
                continue
            self._say("round %d of %d: %s on %s" % (turn + 1, self._results.rounds, run.subject,
                                                    workload.name))
            subject, path = self._subject(run.subject), workload.path or workload.name
            told, run.reason = self._measure(subject, "--speed", "--budget",
                                             str(self._results.budget), path)
            if told:
                run.speed[turn] = told
                self._weigh(turn, run, subject, path)
                self._clock(turn, run, subject, path)

    def _weigh(self, turn, run, subject, path):
        self._beside("--memory", "memory", run.memory, turn < MEMORY_ROUNDS, turn, run, subject,
                     path)

    def _clock(self, turn, run, subject, path):
        self._beside("--latency", "single operations", run.latency, turn < self._latency_rounds,
                     turn, run, subject, path)

    def _beside(self, option, what, to, wanted, turn, run, subject, path):
        """What is measured apart from speed, so as not to disturb it."""
        key = (option, run.workload, run.subject)
        if not wanted or key in self._slow or subject.kind == subjects.SYSTEM or self._stop():
            return
        started = os.times().elapsed
        told, reason = self._measure(subject, option, path)
        if told:
            to[turn] = told
        elif reason:
            self._results.notes.append("%s of %s on %s: %s" % (what, run.subject, run.workload,
                                                               reason))
        if not told or os.times().elapsed - started > _SLOW:
            self._slow.add(key)

    def _run_worst(self, turn):
        rows = list(self._results.worst)
        self._random.shuffle(rows)
        for row in sorted(rows, key=lambda row: row.free_blocks):
            if self._stop() or row.reason:
                continue
            # What did not end with fewer free blocks will not end with more.
            fewer = [other.reason for other in self._results.worst
                     if other.subject == row.subject and other.free_blocks < row.free_blocks
                     and other.reason]
            if fewer:
                row.reason = fewer[0]
                continue
            self._say("round %d of %d: %s among %d free blocks" % (
                turn + 1, self._results.rounds, row.subject, row.free_blocks))
            told, row.reason = self._measure(self._subject(row.subject), "--worst",
                                             str(row.free_blocks))
            if told:
                row.rounds[turn] = told
