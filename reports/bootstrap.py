"""Intervals of a mean by resampling (Efron 1979), for numbers that follow no distribution in particular.

Percentile intervals of few values are too narrow; they are taken at levels that make up for it (the
expanded percentile interval: Hesterberg 2015, What Teachers Should Know About the Bootstrap, 5.3). Of
skewed shares of coverage they hold the true mean in 91 % of all cases with 5 values, in 94 % with 8,
in 95 % with 25.
"""
import functools
import math

import numpy

from reports import effect

LEVEL = 0.95

# With fewer values a band would be an invention.
FEWEST = 5

_RESAMPLES = 2000


@functools.lru_cache(maxsize=None)
def _weights(n, seed):
    """How often each of n values is drawn, in each resample, as a share: means are one product."""
    draws = numpy.random.default_rng(seed).integers(0, n, (_RESAMPLES, n))
    return numpy.stack([numpy.bincount(draw, minlength=n) for draw in draws]) / n


def band(values, seed=1):
    """(low, high) at LEVEL of the mean over the first axis of `values`, pointwise along the second.
    None: fewer than FEWEST values, or no scipy. The same values give the same band."""
    stats = effect.statistics()
    values = numpy.asarray(values, dtype=float)
    n = len(values)
    if stats is None or n < FEWEST:
        return None
    means = _weights(n, seed) @ values
    tail = stats.norm.cdf(-math.sqrt(n / (n - 1)) * stats.t.ppf((1 + LEVEL) / 2, n - 1))
    return tuple(numpy.quantile(means, (tail, 1 - tail), axis=0))
