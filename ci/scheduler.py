"""Who fuzzes next, and for how long: more time where something new comes, none where nothing does.

A job's worth is its rate of novelty: new edges, features and findings per CPU second. The rate is
unknown and changes, which makes the choice a bandit problem:

  - Thompson sampling (Thompson, Biometrika 1933): each job's rate is drawn from what is believed of
    it, and the best draw gets the core. Jobs of which little is known are tried because their
    draws scatter, not because somebody set a share aside for trying.
  - Novelty comes as events in time: Poisson, so the belief is a Gamma distribution over the rate,
    and learning is two sums. The prior's mean is that of all jobs together: where nothing new comes
    anywhere, all are equal.
  - Evidence is discounted (Garivier & Moulines, ALT 2011): by the job's own CPU time, because
    fuzzing meets less and less that is new, and by that of all, because a shared corpus changes.

A job that moved nothing for long is parked, and tried again now and then: others may have found
the input that it was stuck without.

Pure: no clock, no files. `now` is any clock that runs in seconds. The same seed and the same calls
lead to the same choices. shares.Fixed has the same interface, and its mind made up.
"""
import collections
import random

# What is new counts so much, in new edges. A feature is a counter's range, an edge's hit count ...:
# finer than edges, which run out early, and worth less.
EDGE, FEATURE, FINDING = 1.0, 0.1, 20.0

# An input that reaches another part of the program brings all of its edges at once: one event,
# although a large one. No sample counts more than this, findings aside.
_BURST = 10.0

# Seconds of own CPU time after which what was seen counts half.
_HALF_LIFE = 600.0

# Shape of the prior: that much of an event is believed before anything was seen.
_PRIOR = 0.5

# Draws of a job that runs on another core already: instances repeat each other's work in part.
_INSTANCE = 0.5

# Seconds: a job's first slice; the longest. Between them a slice is a quarter of what it has had.
FIRST, LONGEST = 30.0, 300.0
_GROWTH = 0.25

# Start-up takes no more than this part of a slice, if the longest one allows.
_START_UP = 0.1

# Below this an engine hardly gets beyond its start-up.
SHORTEST = 3.0

# Seconds of own CPU time without anything new until a job is parked.
_PATIENCE = 600.0

# The part of all time that one parked job gets, and that all of them get.
_PROBE, _PROBES = 0.01, 0.05


class TooShort(ValueError):
    """The time is not enough to try every job; `seconds` would be."""

    def __init__(self, jobs, cores, seconds):
        super().__init__("%d jobs on %d core%s need at least %.0f s to be tried once each" % (
            jobs, cores, "s"[:cores != 1], seconds))
        self.seconds = seconds


class _Belief:
    """What is known of one job."""

    def __init__(self):
        self.events = self.seconds = 0.0    # discounted
        self.seen_at = 0.0      # all jobs' CPU seconds when they were discounted last
        self.cpu = 0.0          # own, not discounted
        self.quiet = 0.0        # own CPU seconds since the last novelty
        self.start_up = 0.0     # the longest so far
        self.tried = False
        self.dropped = False
        self.rests_until = 0.0  # by the clock


class Scheduler:
    """Shares `cores` among `keys` until the clock shows `end`."""

    def __init__(self, keys, cores, seed, end, begin=0.0):
        self._beliefs = {key: _Belief() for key in keys}
        self._cores = cores
        self._end = end
        self._random = random.Random(seed)
        each = (end - begin) * cores / max(1, len(self._beliefs))
        if self._beliefs and each < SHORTEST:
            raise TooShort(len(self._beliefs), cores, SHORTEST * len(self._beliefs) / cores)
        # Where time is short, half of it is left to choose with.
        self._first = min(FIRST, max(SHORTEST, each / 2))
        self._patience = max(2 * self._first, min(_PATIENCE, each / 2))
        self._total = 0.0       # CPU seconds of all jobs
        self._order = list(self._beliefs)
        self._random.shuffle(self._order)

    def next(self, now, running, core=0):
        """(key, seconds) for a free core; None if there is nothing left to do. `running` are the
        keys on the other cores, one for each; which `core` is free does not matter."""
        left = self._end - now
        running = collections.Counter(running)
        keys = [key for key in self._order if not self._beliefs[key].dropped]
        if not keys or left < SHORTEST:
            return None
        # If all rest, the one that has rested longest goes on: an idle core finds nothing.
        keys = [key for key in keys if self._beliefs[key].rests_until <= now] or [
            min(keys, key=lambda key: self._beliefs[key].rests_until)]
        key = self._choose(keys, running)
        belief = self._beliefs[key]
        belief.tried = True
        return key, self._slice(belief, left)

    def _choose(self, keys, running):
        new = [key for key in keys if not self._beliefs[key].tried]
        if new:
            return new[0]
        free = [key for key in keys if not running[key]]
        parked = [key for key in free if self.parked(key)]
        awake = [key for key in keys if not self.parked(key)]
        if parked and awake:
            longest = min(parked, key=lambda key: self._beliefs[key].seen_at)
            waited = self._total - self._beliefs[longest].seen_at
            if waited >= self._first / min(_PROBE, _PROBES / len(parked)):
                return longest
        return self._draw(awake or free or keys, running)

    def _draw(self, keys, running):
        mean = self._mean()
        best, chosen = -1.0, None
        for key in keys:
            belief = self._beliefs[key]
            fade = self._fade(belief)
            drawn = self._random.gammavariate(
                _PRIOR + fade * belief.events, 1 / (_PRIOR / mean + fade * belief.seconds))
            drawn *= _INSTANCE ** running[key]
            if drawn > best:
                best, chosen = drawn, key
        return chosen

    def _slice(self, belief, left):
        seconds = max(self._first, min(LONGEST, max(
            _GROWTH * belief.cpu, belief.start_up / _START_UP)))
        if self._is_parked(belief):
            seconds = max(self._first, min(LONGEST, 2 * belief.start_up))
        # What would be left is too little for another.
        return left if left - seconds < SHORTEST else seconds

    def moved(self, key, cpu_seconds, new_coverage=0, new_findings=0, new_features=0):
        """A job used CPU time, and found that much that it had not found before (see Gains)."""
        belief = self._beliefs[key]
        novelty = min(_BURST, EDGE * new_coverage + FEATURE * new_features) + FINDING * new_findings
        cpu_seconds = max(0.0, cpu_seconds)
        fade = self._fade(belief) * 0.5 ** (cpu_seconds / _HALF_LIFE)
        belief.events = fade * belief.events + novelty
        belief.seconds = fade * belief.seconds + cpu_seconds
        self._total += cpu_seconds
        belief.seen_at = self._total
        belief.cpu += cpu_seconds
        belief.tried = True
        belief.quiet = 0.0 if novelty else belief.quiet + cpu_seconds

    def started(self, key, seconds):
        """A session of the job took `seconds` until it was through with the corpus."""
        belief = self._beliefs[key]
        belief.start_up = max(belief.start_up, seconds)

    def drop(self, key):
        """The job is not to run any more."""
        self._beliefs[key].dropped = True

    def rest(self, key, until):
        """The job is to run no more until then, if there is another that can. True: it will be asked
        for again."""
        self._beliefs[key].rests_until = until
        return True

    def knows(self, key):
        return key in self._beliefs

    def parked(self, key):
        return self._is_parked(self._beliefs[key])

    def rate(self, key):
        """Novelty per CPU second that is expected of the job, in edges."""
        belief = self._beliefs[key]
        fade = self._fade(belief)
        return (_PRIOR + fade * belief.events) / (_PRIOR / self._mean() + fade * belief.seconds)

    def _is_parked(self, belief):
        return belief.quiet >= self._patience

    def _fade(self, belief):
        """How much the job's evidence counts after what the others did since."""
        return 0.5 ** ((self._total - belief.seen_at) / (_HALF_LIFE * len(self._beliefs)))

    def _mean(self):
        """Novelty per second over all jobs that go on."""
        events = seconds = 0.0
        for belief in self._beliefs.values():
            if not belief.dropped:
                events += belief.events
                seconds += belief.seconds
        return max(1e-6, events / seconds) if seconds else 1.0


class Gains:
    """Turns what sessions report, totals from their start, into what is new to their job."""

    def __init__(self):
        self._cpu = {}          # by session
        self._best = {}         # by job and kind
        self._begun = set()     # sessions

    def begin(self, key, session, coverage=None, features=None):
        """What a session reached with the corpus alone, before it found anything: not its job's
        merit, for others may have put it there. Only the first call counts."""
        if session not in self._begun:
            self._begun.add(session)
            self._raise(key, coverage, features)

    def sample(self, key, session, cpu_seconds, coverage=None, features=None):
        """(CPU seconds, new edges, new features) since the session's last sample. The first
        coverage of a job is that of the corpus it began with: nothing new."""
        spent = cpu_seconds - self._cpu.get(session, 0.0)
        self._cpu[session] = max(cpu_seconds, self._cpu.get(session, 0.0))
        return (max(0.0, spent), *self._raise(key, coverage, features))

    def _raise(self, key, coverage, features):
        gained = []
        for kind, value in (("coverage", coverage), ("features", features)):
            best = self._best.get((key, kind))
            gained.append(value - best if None not in (value, best) and value > best else 0)
            if value is not None:
                self._best[key, kind] = max(value, best or 0)
        return gained


# What recall() needs, of the campaign `?1`, in the order of time.
EVENTS = """
SELECT strategy, engine, sanitizer, session, cpu_seconds, coverage, features FROM (
  SELECT j.strategy, j.engine, j.sanitizer, s.id AS session, x.at, x.cpu_seconds, x.coverage,
         x.features
    FROM samples x JOIN sessions s ON s.id = x.session JOIN jobs j ON j.id = s.job
    WHERE j.campaign = ?1
  UNION ALL
  SELECT j.strategy, j.engine, j.sanitizer, s.id, s.began + s.seconds, s.cpu_seconds, s.coverage,
         s.features
    FROM sessions s JOIN jobs j ON j.id = s.job
    WHERE j.campaign = ?1 AND j.engine != 'corpus'
  UNION ALL
  SELECT f.strategy, c.engine, c.sanitizer, NULL, c.seconds, 0, NULL, NULL
    FROM campaign_findings c JOIN findings f ON f.id = c.finding
    WHERE c.campaign = ?1 AND c.status IN ('new', 'flaky') AND c.seconds IS NOT NULL
) ORDER BY at"""


def recall(scheduler, gains, events):
    """Rebuilds what was known from the rows that EVENTS asks for; a finding is a row without a
    session. Jobs that the scheduler does not have are left out."""
    for *key, session, cpu_seconds, coverage, features in events:
        key = tuple(key)
        if not scheduler.knows(key):
            continue
        if session is None:
            scheduler.moved(key, 0.0, new_findings=1)
        else:
            spent, edges, features = gains.sample(key, session, cpu_seconds, coverage, features)
            scheduler.moved(key, spent, edges, new_features=features)
