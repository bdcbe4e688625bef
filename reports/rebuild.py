"""Opens the history of a campaign folder whatever happened to it: a damaged database is set aside, and
a new one made of the files, which are DIR/campaigns/*/record.json and DIR/findings/*/*.json.

A database that lost its newest part, as one without its write-ahead log does, is sound but knows less
than the records: what they have beyond it is entered.
"""
import datetime
import glob
import json
import os
import sqlite3

from reports import files, history, record

# What lies beside the database, and is of no use without it.
_COMPANIONS = ("", "-wal", "-shm", "-journal")

# Of findings' .json files that are columns too.
_FACTS = ("diagnosis", "site", "file", "line", "function", "guilty", "operations", "build", "tier",
          "first_visible", "source")


def open_folder(folder, say=print):
    """The History of a campaign folder, sound and complete as far as the files know; `say` is told
    each thing that had to be repaired or cannot be, a line each. For one process at a time: hold
    the folder's lock. OSError; history.Newer."""
    path = os.path.join(folder, history.NAME)
    lost = not os.path.exists(path) or os.path.getsize(path) == 0
    try:
        db = history.History(path)
    except history.Damaged as damage:
        say(str(damage))
        say("it is kept as %s; the history is rebuilt from the files" % _set_aside(path))
        db, lost = history.History(path), True
    try:
        _recover(db, folder, lost, say)
    except BaseException:
        db.close()
        raise
    return db


def _set_aside(path):
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    kept, number = "%s.damaged-%s" % (path, now), 1
    while os.path.lexists(kept):
        kept, number = "%s.damaged-%s-%d" % (path, now, number), number + 1
    # The database last: killed in between, the next one sets aside what is left.
    for companion in reversed(_COMPANIONS):
        if os.path.lexists(path + companion):
            os.replace(path + companion, kept + companion)
    files.sync_folder(os.path.dirname(os.path.abspath(path)))
    return kept


def _recover(db, folder, lost, say):
    known = {row["uuid"]: row["checkpoint"]
             for row in db.query("SELECT uuid, checkpoint FROM campaigns")}
    recovered, missing = [], []
    for campaign in sorted(glob.glob(os.path.join(glob.escape(folder), "campaigns", "*", ""))):
        uuid = os.path.basename(os.path.dirname(campaign))
        try:
            head = record.peek(os.path.join(campaign, record.NAME))
            if head and head[1] <= known.get(head[0], -1):
                continue
            document = record.read(os.path.join(campaign, record.NAME))
        except FileNotFoundError:
            if lost and uuid not in known:
                missing.append("%s: no record of campaign %s" % (campaign, uuid))
            continue
        except record.Unusable as error:
            # Of a campaign that the database knows, nothing is missing.
            if uuid not in known:
                missing.append(str(error))
            continue
        if document["checkpoint"] <= known.get(document["uuid"], -1):
            continue
        try:
            record.load(db, document)
        except (sqlite3.Error, KeyError, TypeError) as error:
            missing.append("%s cannot be loaded: %s" % (os.path.join(campaign, record.NAME), error))
            continue
        recovered.append((document["uuid"], _when(os.path.join(campaign, record.NAME)),
                          record.ended(document)))
    findings, unread = _findings(db, folder) if lost or recovered else (0, [])
    missing += unread
    for uuid, when, whole in recovered:
        say("history: campaign %s recovered from its record of %s%s" % (
            uuid, when, ", which has all of it" if whole else "; what came after that is lost"))
    if findings:
        say("history: %d finding%s recovered from the files, of which no record knows; replays tell "
            "what has become of %s" % ((findings, "", "it") if findings == 1 else
                                       (findings, "s", "them")))
    for line in missing:
        say("history: not recovered: " + line)


def _findings(db, folder):
    """Enters the findings that lie in the folder, and no record knew. Returns how many, and lines on
    those that could not be read."""
    running = db.one("SELECT id, started FROM campaigns WHERE ended IS NULL ORDER BY id DESC LIMIT 1")
    count, unread = 0, []
    for path in sorted(glob.glob(os.path.join(glob.escape(folder), "findings", "*", "*.json"))):
        try:
            with open(path, encoding="utf-8") as file:
                facts = json.load(file)
            with db.transaction():
                count += _finding(db, folder, path[:-len(".json")], facts, running)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, sqlite3.Error) as error:
            unread.append("%s: %s" % (path, error))
    if count and running:
        # What that campaign said of them is lost: it replays them once more.
        db.write("DELETE FROM phases WHERE campaign = ? AND name = 'replay'", running["id"])
    return count, unread


def _finding(db, folder, program, facts, running):
    """Enters one, and returns whether it was missing. ValueError and the like: the facts are none."""
    if not os.path.exists(program):
        raise ValueError("its program is not there")
    keys = {name: str(facts[name]) for name in ("strategy", "property", "signature")}
    if db.one("SELECT id FROM findings WHERE strategy = ? AND property = ? AND signature = ?",
              *keys.values()):
        return False
    columns = {name: facts[name] for name in _FACTS if facts.get(name) is not None}
    stored = facts.get("since") or _when(program)
    finding = db.insert(
        "findings", **keys, **columns, name=os.path.basename(program),
        path=os.path.relpath(program, folder), stored=stored, assay=str(facts.get("version", "")),
        text=_text(program + ".txt") or _text(program + ".log"), c_program=_text(program + ".c"))
    if running and columns.get("operations") is None and stored >= running["started"]:
        # Only an engine has seen it, so that no replay can tell of it.
        db.insert("campaign_findings", campaign=running["id"], finding=finding, status="flaky",
                  engine=str(facts.get("engine", "")), sanitizer=str(facts.get("sanitizer", "")))
    return True


def _when(path):
    return datetime.datetime.fromtimestamp(os.path.getmtime(path), datetime.timezone.utc).strftime(
        "%Y-%m-%dT%H:%M:%SZ")


def _text(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
