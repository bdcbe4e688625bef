"""Whether two groups differ, by how much, and how sure that is: rank tests and their effect sizes.

Arcuri and Briand (2011) ask for these wherever randomised algorithms are compared, and Klees et al.
(2018) wherever fuzzers are. Tests are scipy's where it has them; without scipy there are none.
"""
import functools
import math

# Below it, a difference is called one.
SIGNIFICANT = 0.05

# How far A12 is from 1/2, in words (Vargha and Delaney 2000).
_WORDS = ((0.06, "negligible"), (0.14, "small"), (0.21, "medium"))


@functools.lru_cache(maxsize=None)
def statistics():
    """scipy.stats, or None. It takes a second to load."""
    try:
        from scipy import stats
    except ImportError:
        return None
    return stats


def _ranks(x, y):
    """All that a rank test uses: infinities, which stand for `never`, would disturb scipy."""
    ranks = statistics().rankdata(list(x) + list(y))
    return ranks[:len(x)], ranks[len(x):]


def a12(x, y):
    """How likely a value of x is greater than one of y, ties counted as half (Vargha and Delaney)."""
    ours, _ = _ranks(x, y)
    return (float(sum(ours)) / len(x) - (len(x) + 1) / 2) / len(y)


def word(value):
    """An A12 in words."""
    distance = abs(value - 0.5)
    return next((name for limit, name in _WORDS if distance < limit - 1e-9), "large")


def mann_whitney(x, y):
    """{p, a12}: Mann and Whitney's U test, two-sided. None: no values, or no scipy."""
    stats = statistics()
    if stats is None or not len(x) or not len(y):
        return None
    if len(set(x) | set(y)) == 1:
        return {"p": 1.0, "a12": 0.5}
    ours, theirs = _ranks(x, y)
    found = stats.mannwhitneyu(ours, theirs, alternative="two-sided")
    return {"p": float(found.pvalue), "a12": float(found.statistic) / (len(x) * len(y))}


def _sign_test(x, y):
    """Of values in pairs; ties say nothing."""
    greater = sum(ours > theirs for ours, theirs in zip(x, y))
    less = sum(ours < theirs for ours, theirs in zip(x, y))
    p = 1.0
    if greater + less:
        p = float(statistics().binomtest(greater, greater + less).pvalue)
    return {"p": p, "a12": (greater + (len(x) - greater - less) / 2) / len(x), "strata": len(x)}


def stratified(pairs):
    """{p, a12, strata} of many pairs (x, y), each from conditions of its own, such as one strategy:
    values are ranked within a pair only. The test is van Elteren's (1960), two-sided, Mann and Whitney's
    U of all pairs with the weights that are best if all differ alike. `a12` is the pairs' mean. None:
    nothing to compare, or no scipy.

    With one value a side that is the sign test, and with one pair Mann and Whitney's: both are exact."""
    stats = statistics()
    pairs = [(x, y) for x, y in pairs if len(x) and len(y)]
    if stats is None or not pairs:
        return None
    if len(pairs) == 1:
        return dict(mann_whitney(*pairs[0]), strata=1)
    if all(len(x) == len(y) == 1 for x, y in pairs):
        return _sign_test([x[0] for x, _ in pairs], [y[0] for _, y in pairs])
    distance = variance = total = 0.0
    for x, y in pairs:
        m, n = len(x), len(y)
        ours, theirs = _ranks(x, y)
        found = (sum(ours) / m - (m + 1) / 2) / n
        total += found
        weight = m * n / (m + n + 1)
        # The variance of the ranks that there are takes care of ties.
        every = list(ours) + list(theirs)
        mean = (m + n + 1) / 2
        spread = sum((rank - mean) ** 2 for rank in every) / (m + n - 1)
        distance += weight * (found - 0.5)
        variance += (weight / (m * n)) ** 2 * m * n * spread / (m + n)
    p = 1.0
    if variance > 0:
        p = min(1.0, float(2 * stats.norm.sf(abs(distance) / math.sqrt(variance))))
    return {"p": p, "a12": total / len(pairs), "strata": len(pairs)}


def holm(values):
    """p values adjusted for their number (Holm 1979): each may be compared with the level that is
    wanted of all together. None stays None, and is not counted."""
    known = sorted((p, i) for i, p in enumerate(values) if p is not None)
    adjusted, greatest = list(values), 0.0
    for rank, (p, i) in enumerate(known):
        greatest = max(greatest, min(1.0, p * (len(known) - rank)))
        adjusted[i] = greatest
    return adjusted
