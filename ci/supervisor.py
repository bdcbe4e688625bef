"""Runs the engines: asks a policy who is next on each core, until the time is over.

One thread: it reads what the engines print, hands their suspects to the detective, writes their
numbers into the campaign's history, and starts, stops and restarts them. A finding does not end the
fuzzing of its strategy, but a bug that every input shows gets no more than CAP sessions in a row.
"""
import collections
import errno
import select
import time
import zlib

from ci import corpus_cover, engine_session, live, process, quotas, scheduler
from ci.engine_kinds import ENGINES
from reports import files, results, text

# Sessions in a row that end in a crash within _SHORT seconds and find nothing new. A job that comes
# to that many rests, for the longer the more often, and is tried again with some more.
CAP = 30
_SHORT = 2.0
_REST, _LONGEST_REST = 60.0, 1800.0
_AGAIN = 5

# Sessions in a row that die without any finding, each before it was of much use.
_DEATHS = 3
_OF_USE = 10.0

# Suspects that may wait for the detective before a crashed engine is started again.
_BACKLOG = 8

# Seconds between looks at the engines' files, AFL++'s gifts to the corpus, and samples.
_PROGRESS, _IMPORT, SAMPLE = 2.0, 15.0, 10.0

# Between looks at processes and at the disk: a leak takes a gigabyte in a few.
_LOOK = 2.0


class Core:
    """What a core works at: a slice of a job's time, and the session that runs now."""

    def __init__(self, number):
        self.number = number
        self.key = None
        self.end = 0.0          # of the current slice
        self.session = None
        self.next_progress = self.next_import = 0.0
        self.not_before = 0.0   # of the next session


class JobState:
    """What the supervisor must remember of a job, beside its results.Job."""

    def __init__(self, job):
        self.job = job
        self.idle_crashes = 0   # short sessions in a row that ended in a crash, with nothing new
        self.deaths = 0         # in a row
        self.sessions = 0
        self.known = 0          # findings of the strategy when that was last looked at
        self.given_up = False
        self.rest = _REST       # seconds
        self.found = 0          # findings that the policy knows of
        self.moved = None       # when something was new
        self.cpu_seconds = 0.0  # of sessions that have ended
        self.features = None


class Supervisor:
    """`jobs`: results.Job for each key, (strategy, engine, sanitizer). `programs`: {key: path}, of a
    job without one the build did not make it."""

    def __init__(self, campaign, jobs, programs, corpora, detective, status, seed=1,
                 environments=None, mutator="", stop=lambda: False, limits=None):
        self._campaign = campaign
        self._folder = campaign.folder
        self._programs = programs
        self._corpora = corpora
        self._detective = detective
        self._status = status
        self._seed = seed
        self._environments = environments or {}
        self._mutator = mutator
        self._stop = stop
        self._states = {key: JobState(job) for key, job in jobs.items()}
        self._rows = {key: campaign.job(key, share=job.share) for key, job in jobs.items()}
        self._remember()
        self._limits = limits or quotas.Limits()
        self._guard = quotas.Guard(
            self._folder.path, self._limits, stop=self._stop_session, thin=self._thin,
            busy=lambda: self._thinner.busy(), end=self._end, say=status.say)
        self._thinner = corpus_cover.Thinner(
            corpus_cover.work_of(programs, self._folder.join("corpus")),
            self._folder.join("cover"), self._environments,
            done=lambda outcome: status.say(str(outcome)),
            failed=lambda *found: detective.report(corpus_cover.suspect(campaign, *found)))
        self.ended = ""          # why it ended before its time, if neither stopped nor broken off
        self._deadline = None
        self._next_sample = self._next_look = 0.0

    def _remember(self):
        """What earlier runs of the campaign came to."""
        for key, total in self._campaign.totals().items():
            state = self._states.get(key)
            if state:
                state.sessions = total["sessions"]
                for name in ("executions", "seconds", "coverage", "crashes"):
                    setattr(state.job, name, total[name])
                state.cpu_seconds, state.features = total["cpu_seconds"], total["features"]

    # The loop.

    def run(self, policy, cores, seconds, gains=None):
        """Fuzzes until the seconds are over, the policy has nothing left, or stop() says so.
        `gains`, a scheduler.Gains, knows what was new in earlier runs of the campaign."""
        self._gains = gains or scheduler.Gains()
        for key, state in self._states.items():
            state.found = self._found(key)   # of earlier runs, which the policy recalls
        self._deadline = time.monotonic() + seconds
        self._next_sample = time.monotonic() + _LOOK
        self._policy = policy
        self._cores = [Core(number) for number in range(cores)]
        try:
            while not self._stop() and not self._detective.error and not self.ended:
                active = False
                for core in self._cores:
                    active = self._advance(core) or active
                if not active:
                    break
                self._look()
                self._show()
                self._sleep()
        except OSError as error:
            self._detective.error = self._detective.error or error
        finally:
            self._thinner.stop()
            self._stop_all()
            self._status.last(self.snapshot())
            for key, state in self._states.items():
                state.job.not_started = not state.sessions and not state.given_up
                self._tell_deaths(key, state.job)
                self._campaign.say_of(self._rows[key], not_started=int(state.job.not_started))

    def _tell_deaths(self, key, job):
        """An engine that dies each time, but not at once, is started again and again: a job that came
        to nothing else did not run."""
        ended, died = self._campaign.deaths(self._rows[key])
        if not died or job.problem:
            return
        if died == ended:
            job.problem = "%s died, without a finding; logs/%s-%s-%s.log has the end of the last" % (
                "its only session" if died == 1 else "each of its %d sessions" % died, *key)
            self._campaign.say_of(self._rows[key], problem=job.problem)
        elif not job.note:
            job.note = "%d of %s died" % (died, text.count(ended, "session"))
            self._campaign.say_of(self._rows[key], note=job.note)

    def _sleep(self):
        pipes = [core.session.process for core in self._cores
                 if core.session and core.session.process.output_open]
        # Output that comes in single lines would wake us up for each.
        time.sleep(0.2)
        select.select(pipes, [], [], 0.15)

    def _advance(self, core):
        """True while there is something to do on this core."""
        if core.session:
            if not core.session.poll():
                self._look_after(core)
                return True
            self._close(core)
        now = time.monotonic()
        if core.key is None or core.end - now < 1 or self._states[core.key].given_up:
            if not self._next_slice(core, now):
                return False
        if now < core.not_before or self._goes_in_circles(core):
            return True
        return self._open(core)

    def _next_slice(self, core, now):
        core.key = None
        if self._deadline - now < 1:
            return False
        chosen = self._policy.next(
            now, [other.key for other in self._cores if other.key and other is not core],
            core.number)
        if not chosen:
            return False
        core.key, seconds = chosen
        core.end = min(now + seconds, self._deadline)
        return True

    def _goes_in_circles(self, core):
        """True if the core's job must not be started again: for now, or for good if it has been given
        up."""
        state = self._states[core.key]
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
            self._pause(core)
        return True

    def _pause(self, core):
        """Gives the core to another job."""
        key, state = core.key, self._states[core.key]
        if not self._policy.rest(key, time.monotonic() + state.rest):
            self._give_up(key, note="stopped: %d sessions in a row ended in findings stored already"
                          % state.idle_crashes)
            return
        state.idle_crashes = CAP - _AGAIN
        state.rest = min(_LONGEST_REST, 2 * state.rest)
        state.job.note = "rests now and then: session after session ends in findings stored already"
        self._campaign.say_of(self._rows[key], note=state.job.note)
        core.key = None

    def did_not_fuzz(self, why):
        """There was no time for it."""
        self.ended = why
        for key, state in self._states.items():
            if not state.sessions:
                self._campaign.say_of(self._rows[key], not_started=1)

    # A session's life.

    def _open(self, core):
        key, state = core.key, self._states[core.key]
        strategy, engine, sanitizer = key
        if key not in self._programs:
            self._give_up(key, problem="the build did not make its program; ci/setup installs compilers")
            return True
        role, main = self._role(core)
        name = " ".join((*key, str(self._campaign.run), str(state.sessions), str(core.number)))
        seed = (self._seed + zlib.crc32(name.encode())) & 0x7fffffff
        session, work = self._campaign.open_session(self._rows[key], role, seed)
        environment = dict(self._environments.get(strategy, {}),
                           ASSAY_COUNTERS=engine_session.counters_file(work))
        state.sessions += 1
        try:
            core.session = ENGINES[engine](engine_session.Setting(
                strategy=strategy, program=self._programs[key],
                seconds=max(1.0, core.end - time.monotonic()), seed=seed,
                corpus=self._corpora[strategy].folder, work=work, environment=environment,
                mutator=self._mutator, role=role, main=main, sanitizer=sanitizer,
                memory=self._limits.process >> 20,
                job=self._rows[key], session=session))
        except (OSError, engine_session.engines.CannotRun) as error:
            self._campaign.close_session(session, {}, "died")
            if isinstance(error, OSError) and not isinstance(
                    error, (FileNotFoundError, PermissionError)):
                raise
            self._give_up(key, problem=str(error))
            return True
        state.job.restarts = state.sessions - 1
        core.next_progress = time.monotonic() + _PROGRESS
        core.next_import = time.monotonic() + _IMPORT
        return True

    def _role(self, core):
        """(role, the main's folder): of AFL++'s sessions for a strategy, the first is the main."""
        strategy, engine, _ = core.key
        if engine != "afl":
            return "", ""
        others = [other.session.setting for other in self._cores
                  if other.session and other.key[:2] == (strategy, engine)]
        main = next((setting.work for setting in others if setting.role == "main"), "")
        return ("secondary", main) if main else ("main", "")

    def _look_after(self, core):
        now = time.monotonic()
        if now >= core.next_progress:
            core.next_progress = now + _PROGRESS
            core.session.progress()
            self._collect(core)
        if now >= core.next_import:
            core.next_import = now + _IMPORT
            self._import(core)

    def _import(self, core):
        corpus = self._corpora[core.key[0]]
        for data in core.session.new_inputs():
            corpus.add(data)

    def _collect(self, core):
        """Hands over what the session found; returns how many inputs that is."""
        state, found = self._states[core.key], 0
        for suspect in core.session.collect():
            suspect.executions = (suspect.executions or 0) + state.job.executions
            self._detective.report(suspect)
            if suspect.data is not None:
                self._corpora[suspect.strategy].ban(suspect.data)
            state.job.crashes += 1
            found += 1
        return found

    def _close(self, core):
        """Accounts for a session that has ended, and decides whether the job goes on."""
        session, state = core.session, self._states[core.key]
        self._end_family(session)
        # From here on a full disk may strike; then the session is still there to be closed again.
        crashes = self._collect(core)
        self._import(core)
        files.write_whole(self._folder.join("logs", "%s-%s-%s.log" % core.key), session.log)
        numbers = session.numbers()
        counted = session.counted
        self._campaign.close_session(
            session.setting.session, numbers, session.how, session.process.code,
            exercised=counted.exercised if counted else None,
            states=counted.states if counted else None, corpus=self._corpora.size(core.key[0]))
        self._tell_policy(core)
        core.session = None
        job = state.job
        job.executions += numbers["executions"]
        job.seconds += session.seconds
        state.cpu_seconds += numbers["cpu_seconds"]
        state.features = max(session.features or 0, state.features or 0) or None
        if session.coverage is not None:
            job.coverage = max(job.coverage or 0, session.coverage)
        code = session.process.code
        if crashes and session.NAME == "libfuzzer":
            # A session that got far before it crashed was worth its time.
            state.idle_crashes = state.idle_crashes + 1 if session.seconds < _SHORT else 0
            state.deaths = 0
        elif session.was_stopped or (code == 0 and not session.early):
            state.idle_crashes = state.deaths = 0
        else:
            self._after_death(core, session, code)

    @staticmethod
    def _end_family(session):
        """What the target started and left behind does not outlive it."""
        process.kill_marked(engine_session.counters_file(session.setting.work).encode())

    def _after_death(self, core, session, code):
        state = self._states[core.key]
        executions = session.numbers()["executions"]
        state.deaths = 1 if session.seconds > _OF_USE else state.deaths + 1
        if state.deaths < _DEATHS and executions:
            core.not_before = time.monotonic() + 0.2
            return
        how = "was killed by signal %d" % -code if code < 0 else "ended with exit code %d" % code
        lines = [line for line in session.log.splitlines() if line.strip()]
        self._give_up(core.key, problem="%s %s after %.1f s, %s%s" % (
            text.engine(session.NAME), how, session.seconds, text.count(executions, "execution"),
            ": " + text.one_line(lines[-1], 100) if lines else ""))

    def _give_up(self, key, problem="", note=""):
        state = self._states[key]
        state.given_up = True
        state.job.problem = state.job.problem or problem
        state.job.note = note
        self._policy.drop(key)
        self._campaign.say_of(self._rows[key], problem=state.job.problem, note=note)
        self._status.say("%s on %s: %s" % (
            state.job.strategy, text.engine(state.job.engine), problem or note))

    def _stop_all(self):
        running = [core for core in self._cores if core.session]
        for core in running:
            core.session.stop()
        # poll() kills those that do not obey.
        while not all([core.session.poll() for core in running]):
            time.sleep(0.05)
        if self._detective.error and self._detective.error.errno == errno.ENOSPC:
            self._folder.drop_ballast()
        for core in running:
            try:
                self._close(core)
            except OSError as error:
                # Its row still says that it runs: whoever comes next finds it (recovery.py).
                self._detective.error = self._detective.error or error
                core.session = None
        for key, state in self._states.items():
            state.job.corpus = len(self._corpora[key[0]])

    # What is told of it.

    def _look(self):
        """At the engines' processes, and at what the folder holds; and takes samples."""
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + _LOOK
        running = [core for core in self._cores if core.session and not core.session.ended]
        entries = process.table()
        families = process.family([core.session.process.pid for core in running], entries)
        held = {}
        for core in running:
            members = families[core.session.process.pid]
            core.session.process.measure(members, entries)
            held[core.session.setting.session] = [
                entries[pid].memory for pid in members if pid in entries]
        self._guard.look(now, held)
        if now >= self._next_sample:
            self._next_sample = now + SAMPLE
            self._sample(running)

    def _sample(self, running):
        samples = {}
        for core in running:
            core.session.count()
            samples[core.session.setting.session] = dict(
                core.session.numbers(), corpus=self._corpora.size(core.key[0]))
            self._tell_policy(core)
        self._campaign.sample(samples)

    def _stop_session(self, number, why):
        """A quota is exceeded."""
        for core in self._cores:
            if core.session and core.session.setting.session == number:
                core.session.limit = why
                core.session.stop()
                self._note(core.key, "a session was stopped: " + why)

    def _thin(self, strategy):
        """Space is short."""
        started = self._thinner.start(strategy)
        if started:
            self._status.say("the corpus of %s is being thinned" % strategy)
        return started

    def _end(self, why):
        self.ended = why

    def _note(self, key, note):
        job = self._states[key].job
        job.note = note
        self._campaign.say_of(self._rows[key], note=note)
        self._status.say("%s on %s: %s" % (job.strategy, text.engine(job.engine), note))

    def _tell_policy(self, core):
        """What the job came to since the policy was last told."""
        key, session, state = core.key, core.session, self._states[core.key]
        if session.initial:
            self._gains.begin(key, session.setting.session, *session.initial)
        spent, edges, features = self._gains.sample(
            key, session.setting.session, session.process.cpu_seconds, session.coverage,
            session.features)
        found = self._found(key)
        if session.start_up:
            self._policy.started(key, session.start_up)
        self._policy.moved(key, spent, edges, new_findings=max(0, found - state.found),
                           new_features=features)
        if edges or features or found > state.found:
            state.moved = time.monotonic()
        state.found = max(state.found, found)

    def _found(self, key):
        """How much a job was the first to find that nobody knew."""
        return sum((finding.strategy, finding.engine, finding.sanitizer) == key and
                   finding.status in (results.NEW, results.FLAKY)
                   for finding in self._detective.findings)

    def _show(self):
        if self._status.due():
            self._status.show(self.snapshot())

    def snapshot(self):
        """What each job does and came to, and all together."""
        now = time.monotonic()
        findings = self._detective.findings
        jobs = {}
        for key, state in self._states.items():
            job = state.job
            jobs[key] = live.Job(
                *key, executions=job.executions, coverage=job.coverage, crashes=job.crashes,
                corpus=self._corpora.size(key[0]), cpu_seconds=state.cpu_seconds,
                features=state.features,
                findings=self._found(key),
                quiet=None if state.moved is None else now - state.moved,
                problem=job.problem or (job.note if state.given_up else ""),
                state=live.GIVEN_UP if state.given_up else
                live.PARKED if self._policy.parked(key) else live.WAITING)
        for core in self._cores:
            if core.session:
                session, job = core.session, jobs[core.key]
                job.state = live.RUNNING
                job.rate += session.rate or session.executions / max(session.seconds, 0.1)
                job.executions += session.numbers()["executions"]
                job.cpu_seconds += session.process.cpu_seconds
                job.coverage = max(session.coverage or 0, job.coverage or 0) or None
                job.features = max(session.features or 0, job.features or 0) or None
        return live.Live(
            phase="fuzz", seconds=self._campaign.clock(), left=self._deadline - now,
            jobs=list(jobs.values()), waiting=self._detective.waiting,
            findings=dict(collections.Counter(finding.status for finding in findings)),
            disk_used=self._guard.disk.known, disk_limit=self._limits.disk,
            disk_free=self._guard.disk.status()[1], memory_used=self._guard.memory,
            memory_limit=self._limits.memory)
