"""How numbers, times and names look on the page, beyond what text.py does for every report."""
import hashlib
import re

from reports import text

# What is not printed but changes how the rest of a line reads: order of writing, and nothing at all.
_INVISIBLE = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")

SANITIZERS = {"none": "none", "address": "ASan + UBSan", "memory": "MSan", "thread": "TSan", "": "-"}


def shown(value):
    """What a template puts into the page: hostile text stays visible and stays text."""
    if value is None:
        return ""
    if isinstance(value, str) and not hasattr(value, "__html__"):
        return _INVISIBLE.sub("?", text.printable(value))
    return value


def steady(line):
    """A sentence whose numbers are not broken between thousands."""
    return re.sub(r"(?<=\d) (?=\d{3}(?!\d))", "\u00a0", shown(str(line)))


def short(value):
    """1234567 as `1.2M`: four characters or fewer; `-` where there is none."""
    if value is None:
        return "-"
    for unit, size in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= 0.9995 * size:
            share = value / size
            return ("%.1f" if share < 9.95 else "%.0f") % share + unit
    return "%d" % value


def percent(part, whole):
    """Rounded so that `100 %` says all, and `0 %` none."""
    if not whole:
        return "-"
    share = 100.0 * part / whole
    if 0 < share < 0.1:
        return "< 0.1 %"
    if 99.9 < share < 100:
        return "> 99.9 %"
    return "%.1f %%" % share if share not in (0, 100) else "%d %%" % share


def hours(seconds):
    """`7.4 h`, `12 min`, `8 s`: of CPU time, where the second does not matter."""
    if seconds >= 3600:
        return "%.1f h" % (seconds / 3600)
    return "%.0f min" % (seconds / 60) if seconds >= 100 else "%.0f s" % seconds


def moment(stamp):
    """`2026-11-21 06:04` of an ISO 8601 stamp."""
    return stamp[:16].replace("T", " ")


def ranges(numbers):
    """[(first, last)] of numbers that follow each other."""
    found = []
    for value in sorted(set(numbers)):
        if found and value == found[-1][1] + 1:
            found[-1][1] = value
        else:
            found.append([value, value])
    return [tuple(pair) for pair in found]


def anchor(finding):
    """An id on the page that stays the same from campaign to campaign."""
    name = "%s-%s-%s" % (finding.strategy, finding.property, finding.signature)
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-")
    if plain == name.replace(":", "-").replace(".", "-").strip("-"):
        return "f-" + plain
    # Two names may look the same without what an id cannot hold.
    return "f-%s-%s" % (plain[:60], hashlib.sha1(name.encode("utf-8", "replace")).hexdigest()[:8])


def sanitizer(name):
    return SANITIZERS.get(name, name)
