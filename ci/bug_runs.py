"""Runs of fuzzers against bugs, several at once, each noted down as soon as it has ended."""
import dataclasses
import json
import os
import sys
import time

from ci import process
from ci.workbench import ROOT, CannotRun, shown

_HUNT = os.path.join(ROOT, "fuzz", "hunt.py")


@dataclasses.dataclass(frozen=True)
class Planned:
    """One run: a fuzzer on a bug or, as control, on a clean strategy."""
    subject: str        # a bug's name, or a strategy's
    control: bool
    engine: str         # libfuzzer, afl, replay
    mutator: str        # "" where nothing mutates
    seed: int
    seconds: int        # of CPU time, at most

    @property
    def key(self):
        return (self.subject, self.engine, self.mutator, self.seed)


class Journal:
    """DIR/runs.jsonl: the settings, and a line for each run that has ended. Reading it again is how a
    session goes on after an interruption."""

    def __init__(self, path, settings):
        self._path = path
        self.runs = []
        if os.path.exists(path):
            self._read(settings)
            self._file = open(path, "a", encoding="utf-8")
        else:
            self._file = open(path, "w", encoding="utf-8")
            self._write(settings)

    def _read(self, settings):
        with open(self._path, encoding="utf-8") as file:
            lines = file.read().splitlines()
        told = []
        for line in lines:
            try:
                told.append(json.loads(line))
            except ValueError:
                pass    # cut off by a crash: that run is made again
        if not told or told[0] != settings:
            raise CannotRun("%s holds runs of other sources or settings: choose another folder with "
                            "--out" % shown(os.path.dirname(self._path)))
        self.runs = told[1:]

    def _write(self, value):
        self._file.write(json.dumps(value) + "\n")
        self._file.flush()

    def add(self, run):
        self.runs.append(run)
        self._write(run)

    def close(self):
        self._file.close()


class Runner:
    """Runs what is planned.

    job_of(planned): the Job for hunt.py, as a dict.
    wants(run): whether the input that ended the run is to be kept.
    """

    def __init__(self, journal, job_of, wants, folder, at_once):
        self._journal, self._job_of, self._wants = journal, job_of, wants
        self._folder, self._at_once = folder, at_once
        self._running = []      # (Planned, Process, its job, output)
        self._started = 0
        self.problems = {}      # one line: how many runs had it

    def run(self, planned, progress, stopped):
        """Until all is done, or stopped() says otherwise: then what runs is ended, and forgotten."""
        done = {(run["subject"], run["engine"], run["mutator"], run["seed"])
                for run in self._journal.runs}
        waiting = [p for p in planned if p.key not in done]
        waiting.reverse()
        try:
            while waiting or self._running:
                if stopped():
                    return
                while waiting and len(self._running) < self._at_once:
                    self._start(waiting.pop())
                time.sleep(0.02)
                self._running = [entry for entry in self._running if not self._collect(*entry)]
                progress(len(self._journal.runs), [entry[0] for entry in self._running])
        finally:
            for _, running, _, _ in self._running:
                running.kill()
            self._running = []

    def _start(self, planned):
        self._started += 1
        job = self._job_of(planned)
        path = os.path.join(self._folder, "job-%d.json" % self._started)
        with open(path, "w", encoding="utf-8") as file:
            json.dump(job, file)
        env = dict(os.environ, TMPDIR=self._folder)
        self._running.append((planned, process.Process([sys.executable, _HUNT, path], env), job, []))

    def _collect(self, planned, running, job, output):
        """True if it has ended, and been noted down."""
        output += running.poll()
        if running.code is None:
            return False
        try:
            outcome = json.loads(output[-1])
        except (IndexError, ValueError):
            outcome = {"problem": "hunt.py ended with exit code %s: %s" % (
                running.code, (output or ["no word"])[-1])}
        if "problem" in outcome:
            problem = "%s: %s" % (planned.subject, outcome["problem"])
            self.problems[problem] = self.problems.get(problem, 0) + 1
            return True
        run = dict(dataclasses.asdict(planned), end=outcome["end"], property=outcome["property"],
                   executions=outcome["executions"], note=outcome["note"],
                   cpu_seconds=round(outcome["cpu_seconds"], 4))
        if not self._wants(run):
            for path in (job["keep"], job["keep"] + ".log"):
                if os.path.exists(path):
                    os.unlink(path)
        self._journal.add(run)
        return True
