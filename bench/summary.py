"""Medians with their spread."""
import statistics


def spread(values):
    """Median, quartiles, minimum and maximum of at least one value."""
    values = sorted(values)
    if len(values) > 1:
        first, _, third = statistics.quantiles(values, n=4, method="inclusive")
    else:
        first = third = values[0]
    return {"median": statistics.median(values), "q1": first, "q3": third, "low": values[0],
            "high": values[-1], "rounds": len(values)}
