"""Runs the engines: each core its slices one after the other, until the time is over.

One thread: it reads what the engines print, hands their suspects to the detective, and starts,
stops and restarts them. A finding does not end the fuzzing of its strategy, but a bug that every
input shows gets no more than CAP sessions in a row.
"""
import select
import time
import zlib

from ci import corpus_folder, engine_afl, engine_libfuzzer, engine_session, judge
from reports import files, results, text

ENGINES = {"libfuzzer": engine_libfuzzer.LibFuzzer, "afl": engine_afl.Afl}

# Sessions in a row that end in a crash within _SHORT seconds and find nothing new.
CAP = 30
_SHORT = 2.0

# Sessions in a row that die without any finding.
_DEATHS = 3

# Suspects that may wait for the detective before a crashed engine is started again.
_BACKLOG = 8

# Seconds between looks at the engines' files, and between AFL++'s gifts to the corpus.
_PROGRESS, _IMPORT = 2.0, 15.0


class Task:
    """One core's work: what is left of its slices, and the session that runs now."""

    def __init__(self, slices):
        self.slices = list(slices)
        self.job = None
        self.instance = 0
        self.end = 0.0          # of the current slice
        self.session = None
        self.next_progress = self.next_import = 0.0


class JobState:
    """What the supervisor must remember of a job, beside its results.Job."""

    def __init__(self, job):
        self.job = job
        self.idle_crashes = 0   # short sessions in a row that ended in a crash, with nothing new
        self.deaths = 0         # in a row
        self.sessions = 0
        self.known = 0          # findings of the strategy when that was last looked at
        self.given_up = False


class Supervisor:
    """`jobs`: results.Job for each strategy and engine; `programs`: {(strategy, engine): path}, of a
    job without one the build did not make it."""

    def __init__(self, folder, jobs, programs, detective, status, seed=1, environments=None,
                 mutator="", seeds=(), stop=lambda: False, deadline=None):
        self._folder = folder
        self._programs = programs
        self._detective = detective
        self._status = status
        self._seed = seed
        self._environments = environments or {}
        self._mutator = mutator
        self._stop = stop
        self._states = {(job.strategy, job.engine): JobState(job) for job in jobs}
        self._deadline = deadline
        self._corpora = {}
        for job in jobs:
            if job.strategy not in self._corpora:
                corpus = corpus_folder.Corpus(folder.join("corpus", job.strategy))
                corpus.start_from(seeds)
                self._corpora[job.strategy] = corpus
        self._corpus_sizes = {}

    def replay(self, assay):
        """Runs what is stored on each strategy, before AFL++ or libFuzzer start from it. Returns a
        results.Job of the engine `corpus` for each strategy."""
        replayed = []
        for strategy, corpus in self._corpora.items():
            job = results.Job(strategy, "corpus")
            replayed.append(job)
            start = time.monotonic()
            try:
                for judged, bad in assay.failing(strategy, corpus.paths(), self._stop):
                    if bad:
                        self._ban(judged, job, corpus)
                    else:
                        job.executions += judged
            except judge.CannotJudge as error:
                job.problem = str(error)
            job.seconds = time.monotonic() - start
            job.corpus = len(corpus)
        return replayed

    def _ban(self, path, job, corpus):
        data = engine_session.read_input(path)
        job.crashes += 1
        if data is None:
            return
        self._detective.report(engine_session.Suspect(
            job.strategy, "corpus", "crash", data, "", executions=job.executions))
        corpus.ban(data)

    def run(self, slots, seconds):
        """Runs the slices of shares.plan(). Returns when they are over or stop() says so."""
        self._deadline = time.monotonic() + seconds
        tasks = [Task(slot) for slot in slots if slot]
        try:
            while True:
                if self._stop() or self._detective.error:
                    break
                active = False
                for task in tasks:
                    active = self._advance(task) or active
                if not active:
                    break
                self._show(tasks)
                self._sleep(tasks)
        finally:
            self._stop_all(tasks)
            for state in self._states.values():
                state.job.not_started = not state.sessions and not state.given_up

    def _sleep(self, tasks):
        pipes = [task.session.process for task in tasks
                 if task.session and task.session.process.output_open]
        # Output that comes in single lines would wake us up for each.
        time.sleep(0.05)
        select.select(pipes, [], [], 0.15)

    def _advance(self, task):
        """True while there is something to do on this core."""
        if task.session:
            if not task.session.poll():
                self._look_after(task)
                return True
            self._close(task)
        left = task.end - time.monotonic()
        if task.job is None or left < 1 or self._states[task.job].given_up:
            if not self._next_slice(task):
                return False
        if self._goes_in_circles(self._states[task.job]):
            return True
        return self._open(task)

    def _goes_in_circles(self, state):
        """True if the job must not be started again: for now, or for good if it has been given up.
        """
        if not state.idle_crashes:
            return False
        waiting = self._detective.waiting
        if waiting > _BACKLOG:
            return True
        found = sum(finding.strategy == state.job.strategy for finding in self._detective.findings)
        if found > state.known:
            state.known = found
            state.idle_crashes = 1
        if state.idle_crashes < CAP:
            return False
        # While the detective is busy nobody knows whether the last crash is a new one.
        if not waiting:
            self._give_up(state, note="stopped: %d sessions in a row ended in known findings"
                          % state.idle_crashes)
        return True

    def _next_slice(self, task):
        """Time that a slice left over, or took too long, is shared by those that follow."""
        left = self._deadline - time.monotonic()
        while task.slices and left >= 1:
            part = task.slices.pop(0)
            state = self._states[part.job]
            if state.given_up:
                continue
            total = part.seconds + sum(other.seconds for other in task.slices
                                       if not self._states[other.job].given_up)
            task.job, task.instance = part.job, part.instance
            task.end = time.monotonic() + left * part.seconds / total
            return True
        task.job = None
        return False

    def _open(self, task):
        state = self._states[task.job]
        job = state.job
        strategy, engine = task.job
        if task.job not in self._programs:
            self._give_up(state, problem="the build did not make its program; ci/setup installs compilers")
            return True
        # A session of AFL++ must have an empty folder: what it finds in another it would delete.
        work = self._folder.join("tmp", "%s-%s-%d-%d" % (
            strategy, engine, task.instance, state.sessions))
        name = "%s %s %d %d" % (strategy, engine, task.instance, state.sessions)
        state.sessions += 1
        try:
            task.session = ENGINES[engine](engine_session.Setting(
                strategy=strategy, program=self._programs[task.job],
                seconds=max(1.0, task.end - time.monotonic()),
                seed=(self._seed + zlib.crc32(name.encode())) & 0x7fffffff,
                corpus=self._corpora[strategy].folder, work=work,
                environment=self._environments.get(strategy, {}), mutator=self._mutator))
        except (OSError, engine_session.engines.CannotRun) as error:
            if isinstance(error, OSError) and not isinstance(
                    error, (FileNotFoundError, PermissionError)):
                raise
            self._give_up(state, problem=str(error))
            return True
        job.restarts = state.sessions - 1
        task.next_progress = time.monotonic() + _PROGRESS
        task.next_import = time.monotonic() + _IMPORT
        return True

    def _look_after(self, task):
        now = time.monotonic()
        if now >= task.next_progress:
            task.next_progress = now + _PROGRESS
            task.session.progress()
            self._collect(task)
        if now >= task.next_import:
            task.next_import = now + _IMPORT
            self._import(task)

    def _import(self, task):
        if isinstance(task.session, engine_afl.Afl):
            corpus = self._corpora[task.job[0]]
            for data in task.session.new_inputs():
                corpus.add(data)

    def _collect(self, task):
        """Hands over what the session found; returns how many inputs that is."""
        state = self._states[task.job]
        suspects = task.session.collect()
        for suspect in suspects:
            suspect.executions = (suspect.executions or 0) + state.job.executions
            self._detective.report(suspect)
            if suspect.data is not None:
                self._corpora[suspect.strategy].ban(suspect.data)
        state.job.crashes += len(suspects)
        return len(suspects)

    def _close(self, task):
        """Accounts for a session that has ended, and decides whether the job goes on."""
        session, state = task.session, self._states[task.job]
        job = state.job
        crashes = self._collect(task)
        job.executions += session.executions
        job.seconds += session.seconds
        if session.coverage is not None:
            job.coverage = max(job.coverage or 0, session.coverage)
        # From here on a full disk may strike.
        self._import(task)
        task.session = None
        files.write_whole(self._folder.join("logs", "%s-%s.log" % task.job), session.log)
        code = session.process.code
        if crashes and session.NAME == "libfuzzer":
            # A session that got far before it crashed was worth its time.
            state.idle_crashes = state.idle_crashes + 1 if session.seconds < _SHORT else 0
            state.deaths = 0
        elif session.was_stopped or (code == 0 and not session.early):
            state.idle_crashes = state.deaths = 0
        else:
            self._after_death(state, session, code)

    def _after_death(self, state, session, code):
        state.deaths += 1
        if state.deaths < _DEATHS and session.executions:
            time.sleep(0.2)
            return
        how = "was killed by signal %d" % -code if code < 0 else "ended with exit code %d" % code
        lines = [line for line in session.log.splitlines() if line.strip()]
        self._give_up(state, problem="%s %s after %.1f s, %s%s" % (
            text.engine(session.NAME), how, session.seconds,
            text.count(session.executions, "execution"),
            ": " + text.one_line(lines[-1], 100) if lines else ""))

    def _give_up(self, state, problem="", note=""):
        state.given_up = True
        state.job.problem = state.job.problem or problem
        state.job.note = note
        self._status.say("%s on %s: %s" % (
            state.job.strategy, text.engine(state.job.engine), problem or note))

    def _stop_all(self, tasks):
        for task in tasks:
            if task.session:
                task.session.stop()
        # poll() kills those that do not obey.
        while any(task.session for task in tasks):
            for task in tasks:
                if task.session and task.session.poll():
                    try:
                        self._close(task)
                    except OSError as error:
                        # A full disk must not keep us from stopping the others.
                        self._detective.error = self._detective.error or error
                        task.session = None
            time.sleep(0.05)
        for state in self._states.values():
            state.job.corpus = len(self._corpora[state.job.strategy])

    def _show(self, tasks):
        if not self._status.due():
            return
        executions = sum(state.job.executions for state in self._states.values())
        coverage = {key: state.job.coverage for key, state in self._states.items()
                    if state.job.coverage}
        running, rate = [], 0
        for task in tasks:
            if not task.session:
                continue
            session = task.session
            executions += session.executions
            speed = session.rate or (session.executions / session.seconds)
            rate += speed
            running.append((*task.job, speed))
            if session.coverage:
                coverage[task.job] = max(session.coverage, coverage.get(task.job, 0))
        # Listing a folder of many thousand files takes its time.
        now = time.monotonic()
        for strategy, corpus in self._corpora.items():
            if now >= self._corpus_sizes.get(strategy, (0, 0))[0]:
                self._corpus_sizes[strategy] = (now + 5, len(corpus))
        self._status.show(
            self._deadline - now, executions, rate,
            sum(size for _, size in self._corpus_sizes.values()), coverage,
            len(self._detective.findings), running)
