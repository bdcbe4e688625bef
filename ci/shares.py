"""Shares the cores' time among fuzzing jobs, fairly and without leaving a core idle.

A job is one strategy on one engine. Every job gets the same time. Where there are fewer jobs than
cores a job has several instances; where the division leaves a rest, a task is cut in two slices at
the end of one core's time, and its second slice is the first of the next core (McNaughton's
wrap-around rule, Management Science 1959): no core idles, and no task runs beside itself.
"""
import collections

# Seconds. Below this an engine hardly gets beyond its start-up.
SHORTEST_SHARE = 3.0

# Shorter slices, from cutting, are left out: the core's other slices get their time.
SHORTEST_SLICE = 1.5

Slice = collections.namedtuple("Slice", "job instance seconds")


class TooShort(ValueError):
    """The time is not enough for so many jobs; `minutes` would be."""

    def __init__(self, jobs, cores, minutes):
        super().__init__(
            "%d jobs (strategy x engine) share %d core%s: give at least --minutes %.1f, or choose "
            "fewer with --strategy or --engine" % (jobs, cores, "s"[:cores != 1], minutes))
        self.minutes = minutes


def plan(jobs, cores, seconds):
    """Returns (seconds per job, a list of slices for each core).

    `jobs` are any objects, `seconds` is wall time. A job's seconds are CPU time: with two
    instances at a time it uses them up twice as fast.
    """
    if not jobs:
        return 0.0, [[] for _ in range(cores)]
    instances = -(-cores // len(jobs))
    share = seconds * cores / (len(jobs) * instances)
    if share < SHORTEST_SHARE:
        least = SHORTEST_SHARE * len(jobs) * instances / cores / 60
        # Rounded up, so that following the advice helps.
        raise TooShort(len(jobs), cores, int(least * 10 + 1) / 10)
    tasks = [(job, instance) for instance in range(instances) for job in jobs]
    slots, used = [[]], 0.0
    for job, instance in tasks:
        left = share
        while left > 1e-6:
            part = min(left, seconds - used)
            if part >= SHORTEST_SLICE:
                slots[-1].append(Slice(job, instance, part))
            used += part
            left -= part
            if used > seconds - 1e-6 and len(slots) < cores:
                slots.append([])
                used = 0.0
            elif used > seconds - 1e-6:
                break
    slots += [[] for _ in range(cores - len(slots))]
    return share * instances, slots


class Fixed:
    """plan()'s slices as the supervisor asks for them: who runs next on which core (the other such
    policy is scheduler.py). Jobs are keys."""

    def __init__(self, slots, seconds):
        self._slots = [list(slot) for slot in slots]
        self._seconds = seconds
        self._deadline = None
        self._dropped = set()

    def next(self, now, _running, core):
        """(key, seconds) for a core that is free, or None. Time that a slice left over, or took too
        long, is shared by those that follow."""
        if self._deadline is None:
            self._deadline = now + self._seconds
        left = self._deadline - now
        slices = self._slots[core] if core < len(self._slots) else []
        while slices and left >= 1:
            part = slices.pop(0)
            if part.job in self._dropped:
                continue
            total = part.seconds + sum(other.seconds for other in slices
                                       if other.job not in self._dropped)
            return part.job, left * part.seconds / total
        return None

    def moved(self, key, cpu_seconds, new_coverage=0, new_findings=0, new_features=0):
        """What a job came to since the last call: shares are equal whatever it is."""

    def drop(self, key):
        """The job is not to run any more."""
        self._dropped.add(key)

    def rest(self, _key, _until):
        """False: who pauses gets his time not back."""
        return False

    def started(self, key, seconds):
        """Start-up takes from the job's own share."""

    def parked(self, _key):
        return False
