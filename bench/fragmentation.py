"""Fragmentation over time: how many bytes a process held for each that was live."""

# Where less than this part of the peak is live, a page decides, and the ratio says nothing.
_LEAST = 0.1


def curve(live, samples):
    """[(operations, footprint / live bytes)]; `live` and `samples` are [(operations, bytes)] of the
    same looks, as `measure` tells them."""
    at = dict(map(tuple, live))
    peak = max(at.values(), default=0)
    return [(step, footprint / at[step]) for step, footprint in samples
            if at.get(step, 0) > _LEAST * peak]


def mean(points):
    """Over time: each ratio counts as long as it lasted. None: there is no curve."""
    if not points:
        return None
    total = lasted = before = 0
    for step, ratio in points:
        total += (step - before) * ratio
        lasted += step - before
        before = step
    return total / lasted
