"""Who fuzzes next where jobs share a short time: each gets a first turn soon, then all get the same.

The interface is that of shares.Fixed and scheduler.Scheduler. Jobs are tried in the order in which they
come, so that what is broken in any of them shows early; from then on whoever has had least is next.
"""

# Seconds of a first turn: at most, and the least in which an engine does more than to start.
FIRST, SHORTEST = 2.5, 1.4

# Seconds that a job needs so that the others have their turn as well, start and end included.
_COMFORT = 2.2

# Seconds of later turns, at most: a job that ends in findings only must not keep a core.
_LONGEST = 60.0


def chosen(jobs, cores, seconds, least):
    """As many of the jobs, from the first on, as there is time for; up to `least` if they must hurry."""
    time = seconds * cores
    return list(jobs)[:max(int(time / _COMFORT), min(least, int(time / SHORTEST + 0.01)))]


class Turns:
    """Shares `cores` among `keys` for `seconds`."""

    def __init__(self, keys, cores, seconds):
        self._keys = list(keys)
        self._had = {key: 0.0 for key in self._keys}
        self._turns = dict.fromkeys(self._keys, 0)
        self._resting = {}
        self._cores, self._seconds, self._deadline = cores, seconds, None
        each = seconds * cores / max(1, len(self._keys))
        self._first = each if each < 2 * SHORTEST else min(FIRST, max(SHORTEST, each / 3))

    def next(self, now, running, _core):
        if self._deadline is None:
            self._deadline = now + self._seconds
        left = self._deadline - now
        keys = [key for key in self._keys if self._resting.get(key, 0) <= now]
        if not keys or left < 1:
            return None
        others = [key for key in keys if key not in running]
        key = min(others or keys, key=lambda key: (self._turns[key] > 0, self._had[key]))
        waiting = sum(not self._turns[other] for other in self._keys)
        if waiting:
            # Whoever started late must not cost another his turn.
            seconds = min(self._first, left / -(-waiting // self._cores))
        else:
            seconds = min(_LONGEST, max(self._first, left * self._cores / len(self._keys)))
        self._turns[key] += 1
        if waiting <= 1 and left - seconds < SHORTEST:
            seconds = left
        self._had[key] += seconds
        return key, seconds

    def moved(self, key, cpu_seconds, new_coverage=0, new_findings=0, new_features=0):
        """What a job came to since the last call: shares are equal whatever it is."""

    def drop(self, key):
        """The job is not to run any more."""
        if key in self._keys:
            self._keys.remove(key)

    def rest(self, key, until):
        """The job is to run no more until then. True: it will be asked for again."""
        self._resting[key] = until
        return True

    def started(self, key, seconds):
        """Start-up takes from the job's own share."""

    def parked(self, _key):
        return False
