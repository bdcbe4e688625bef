"""The phases of a campaign, and how its time is divided among them.

Fuzzing gets what the others leave. Each of them is kept a part of the campaign's time, between the
least that it is any use with and the most that it can use; where the part is less than that, the
campaign goes without the phase, and says so.
"""
import dataclasses

from reports import text

# In this order. `report` is no phase: it is there at the end, whatever happened.
NAMES = ("replay", "fuzz", "settle", "minimise", "coverage", "power", "benchmarks")


@dataclasses.dataclass
class Reserve:
    """Time that is kept for a phase after the fuzzing."""
    name: str
    part: float              # of the campaign's time
    least: float             # seconds
    most: float
    what: str                # that is not known without it


RESERVES = (
    Reserve("settle", 0.03, 2, 900, ""),
    Reserve("minimise", 0.02, 2, 900, "the corpus stays as it is"),
    Reserve("coverage", 0.04, 30, 1200, "which lines ran is not known"),
    Reserve("power", 0.06, 60, 3600, "what planted bugs say of the search is not known"),
    Reserve("benchmarks", 0.06, 60, 1800, "speed and memory are not measured"),
)

# What a user may do without.
OPTIONAL = ("minimise", "coverage", "power", "benchmarks")


class Plan:
    """The division of `seconds`, `without` some phases."""

    def __init__(self, seconds, without=()):
        self.seconds = seconds
        self.reserved = {}
        self.skipped = {}        # name: why
        for reserve in RESERVES:
            kept = min(reserve.part * seconds, reserve.most)
            if reserve.name in without:
                self.skipped[reserve.name] = "left out, as was asked for: " + reserve.what
            elif kept < reserve.least and reserve.name in OPTIONAL:
                self.skipped[reserve.name] = (
                    "%s is too short: it takes a campaign of %s; %s" % (
                        text.duration(seconds), text.duration(reserve.least / reserve.part),
                        reserve.what))
            else:
                self.reserved[reserve.name] = max(kept, min(reserve.least, 0.1 * seconds))

    def until(self, name):
        """Campaign seconds at which a phase must be over, so that the later ones get their time."""
        later = NAMES[NAMES.index(name) + 1:]
        return self.seconds - sum(self.reserved.get(other, 0) for other in later)
