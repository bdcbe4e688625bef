"""What an ordinary driver of a malloc lab would have noticed of a finding: its own checks, told apart.

Such a driver replays traces of requests that fit in memory. Of each block that it is given it checks the
alignment, that it lies inside the heap, and that its bytes lie in no other live block; it fills a block
with one byte and looks at the first bytes again when the block is resized. Nothing else is looked at, and
memory is fresh and zero.
"""
import re

# Of a block that is resized, these many first bytes are looked at.
LOOKED_AT = 2048

# Properties that such a driver has no check for, and why.
_NEVER = {
    "zeroed": "it does not call calloc",
    "usable-size": "it does not ask for usable sizes",
    "outside-heap": "it has no eye on memory past the break",
    "touched-live-block": "it looks at no block while the allocator works",
    "overlapping-copy": "it looks at no copy",
    "oversize-accepted": "its traces ask for nothing that cannot be had",
    "failed-op-changed-state": "its traces ask for nothing that cannot be had",
    "reset": "it starts each trace but once",
    "nondeterministic": "it runs each trace but once",
    "source-leak": "it does not count",
    "not-pristine": "it does not ask for all of the heap again",
}

# Requests that its traces do not have, by tier.
_TIERS = {"exhaustion": "its traces never run out of memory", "huge": "its traces have no such sizes",
          "edge": "its traces have no size 0 and no NULL", "reinit": "it starts each trace but once"}

_NOTICED = ("alignment", "bounds", "overlap", "crash", "hang", "spurious-oom")

_SIZE = re.compile(r"\bsize=(\d+)")


def why(finding, elsewhere=()):
    """Why a driver would not have noticed a finding; '' if it would. `elsewhere`: (property, tier) of
    all findings: what the tier core or resize shows as well is not the doing of a tier's own requests."""
    property_id = finding.property
    known = {tier for found, tier in elsewhere if found == property_id}
    if finding.strategy in _TIERS and not known & {"core", "resize"}:
        return _TIERS[finding.strategy]
    if property_id.startswith("invariant"):
        return "it does not ask the allocator's own checker"
    if property_id in _NEVER:
        return _NEVER[property_id]
    if property_id in _NOTICED:
        return ""
    if property_id in ("content", "resize-prefix"):
        return _content(finding)
    return "it has no check for that"


def _content(finding):
    """Bytes that changed: noticed only if they are among the first, at a resize."""
    if " resize" not in " " + finding.text.replace("\n", " "):
        return "it looks at a block's bytes at a resize only"
    byte = re.search(r"\bbyte (\d+)\b", finding.diagnosis)
    if byte and int(byte.group(1)) >= LOOKED_AT:
        return "it looks at the first %d bytes only" % LOOKED_AT
    if finding.property == "content" and "resize" not in finding.diagnosis:
        return "it looks at a block's bytes at a resize only"
    return ""


def lines(findings):
    """For the end of a report: which findings such a driver misses, one line for each property."""
    all_of = [(finding.property, finding.strategy) for finding in findings]
    missed = {}
    for finding in findings:
        reason = why(finding, all_of)
        if reason:
            missed.setdefault((finding.property, reason), []).append(finding.strategy)
    noticed = {finding.property for finding in findings} - {key[0] for key in missed}
    if not missed:
        return ["a course's driver, with the right trace, would have noticed all of it"] if findings else []
    told = ["a course's driver would have missed, whatever its traces:"]
    for (property_id, reason), tiers in missed.items():
        told.append("    %s (%s): %s" % (property_id, ", ".join(dict.fromkeys(tiers)), reason))
    if noticed:
        told.append("and, with the right trace, noticed: %s" % ", ".join(sorted(noticed)))
    return told
