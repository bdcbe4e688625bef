"""The folder of findings: each identity (strategy, property, signature) once, each file complete.

  findings/<strategy>/<property>-<signature>-<sha1>        the program, in bytes
                                             ....txt       as text
                                             ....c         as a C program against the vtable
                                             ....json      what is known about it
                                             ....log       of the fuzzer, if replays are clean
"""
import dataclasses
import json
import os
import re
import shlex

from ci import corpus_folder
from reports import files, results

_NAME = re.compile(r"(?P<stem>.+-[0-9a-f]{8})-[0-9a-f]{40}")


def file_stem(property_id, signature):
    """`<property>-<signature>` as part of a file's name, which must be a Bazel label."""
    return "%s-%s" % (re.sub(r"[^A-Za-z0-9._+-]", "-", property_id), signature)


def commands(path):
    """What a person types to go on with a finding; the .json file tells ci/repro the strategy."""
    base = "ci/repro " + shlex.quote(path)
    return {"repro": base, "emit_c": base + " --emit-c", "gdb": base + " --gdb"}


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
            with open(path + ".json", encoding="utf-8") as f:
                fields = json.load(f)
        except (OSError, ValueError):
            # Cut off before this file was written, or damaged since: the program is what counts.
            pass
        known = {field.name for field in dataclasses.fields(results.Finding)}
        fields = {key: value for key, value in fields.items() if key in known}
        fields.update(name=name, strategy=strategy, property=property_id, signature=signature,
                      path=path, known=True, inputs={})
        finding = results.Finding(**fields)
        try:
            with open(path + (".log" if finding.flaky else ".txt"), encoding="utf-8",
                      errors="replace") as f:
                finding.text = f.read()
        except OSError:
            pass
        return finding

    def add(self, finding, data, c_program="", log=""):
        """Stores a finding whose name and path are not set yet, and sets them."""
        folder = os.path.join(self.folder, finding.strategy)
        os.makedirs(folder, exist_ok=True)
        finding.name = "%s-%s" % (file_stem(finding.property, finding.signature),
                                  corpus_folder.sha1(data))
        path = os.path.join(folder, finding.name)
        finding.path = path
        finding.commands = commands(path)
        # The program first: should the machine die here, the finding is not lost.
        files.write_whole(path, data)
        if not finding.flaky and finding.text:
            files.write_whole(path + ".txt", finding.text)
        if c_program:
            files.write_whole(path + ".c", c_program)
        if log:
            files.write_whole(path + ".log", log)
        self.describe(finding)

    def describe(self, finding):
        """Writes what is known about a stored finding."""
        fields = dataclasses.asdict(finding)
        for key in ("text", "known", "path", "inputs"):
            del fields[key]
        files.write_whole(finding.path + ".json", json.dumps(fields, indent=2) + "\n")
