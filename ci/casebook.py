"""What a campaign knows of findings: each identity once, in files and in the history.

Files come first, then one transaction with all that the history says of it; only then may what led
there be forgotten. Whoever dies in between does the same again, and comes to the same: rows are keyed
by identity and by input, and files that no row knows are taken over or swept.
"""
import dataclasses
import datetime
import json
import os
import typing

from ci import corpus_folder, known_findings
from reports import results


@dataclasses.dataclass(eq=False)
class Case:
    """A finding of this or of an earlier campaign."""
    finding: results.Finding
    row: typing.Optional[int] = None   # in the history
    here: bool = False                 # this campaign has said what it thinks of it
    changed: bool = True               # since it was written into the history
    formerly: str = ""                 # what the campaign before said
    aliases: typing.Set[str] = dataclasses.field(default_factory=set)

    @property
    def identity(self):
        return self.finding.strategy, self.finding.property, self.finding.signature

    @property
    def on_a_word(self):
        """Only an engine said so: no replay has ever shown it."""
        return self.finding.operations is None

    @property
    def settled(self):
        """Another input of this identity is but another sighting."""
        return self.here and (self.on_a_word or self.finding.status in (
            results.NEW, results.KNOWN_ONE) and self.finding.replays.get("same"))


def now():
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def input_name(suspect):
    """As a sighting names it."""
    return corpus_folder.sha1(suspect.data or b"")


_COLUMNS = ("strategy", "property", "signature", "name", "diagnosis", "site", "file", "line", "function",
            "guilty", "operations", "build", "tier", "first_visible", "source", "text", "c_program",
            "explanation")


class Casebook:
    """The findings of a folder, as one campaign goes on. For one thread at a time."""

    def __init__(self, store, history, campaign, known=None, today=None):
        self.store = store
        self._history = history
        self._campaign = campaign
        self._known = known or known_findings.Known()
        self._today = today
        self._base = os.path.dirname(os.path.abspath(store.folder))
        self._cases = {}       # identity, or alias of one: Case
        self._load()

    # ## What is known already

    def _load(self):
        cases = []
        for row in self._history.query(
                "SELECT f.*, c.status, c.reason, c.expires, c.replays, c.same, c.engine, c.sanitizer,"
                " c.executions, c.seconds, c.campaign IS NOT NULL AS here,"
                " (SELECT status FROM campaign_findings o WHERE o.finding = f.id AND o.campaign != ?1"
                " ORDER BY o.campaign DESC LIMIT 1) AS formerly FROM findings f LEFT JOIN campaign_findings c"
                " ON c.finding = f.id AND c.campaign = ?1 ORDER BY c.seconds, f.id", self._campaign):
            cases.append(self._case(row))
        for case in cases:
            self._cases[case.identity] = case
        for case in cases:
            for alias in case.aliases:
                self._cases.setdefault((*case.identity[:2], alias), case)
        self.store.sweep({case.identity: case.finding.name for case in cases})

    def _case(self, row):
        fields = {name: row[name] for name in _COLUMNS}
        path = os.path.join(self._base, row["path"])
        finding = results.Finding(
            **fields, path=path, commands=results.commands(path, row["c_program"]), version=row["assay"],
            since=row["stored"], known=bool(row["formerly"]) or not row["here"])
        case = Case(finding, row["id"], bool(row["here"]), False, row["formerly"] or "",
                    self.store.aliases(path))
        if case.here:
            for name in ("status", "reason", "expires", "engine", "sanitizer", "executions",
                         "seconds"):
                setattr(finding, name, row[name])
            if row["replays"]:
                finding.replays = {"runs": row["replays"], "same": row["same"]}
            finding.flaky = (finding.status != results.FIXED and
                             row["same"] < max(1, row["replays"]))
            for count in self._history.query(
                    "SELECT j.engine, count(*) AS inputs FROM sightings s JOIN jobs j ON j.id = s.job"
                    " WHERE s.campaign = ? AND s.finding = ? GROUP BY j.engine",
                    self._campaign, case.row):
                finding.inputs[count["engine"]] = count["inputs"]
        return case

    def find(self, identity):
        """The Case of an identity, or None."""
        return self._cases.get(identity)

    def seen(self, suspect):
        """Whether this campaign has judged an input already."""
        return suspect.data is not None and self._history.one(
            "SELECT 1 FROM sightings s JOIN findings f ON f.id = s.finding"
            " WHERE s.campaign = ? AND s.input = ? AND f.strategy = ?",
            self._campaign, input_name(suspect), suspect.strategy) is not None

    def cases(self):
        """Each once."""
        return list({id(case): case for case in list(self._cases.values())}.values())

    @property
    def findings(self):
        """This campaign's, in the order in which they were found."""
        return sorted((case.finding for case in self.cases() if case.here),
                      key=lambda finding: finding.seconds or 0)

    # ## What comes to be known

    def judge(self, case, replays, same, fixed=""):
        """Enters what replays said into the case's finding: status, and why. `fixed`: it is, and
        this is how."""
        finding = case.finding
        finding.replays = {"runs": replays, "same": same} if replays else {}
        # What is fixed needs no entry any more, and the campaign says so.
        entry = None if fixed else self._known.match(finding, self._today)
        finding.reason = finding.expires = ""
        if fixed:
            finding.status, finding.reason = results.FIXED, fixed
        elif entry:
            finding.status = results.KNOWN_ONE
            finding.reason, finding.expires = entry.reason, entry.expires.isoformat()
        else:
            finding.status = results.NEW if replays and same == replays else results.FLAKY
        finding.flaky = not fixed and same < max(1, replays)

    def add(self, case, data, aliases=(), **beside):
        """Stores a case's files, in place of those that it had under another name; record() makes
        it known. `beside`: what FindingStore.add takes."""
        case.aliases.update(aliases)
        case.aliases.discard(case.finding.signature)
        case.finding.since = case.finding.since or now()
        case.changed = True
        self.store.add(case.finding, data, aliases=sorted(case.aliases), **beside)

    def record(self, case, suspects=()):
        """One transaction: the finding, what this campaign says of it, and the inputs that showed
        it. True if it is new to this campaign."""
        finding = case.finding
        new = not case.here
        with self._history.transaction():
            row = case.row or self._stored_row(case.identity)
            columns = {name: getattr(finding, name) for name in _COLUMNS}
            columns.update(path=os.path.relpath(finding.path, self._base), stored=finding.since,
                           assay=finding.version,
                           story=json.dumps(finding.story) if finding.story else "")
            if row is None:
                row = self._history.insert("findings", **columns)
            elif case.changed:
                self._history.upsert("findings", ("strategy", "property", "signature"), **columns)
            self._history.upsert(
                "campaign_findings", ("campaign", "finding"), campaign=self._campaign, finding=row,
                status=finding.status, reason=finding.reason, expires=finding.expires,
                replays=finding.replays.get("runs", 0), same=finding.replays.get("same", 0),
                engine=finding.engine, sanitizer=finding.sanitizer, executions=finding.executions,
                seconds=finding.seconds)
            fresh = self._sight(row, suspects)
        case.row, case.here, case.changed = row, True, False
        finding.story = None   # it is in the history; thousands of them would fill the memory
        self._cases[case.identity] = case
        for alias in case.aliases:
            self._cases.setdefault((*case.identity[:2], alias), case)
        self._count(case, fresh)
        return new

    def sight(self, sighted):
        """[(case, its suspects)]: other inputs of what is known, in one transaction."""
        with self._history.transaction():
            fresh = [(case, self._sight(case.row, suspects)) for case, suspects in sighted]
        for case, suspects in fresh:
            self._count(case, suspects)

    def _sight(self, row, suspects):
        fresh = []
        for suspect in suspects:
            if self._history.write(
                    "INSERT OR IGNORE INTO sightings (campaign, finding, input, job)"
                    " VALUES (?, ?, ?, (SELECT id FROM jobs WHERE id = ?))", self._campaign, row, input_name(suspect),
                    suspect.job).rowcount > 0:
                fresh.append(suspect)
        return fresh

    @staticmethod
    def _count(case, suspects):
        inputs = case.finding.inputs
        for suspect in suspects:
            inputs[suspect.engine] = inputs.get(suspect.engine, 0) + 1

    def _stored_row(self, identity):
        row = self._history.one("SELECT id FROM findings WHERE strategy = ? AND property = ?"
                                " AND signature = ?", *identity)
        return row["id"] if row else None

    def alias(self, case, signature):
        """Another signature that minimising has brought down to this case."""
        if signature != case.finding.signature and signature not in case.aliases:
            case.aliases.add(signature)
            self.store.describe(case.finding, sorted(case.aliases))
            self._cases.setdefault((*case.identity[:2], signature), case)

    def tidy(self, case):
        """Removes files that the case had before it was stored anew."""
        self.store.sweep({case.identity: case.finding.name})

    def unstored(self, identity):
        """A finding whose files are there though the history does not know them, or None."""
        return None if self._stored_row(identity) else self.store.stored(*identity)
