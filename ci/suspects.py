"""The durable queue of suspects: inputs that engines called findings and that nobody has judged yet.

  DIR/suspects/<sha1>-<n>.json     one suspect, its bytes included; n counts upwards

A suspect is one file, written whole: it is there or it is not, whenever the machine dies. It leaves
the folder with remove(), after what it led to is stored.

A bug that every input shows makes suspects faster than anybody can judge them. So of those that wait
with the same claim (strategy, property and where it showed, as the engine's log tells) only some are
kept; a session's row counts them all. AFL++ claims nothing, but stores only what ran differently, and
those are judged by the hundred.
"""
import base64
import binascii
import collections
import dataclasses
import json
import os
import re
import threading
import typing

from ci import corpus_folder
from ci.engine_session import Suspect
from reports import files

# Suspects of one claim that may wait; of a hang, each of which takes its minute to judge.
WAITING, WAITING_SLOW = 32, 4

# Bytes of all that wait. Beyond them only what nobody has claimed yet is taken.
MOST_BYTES = 256 << 20

_NAME = re.compile(r"([0-9a-f]{40})-(\d+)\.json")


def place(diagnosis):
    """A diagnosis without what differs from time to time: addresses, sizes."""
    return re.sub(r"0x[0-9a-f]+|\d+", "N", diagnosis)


def claim(suspect):
    """What an engine says it is; None if it says no more than that it crashed."""
    if suspect.kind == "crash" and not suspect.property:
        return None
    return suspect.strategy, suspect.kind, suspect.property, place(suspect.diagnosis)


@dataclasses.dataclass(eq=False)
class Waiting:
    """A suspect in the queue, without its bytes."""
    path: str
    number: int
    key: typing.Tuple
    claim: typing.Optional[typing.Tuple]
    size: int
    strategy: str
    slow: bool               # worth a process of its own
    taken: bool = False

    def read(self):
        """The Suspect; ValueError if the file is damaged."""
        return _read(self.path)


def _key(suspect):
    """Equal for suspects of which one will do."""
    if suspect.data is None:
        return suspect.strategy, "", claim(suspect)
    return suspect.strategy, corpus_folder.sha1(suspect.data)


def _read(path):
    try:
        with open(path, encoding="utf-8") as f:
            fields = json.load(f)
        known = {field.name for field in dataclasses.fields(Suspect)}
        if fields["data"] is not None:
            fields["data"] = base64.b64decode(fields["data"], validate=True)
        return Suspect(**{key: value for key, value in fields.items() if key in known})
    except (KeyError, TypeError, binascii.Error) as error:
        raise ValueError("%s is no suspect: %s" % (path, error)) from error


class Queue:
    """One folder. Any thread may call."""

    def __init__(self, folder):
        self.folder = folder
        self.skipped = collections.Counter()   # claim: how many were not kept
        self.damaged = []                      # files that are no suspects: moved aside, told
        self._waiting = {}                     # key: Waiting
        self._claims = collections.Counter()
        self._bytes = 0
        self._next = 0
        self._changed = threading.Condition()
        os.makedirs(folder, exist_ok=True)
        self._load()

    def _load(self):
        for name in os.listdir(self.folder):
            path = os.path.join(self.folder, name)
            match = _NAME.fullmatch(name)
            if not match:
                # What was being written when the machine died. Its input is where it came from.
                if name.endswith(".tmp"):
                    os.unlink(path)
                continue
            self._next = max(self._next, int(match.group(2)) + 1)
            try:
                suspect = _read(path)
            except ValueError:
                os.replace(path, path + ".damaged")
                self.damaged.append(path + ".damaged")
                continue
            if _key(suspect) in self._waiting:
                os.unlink(path)
            else:
                self._enter(suspect, path, int(match.group(2)))

    def _enter(self, suspect, path, number):
        entry = Waiting(path, number, _key(suspect), claim(suspect), len(suspect.data or b""),
                        suspect.strategy, suspect.kind != "crash" or suspect.data is None)
        self._waiting[entry.key] = entry
        self._claims[entry.claim] += 1
        self._bytes += entry.size

    def _has_room(self, suspect):
        claimed = claim(suspect)
        if claimed is not None:
            most = WAITING if suspect.kind == "crash" else WAITING_SLOW
            if self._claims[claimed] >= most:
                return False
        return (not self._claims[claimed] or
                self._bytes + len(suspect.data or b"") <= MOST_BYTES)

    def put(self, suspect):
        """Keeps a suspect: it is on the disk when this returns. False if one like it waits already,
        or enough of its claim do."""
        with self._changed:
            key = _key(suspect)
            if key in self._waiting:
                return False
            if not self._has_room(suspect):
                self.skipped[claim(suspect)] += 1
                return False
            fields = dataclasses.asdict(suspect)
            if suspect.data is not None:
                fields["data"] = base64.b64encode(suspect.data).decode()
            path = os.path.join(self.folder, "%s-%d.json" % (
                corpus_folder.sha1(suspect.data or b""), self._next))
            files.write_whole(path, json.dumps(fields))
            self._enter(suspect, path, self._next)
            self._next += 1
            self._changed.notify_all()
            return True

    def take(self, most):
        """Up to `most` of those that wait, oldest first, all of one strategy; one alone if it is
        slow to judge. They stay in the folder until they are removed."""
        with self._changed:
            free = sorted((entry for entry in self._waiting.values() if not entry.taken),
                          key=lambda entry: (entry.slow, entry.number))
            taken = [entry for entry in free if entry.strategy == free[0].strategy and
                     not entry.slow][:most] or free[:1]
            for entry in taken:
                entry.taken = True
            return taken

    def put_back(self, entries):
        """What was taken waits again."""
        with self._changed:
            for entry in entries:
                entry.taken = False
            self._changed.notify_all()

    def remove(self, entries):
        """They have been dealt with."""
        with self._changed:
            for entry in entries:
                if self._waiting.pop(entry.key, None) is None:
                    continue
                self._claims[entry.claim] -= 1
                self._bytes -= entry.size
                try:
                    os.unlink(entry.path)
                except FileNotFoundError:
                    pass
            self._changed.notify_all()

    def wait(self, seconds):
        """Until something changes."""
        with self._changed:
            self._changed.wait(seconds)

    def wake(self):
        with self._changed:
            self._changed.notify_all()

    def __len__(self):
        """Those that wait, and those that are being judged."""
        return len(self._waiting)
