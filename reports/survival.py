"""How long bugs live: survival analysis of runs that end with a kill or without one.

A sample is (value, died): the executions or CPU seconds after which the bug was killed or, if it was
not, after which it was no longer watched. The latter are censored: the bug lives for at least so
long. They are never dropped, and never taken for kills.

Intervals and tests are scipy's; where there is none, they are None.
"""
import math

from reports import effect
from reports.effect import statistics

LEVEL = 0.95


def kaplan_meier(samples):
    """[(value, share still alive from there on)], a step for each value at which a bug died (Kaplan
    and Meier 1958)."""
    alive, share, steps = len(samples), 1.0, []
    for value in sorted({value for value, _ in samples}):
        deaths = sum(1 for v, died in samples if v == value and died)
        if deaths:
            share *= 1 - deaths / alive
            steps.append((value, share))
        alive -= sum(1 for v, _ in samples if v == value)
    return steps


def median(samples):
    """The smallest value at which no more than half are alive; the mean of the two where exactly half
    are. None: more than half outlived what was watched."""
    steps = kaplan_meier(samples)
    for i, (value, share) in enumerate(steps):
        if share < 0.5 - 1e-9:
            return value
        if share <= 0.5 + 1e-9:
            return (value + steps[i + 1][0]) / 2 if i + 1 < len(steps) else value
    return None


def _endless(samples):
    """Values, where whatever was not killed is later than any kill."""
    return [value if died else math.inf for value, died in samples]


def interval(samples):
    """(low, high) of the median at LEVEL, by order statistics, whatever the distribution; high is inf
    where a survivor bounds it. None: too few samples for that level, or no scipy."""
    stats = statistics()
    if stats is None or len(samples) < 6:
        return None
    values = sorted(_endless(samples))
    # P(X < k) for the number of values below the median, which is binomial (David and Nagaraja).
    k = int(stats.binom.ppf((1 - LEVEL) / 2, len(values), 0.5))
    if k < 1:
        return None
    return values[k - 1], values[len(values) - k]


def share(killed, total):
    """(low, high) at LEVEL of a kill rate (Wilson 1927)."""
    stats = statistics()
    if stats is None or not total:
        return None
    found = stats.binomtest(killed, total).proportion_ci(LEVEL, method="wilson")
    return found.low, found.high


def compare(ours, theirs):
    """{p, a12} of two lists of samples (effect.mann_whitney); A12 is here how likely a bug is killed
    sooner by ours than by theirs. Survivors rank behind all kills, and tie with each other."""
    # Greater values, later kills: the other way round.
    return effect.mann_whitney(_endless(theirs), _endless(ours))
