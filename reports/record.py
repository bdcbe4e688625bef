"""A campaign's rows as one JSON document, campaigns/<uuid>/record.json: what a history is rebuilt from
if its database is damaged.

  {"schema": 4, "uuid": ..., "checkpoint": 7, "tables": {<table>: {"columns": [...], "rows": [[...]]}}}

Tables and columns are those of history.sql.
"""
import itertools
import json
import os
import re

from reports import files, history

NAME = "record.json"

# What belongs to a campaign, each table after those that its rows refer to.
_OF_CAMPAIGN = "campaign = :campaign"
_OF_SESSIONS = "session IN (SELECT sessions.id FROM sessions JOIN jobs ON jobs.id = job " \
    "WHERE jobs.campaign = :campaign)"
_TABLES = {
    "versions": "id IN (SELECT version FROM campaign_versions WHERE campaign = :campaign)",
    "findings": "id IN (SELECT finding FROM campaign_findings WHERE campaign = :campaign UNION "
                "SELECT finding FROM sightings WHERE campaign = :campaign)",
    "campaigns": "id = :campaign",
    "properties": _OF_CAMPAIGN,
    "strategies": _OF_CAMPAIGN,
    "applicable": _OF_CAMPAIGN,
    "campaign_versions": _OF_CAMPAIGN,
    "runs": _OF_CAMPAIGN,
    "phases": _OF_CAMPAIGN,
    "jobs": _OF_CAMPAIGN,
    "sessions": "job IN (SELECT id FROM jobs WHERE campaign = :campaign)",
    "exercised": _OF_SESSIONS,
    "state_hits": _OF_CAMPAIGN,
    "samples": _OF_SESSIONS,
    "campaign_findings": _OF_CAMPAIGN,
    "sightings": _OF_CAMPAIGN,
    "line_coverage": _OF_CAMPAIGN,
    "kills": _OF_CAMPAIGN,
    "benchmarks": _OF_CAMPAIGN,
    "footprints": _OF_CAMPAIGN,
}

# Rows that are encoded at a time.
_AT_ONCE = 5000

_HEAD = re.compile(rb'\{"schema":\d+,"uuid":"([0-9A-Za-z-]+)","checkpoint":(\d+),')
_HEAD_SIZE = 200

# Rows that several campaigns share, by what they are known.
_SHARED = {"versions": ("assay", "strategy", "source"),
           "findings": ("strategy", "property", "signature")}


class Unusable(history.HistoryError):
    """A record that cannot be loaded; its message says which and why."""


def _tables(db, campaign):
    """Yields (table, columns, rows), the rows one by one: of a night there are hundred thousands."""
    for table, condition in _TABLES.items():
        columns = _columns(db, table)
        yield table, columns, map(tuple, db.write("SELECT %s FROM %s WHERE %s%s" % (
            ", ".join(columns), table, condition.replace(":campaign", "%d" % campaign),
            " ORDER BY rowid" if _has_rowid(db, table) else "")))


def _head(db, campaign):
    row = db.one("SELECT uuid, checkpoint FROM campaigns WHERE id = ?", campaign)
    if row is None:
        raise KeyError("the history has no campaign %s" % campaign)
    return {"schema": history.SCHEMA, "uuid": row["uuid"], "checkpoint": row["checkpoint"]}


def dump(db, campaign):
    """All rows of a campaign, as of one moment."""
    with db.transaction():
        return dict(_head(db, campaign), tables={
            table: {"columns": columns, "rows": [list(row) for row in rows]}
            for table, columns, rows in _tables(db, campaign)})


def _parts(db, head, campaign):
    """The same as JSON, in pieces; `head` first, so that it is read without the rest."""
    def encode(value):
        return json.dumps(value, separators=(",", ":"))
    yield encode(head)[:-1] + ',"tables":{'
    for i, (table, columns, rows) in enumerate(_tables(db, campaign)):
        yield '%s%s:{"columns":%s,"rows":[' % (",\n" * bool(i), encode(table), encode(columns))
        begun = False
        while True:
            some = list(itertools.islice(rows, _AT_ONCE))
            if not some:
                break
            yield ",\n" * begun + encode(some)[1:-1]
            begun = True
        yield "]}"
    yield "}}\n"


def checkpoint(db, campaign, folder):
    """Writes record.json of a campaign of the campaign folder `folder`; returns its path."""
    # Committed before it is written: a record that knows more checkpoints than its database would
    # replace what came after it.
    db.write("UPDATE campaigns SET checkpoint = checkpoint + 1 WHERE id = ?", campaign)
    with db.transaction():
        head = _head(db, campaign)
        path = os.path.join(folder, "campaigns", head["uuid"], NAME)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        files.write_parts(path, (part.encode() for part in _parts(db, head, campaign)))
    return path


def peek(path):
    """(uuid, checkpoint) of a record, without reading it all; None if that cannot be told. OSError."""
    with open(path, "rb") as file:
        found = _HEAD.match(file.read(_HEAD_SIZE))
    return (found.group(1).decode(), int(found.group(2))) if found else None


def read(path):
    """A record as it was written. OSError; Unusable."""
    with open(path, "rb") as file:
        data = file.read()
    try:
        document = json.loads(data)
        schema, tables = document["schema"], document["tables"]
        if not isinstance(document["uuid"], str) or not isinstance(document["checkpoint"], int):
            raise ValueError("no uuid or checkpoint")
        for table in tables.values():
            if any(len(row) != len(table["columns"]) for row in table["rows"]):
                raise ValueError("rows and columns do not fit")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Unusable("%s is damaged: %s" % (path, error)) from error
    if not isinstance(schema, int) or schema > history.SCHEMA:
        raise Unusable("%s is of schema %s, from a newer version of Assay; this one knows up to %d" % (
            path, schema, history.SCHEMA))
    return document


def ended(document):
    """Whether the campaign was over when the record was written: then it has all."""
    told = document["tables"]["campaigns"]
    return any(row[told["columns"].index("ended")] for row in told["rows"])


def load(db, document):
    """Enters what dump() told, unless the history has that campaign and knows as much. Returns
    whether it did. Ids stay as they were where they are free."""
    tables = document["tables"]
    with db.transaction():
        there = db.one("SELECT id, checkpoint FROM campaigns WHERE uuid = ?", document["uuid"])
        if there and there["checkpoint"] >= document["checkpoint"]:
            return False
        if there:
            db.write("DELETE FROM campaigns WHERE id = ?", there["id"])
        ids = {}
        for table in _TABLES:
            if table in tables:
                _load_table(db, table, tables[table], ids)
    return True


def _load_table(db, table, told, ids):
    """`ids`: {table: {id in the record: id here}}."""
    known = _columns(db, table)
    refers = {row["from"]: row["table"] for row in db.query(
        "SELECT * FROM pragma_foreign_key_list('%s')" % table)}
    columns = [name for name in told["columns"] if name in known]
    places = [told["columns"].index(name) for name in columns]
    has_id = "id" in columns
    sql = "INSERT INTO %s (%s) VALUES (%s)" % (
        table, ", ".join(columns), ", ".join("?" * len(columns)))
    taken = {row["id"] for row in db.query("SELECT id FROM %s" % table)} if has_id else ()
    rows = []
    for row in told["rows"]:
        values = dict(zip(columns, (row[place] for place in places)))
        for column, other in refers.items():
            if values.get(column) is not None:
                values[column] = ids.get(other, {}).get(values[column], values[column])
        if not has_id:
            rows.append(tuple(values.values()))
            continue
        before = values["id"]
        same = _same(db, table, values)
        if same is None:
            if before in taken:
                values["id"] = None
            same = db.write(sql, *values.values()).lastrowid
            taken.add(same)
        ids.setdefault(table, {})[before] = same
    if rows:
        db.write_many(sql, rows)


def _same(db, table, values):
    """The id of the shared row that is there already, or None."""
    if table not in _SHARED:
        return None
    keys = _SHARED[table]
    row = db.one("SELECT id FROM %s WHERE %s" % (
        table, " AND ".join("%s = ?" % key for key in keys)), *(values[key] for key in keys))
    return row["id"] if row else None


def _has_rowid(db, table):
    return not db.one("SELECT wr FROM pragma_table_list WHERE name = ?", table)["wr"]


def _columns(db, table):
    return [row["name"] for row in db.query("SELECT name FROM pragma_table_info('%s')" % table)]
