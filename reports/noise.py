"""Whether a measured value has changed against those of former campaigns, or is within the noise.

Many series are looked at together: each strategy on each workload. What one of them scatters by is not
known from three or four values, so that of all is lent to it (a moderated t test: Smyth 2004, Linear
Models and Empirical Bayes). All p values are adjusted together (Holm), so that not one in twenty
series is called changed for nothing.
"""
import dataclasses
import math
import statistics

from reports import effect

# With fewer former campaigns nothing is known of the noise between them.
FEWEST = 3

# Older ones are of other sources, and perhaps of another machine.
MOST = 10

# So many degrees of freedom have what is lent, and is never less than the precision of a figure.
_LENT = 4
_LEAST = 0.002


@dataclasses.dataclass
class Change:
    """Of one series. Relative: 0.1 is ten per cent more than before."""
    former: int
    before: float            # mean of the former values
    change: float
    noise: float             # half the width of the 95 % interval of a value that has not changed
    p: float = None          # adjusted; None: too few former values

    @property
    def outside(self):
        return self.p is not None and self.p < effect.SIGNIFICANT


def _deviation(values):
    """(squares summed, degrees of freedom)."""
    mean = statistics.fmean(values)
    return sum((value - mean) ** 2 for value in values), len(values) - 1


def changes(series, group=lambda key: None):
    """{key: Change} of {key: (former values, value, quartiles or None)}, all greater than 0; the older of
    the former are first. Only series of the same `group` lend each other their noise. Empty without
    scipy."""
    if effect.statistics() is None:
        return {}
    from scipy.special import stdtr, stdtrit
    logs = {key: [math.log(value) for value in former[-MOST:]]
            for key, (former, _, _) in series.items() if former}
    known = {key: _deviation(values) for key, values in logs.items() if len(values) >= FEWEST}
    groups = {}
    for key, (squares, degrees) in known.items():
        total = groups.setdefault(group(key), [0.0, 0])
        total[0], total[1] = total[0] + squares, total[1] + degrees
    found = {}
    for key, values in logs.items():
        _, value, quartiles = series[key]
        mean = statistics.fmean(values)
        told = Change(len(values), math.exp(mean), value / math.exp(mean) - 1, None)
        found[key] = told
        if key not in known:
            continue
        squares, degrees = known[key]
        lent = groups[group(key)][0] / groups[group(key)][1]
        # Where it scatters more than others do, that is its own noise.
        variance = max((squares + _LENT * lent) / (degrees + _LENT), squares / degrees,
                       _LEAST ** 2)
        now = max(variance, _within(quartiles) ** 2)
        scale = math.sqrt(now + variance / len(values))
        freedom = degrees + _LENT
        told.noise = math.exp(float(stdtrit(freedom, 0.975)) * scale) - 1
        told.p = float(2 * stdtr(freedom, -abs(math.log(value) - mean) / scale))
    for told, adjusted in zip(found.values(), effect.holm([t.p for t in found.values()])):
        told.p = adjusted
    return found


def _within(quartiles):
    """Deviation of the value itself, from the quartiles of its rounds, as of a normal distribution."""
    if not quartiles or None in quartiles or min(quartiles) <= 0:
        return 0.0
    return (math.log(quartiles[1]) - math.log(quartiles[0])) / 1.349
