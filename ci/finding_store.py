"""The folder of findings: each identity (strategy, property, signature) once, each file complete.

  findings/<strategy>/<property>-<signature>-<sha1>        the program, in bytes
                                             ....txt       as text
                                             ....c         as a C program against the vtable
                                             ....svg       the heap map: address by operation
                                             ....md        all of it, as a bug report
                                             ....json      what is known about it
                                             ....log       of the fuzzer, if replays are clean
"""
import dataclasses
import json
import os
import re

from ci import corpus_folder, provenance, workbench
from reports import bug_report, files, heap_map, results

# Of the .json files: grows when a field changes its meaning or goes.
SCHEMA = 1

_NAME = re.compile(r"(?P<stem>.+-[0-9a-f]{8})-[0-9a-f]{40}")


def file_stem(property_id, signature):
    """`<property>-<signature>` as part of a file's name, which must be a Bazel label."""
    return "%s-%s" % (re.sub(r"[^A-Za-z0-9._+-]", "-", property_id), signature)


class Unusable(Exception):
    """What is known about a finding cannot be used; its message says why."""


class OtherVersion(Unusable):
    """A newer Assay wrote it."""


def read_facts(path):
    """What the .json file says. FileNotFoundError; Unusable if it is damaged; OtherVersion."""
    try:
        with open(path, encoding="utf-8") as f:
            facts = json.load(f)
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        raise Unusable("%s is not read: %s" % (workbench.shown(path), error)) from error
    if not isinstance(facts, dict):
        raise Unusable("%s is no finding" % workbench.shown(path))
    schema = facts.get("schema", SCHEMA)
    if not isinstance(schema, int) or schema > SCHEMA:
        raise OtherVersion("%s is of schema %s, from a newer version of Assay (%s); this one knows %d" % (
            workbench.shown(path), schema, facts.get("version") or "unknown", SCHEMA))
    return facts


class FindingStore:
    """The findings below one folder."""

    def __init__(self, folder):
        self.folder = folder
        os.makedirs(folder, exist_ok=True)

    def stored(self, strategy, property_id, signature):
        """The finding of that identity from this or an earlier run, or None."""
        folder = os.path.join(self.folder, strategy)
        stem = file_stem(property_id, signature)
        try:
            names = sorted(os.listdir(folder))
        except FileNotFoundError:
            return None
        for name in names:
            match = _NAME.fullmatch(name)
            if match and match.group("stem") == stem:
                return self._load(folder, name, strategy, property_id, signature)
        return None

    def _load(self, folder, name, strategy, property_id, signature):
        path = os.path.join(folder, name)
        fields = {}
        try:
            fields = read_facts(path + ".json")
        except (FileNotFoundError, Unusable):
            # Cut off before this file was written, or damaged since: the program is what counts.
            pass
        known = {field.name for field in dataclasses.fields(results.Finding)}
        fields = {key: value for key, value in fields.items() if key in known}
        fields.update(name=name, strategy=strategy, property=property_id, signature=signature,
                      path=path, known=True, inputs={},
                      commands=results.commands(path, os.path.exists(path + ".c")))
        finding = results.Finding(**fields)
        try:
            with open(path + (".log" if finding.flaky else ".txt"), encoding="utf-8",
                      errors="replace") as f:
                finding.text = f.read()
        except OSError:
            pass
        return finding

    def aliases(self, path):
        """Other signatures that were brought down to a stored finding."""
        try:
            aliases = read_facts(path + ".json").get("aliases")
        except (FileNotFoundError, Unusable):
            return set()
        return {alias for alias in aliases if isinstance(alias, str)} if isinstance(
            aliases, list) else set()

    def sweep(self, names):
        """Of the identities in {(strategy, property, signature): name}, deletes the files that have
        another name: what was replaced, or was to replace it, when the machine died. And all that
        was being written then."""
        by_stem = {name: {} for name in os.listdir(self.folder)}
        for (strategy, property_id, signature), name in names.items():
            by_stem.setdefault(strategy, {})[file_stem(property_id, signature)] = name
        for strategy, wanted in by_stem.items():
            folder = os.path.join(self.folder, strategy)
            try:
                there = os.listdir(folder)
            except (FileNotFoundError, NotADirectoryError):
                continue
            for entry in there:
                match = _NAME.match(entry)
                if match and (wanted.get(match.group("stem"), match.group()) != match.group() or
                              entry.endswith(".tmp")):
                    os.unlink(os.path.join(folder, entry))

    def add(self, finding, data, c_program="", log="", story=None, explanation="", aliases=()):
        """Stores a finding whose name and path are not set yet, and sets them; and what its story
        tells."""
        folder = os.path.join(self.folder, finding.strategy)
        os.makedirs(folder, exist_ok=True)
        finding.name = "%s-%s" % (file_stem(finding.property, finding.signature),
                                  corpus_folder.sha1(data))
        path = os.path.join(folder, finding.name)
        finding.path = path
        finding.commands = results.commands(path, c_program)
        finding.version = workbench.source_version()
        finding.source = provenance.source_hash(finding.strategy)
        finding.c_program, finding.explanation, finding.story = c_program, explanation, story
        if story:
            finding.replays = finding.replays or story.get("replays") or {}
            sooner = story.get("first_visible")
            finding.first_visible = "%s after %s" % (
                sooner["verdict"], sooner["diagnosis"]) if sooner else ""
        # The program first: should the machine die here, the finding is not lost.
        files.write_whole(path, data)
        if not finding.flaky and finding.text:
            files.write_whole(path + ".txt", finding.text)
        if c_program:
            files.write_whole(path + ".c", c_program)
        if log:
            files.write_whole(path + ".log", log)
        picture = self._draw(story, path)
        if not finding.flaky:
            # A report that is sent somewhere must not name this machine's folders.
            sent = dataclasses.replace(finding, commands=results.commands(finding.name, c_program))
            files.write_whole(path + ".md", bug_report.render(
                sent, story, explanation, c_program, picture))
        self.describe(finding, aliases)

    @staticmethod
    def _draw(story, path):
        """The heap map's file, or ''."""
        if not story:
            return ""
        try:
            files.write_whole(path + ".svg", heap_map.render(story))
        except heap_map.NoStory:
            return ""
        return path + ".svg"

    def describe(self, finding, aliases=()):
        """Writes what is known about a stored finding; not what a campaign thinks of it."""
        fields = {"schema": SCHEMA}
        fields.update(dataclasses.asdict(finding))
        # They hold wherever the files go.
        fields["commands"] = results.commands(finding.name, finding.c_program)
        for key in ("text", "known", "path", "inputs", "status", "reason", "expires", "c_program",
                    "explanation", "story"):
            del fields[key]
        if aliases:
            fields["aliases"] = list(aliases)
        files.write_whole(finding.path + ".json", json.dumps(fields, indent=2) + "\n")
