"""The reviewed file of findings that are accepted for now, with a reason and an expiry date.

    known = known_findings.load(path)
    entry = known.match(finding, today)     # None: nobody accepted it, or no longer

A mistake in the file is an error, never an entry that silently suppresses nothing.
"""
import dataclasses
import datetime
import os
import re
import tomllib

from ci.workbench import CannotRun, shown

# What a campaign takes unless it is told another one.
FILE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "known_findings.toml")

_FIELDS = ("strategy", "property", "signature", "reason", "expires")


@dataclasses.dataclass(frozen=True)
class Entry:
    strategy: str
    property: str
    signature: str
    reason: str
    expires: datetime.date   # the last day on which it counts

    @property
    def identity(self):
        return self.strategy, self.property, self.signature

    def __str__(self):
        return "%s %s %s" % self.identity


class Known:
    """The file's entries."""

    def __init__(self, entries=(), path=""):
        self.path = path
        self.entries = {entry.identity: entry for entry in entries}
        self._matched = set()

    def match(self, finding, today=None):
        """The entry that accepts a finding (anything with strategy, property and signature); None
        if there is none or it has expired."""
        entry = self.entries.get((finding.strategy, finding.property, finding.signature))
        if entry is None:
            return None
        self._matched.add(entry.identity)
        return entry if (today or _today()) <= entry.expires else None

    def complaints(self, strategies=None, today=None):
        """What a reviewer must know, one line each: entries that have expired, and, of the
        strategies that were fuzzed (None: of all), those that matched nothing."""
        today = today or _today()
        for entry in self.entries.values():
            if today > entry.expires:
                yield "%s: %s expired on %s and suppresses nothing: mend the bug, or review the entry" % (
                    shown(self.path), entry, entry.expires)
            elif entry.identity not in self._matched and (
                    strategies is None or entry.strategy in strategies):
                yield "%s: %s matched no finding: remove the entry if the bug is mended" % (
                    shown(self.path), entry)


def _today():
    return datetime.datetime.now(datetime.timezone.utc).date()


def load(path=FILE):
    """CannotRun, naming the entry and the cure, if the file is not as it must be."""
    try:
        with open(path, "rb") as f:
            document = tomllib.load(f)
    except OSError as error:
        raise CannotRun("%s: %s: name a file of known findings with --known" % (
            shown(path), error.strerror)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CannotRun("%s: no TOML: %s" % (shown(path), error)) from error
    strange = sorted(set(document) - {"finding"})
    if strange:
        raise CannotRun("%s: '%s' is not known here; entries are called [[finding]]" % (
            shown(path), strange[0]))
    tables = document.get("finding", [])
    if not isinstance(tables, list):
        raise CannotRun("%s: write [[finding]], with two brackets: there may be several" %
                        shown(path))
    entries = {}
    for number, table in enumerate(tables, 1):
        try:
            entry = _entry(table)
            if entry.identity in entries:
                raise ValueError("%s is there twice: remove one" % entry)
        except ValueError as error:
            raise CannotRun("%s: finding %d: %s" % (shown(path), number, error)) from error
        entries[entry.identity] = entry
    return Known(entries.values(), path)


def _entry(table):
    """ValueError tells what is wrong with it."""
    if not isinstance(table, dict):
        raise ValueError("write it as a table [[finding]]")
    for name in _FIELDS:
        if name not in table:
            raise ValueError("'%s' is missing; an entry has %s" % (name, ", ".join(_FIELDS)))
    strange = sorted(set(table) - set(_FIELDS))
    if strange:
        raise ValueError("'%s' is not known; an entry has %s" % (strange[0], ", ".join(_FIELDS)))
    fields = dict(table, expires=_date(table["expires"]))
    for name in _FIELDS[:-1]:
        value = fields[name]
        if not isinstance(value, str) or not value.strip():
            raise ValueError("'%s' must be a text that is not empty" % name)
    if not re.fullmatch("[0-9a-f]{8}", fields["signature"]):
        raise ValueError("signature '%s' is not eight hexadecimal digits, as in the finding's name" %
                         fields["signature"])
    return Entry(**fields)


def _date(value):
    if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        return value
    try:
        if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value):
            return datetime.date.fromisoformat(value)
    except ValueError:
        pass
    raise ValueError("expires '%s' is no day; write YYYY-MM-DD" % value)
