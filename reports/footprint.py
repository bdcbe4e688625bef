"""What strategies and collections take of a machine, as ci/footprint measured it: into the history, out
of it, and as tables that all reports show.

A report tells the last measurement until the next campaign that fuzzes, whichever campaign it is of, and
by how much each figure differs from the measurement before.
"""
from types import SimpleNamespace

from reports import text

KINDS = ("strategy", "collection", "part")

# In the order of an allocator's life.
OPERATIONS = ("create", "open", "allocate", "allocate_zeroed", "resize", "usable_size", "release", "mark",
              "rollback", "collect", "reset", "close", "destroy")

WORLDS = {"cortex_m3": "Cortex-M3", "riscv32": "RISC-V, 32 bits", "linux_aarch64": "AArch64",
          "linux_x86_64": "x86-64"}

NOTHING = "–"

METHOD = (
    "Code with constants, and data, of a subject's own objects and of those that it cannot do without, as each "
    "world's compiler makes them. Instructions and stack: the most that a call took in the self-test's programs "
    "and in those of the corpus, in a heap of at most 32 KiB; bytes that a call copies or clears count. Left out: "
    "what the memory source beneath does, and the measuring itself. Emulated boards count instructions, "
    "not cycles.")


def store(history, campaign, rows):
    """Replaces all that the history has of that campaign's footprints; returns how many rows."""
    with history.transaction():
        history.write("DELETE FROM footprints WHERE campaign = ?", campaign)
        for row in rows:
            history.insert("footprints", campaign=campaign, **row)
    return len(rows)


_LAST = """
SELECT campaigns.* FROM campaigns
WHERE (id <= ?1 OR id < (
    SELECT coalesce(min(id), 9e18) FROM campaigns
    WHERE id > ?1 AND command NOT IN ('bench', 'bugs', 'footprint'))
       AND (SELECT command FROM campaigns WHERE id = ?1) NOT IN ('bench', 'bugs', 'footprint'))
  AND EXISTS (SELECT 1 FROM footprints WHERE campaign = campaigns.id)
ORDER BY id DESC LIMIT 2"""


def _key(row):
    return row["subject"], row["world"], row["operation"], row["metric"]


def read(history, campaign, results):
    """Fills what a results.Results has of it."""
    from reports.results import Footprint
    measured = history.query(_LAST, campaign)
    if not measured:
        return
    rows, before = ([], {})
    for i, of in enumerate(measured):
        found = history.query("SELECT * FROM footprints WHERE campaign = ?", of["id"])
        if i == 0:
            rows = found
        else:
            before = {_key(row): row["value"] for row in found}
    results.footprints = sorted((Footprint(
        **{name: row[name] for name in ("subject", "kind", "world", "operation", "metric", "value", "calls")},
        before=before.get(_key(row))) for row in rows), key=order)
    phase = history.one("SELECT note FROM phases WHERE campaign = ? AND name = 'footprint'", measured[0]["id"])
    results.footprints_note = phase["note"] if phase else ""
    if measured[0]["id"] == campaign:
        results.footprints_here = len(rows)
    else:
        results.footprints_from = measured[0]["started"]


def _place(known, name):
    return (known.index(name), "") if name in known else (len(known), name)


def order(row):
    return (_place(KINDS, row.kind), row.subject, _place(list(WORLDS), row.world),
            _place(OPERATIONS, row.operation), row.metric)


def world(name):
    """As people call it."""
    return WORLDS.get(name, name)


def _cell(row):
    """`row`: a results.Footprint, or None."""
    if row is None:
        return SimpleNamespace(words=NOTHING, change="", value="")
    change = "" if row.before in (None, row.value) else "%+d" % (row.value - row.before)
    return SimpleNamespace(words=text.number(row.value), change=change.replace("-", "−"), value=row.value)


def _table(id_, caption, heading, columns, rows, find):
    """`columns`: (heading, key); find(subject, key) is a Footprint or None. Rows without any are left out."""
    made = [SimpleNamespace(name=name, cells=[_cell(find(name, key)) for _, key in columns])
            for name in rows]
    made = [row for row in made if any(cell.value != "" for cell in row.cells)]
    return SimpleNamespace(
        id=id_, caption=caption, rows=made,
        columns=[(heading, False)] + [(words, True) for words, _ in columns]) if made else None


def tables(footprints):
    """Of results.Footprint rows: namespaces of id, caption, columns (heading, is a number) and rows; of a
    row its name and cells, with words, change and value."""
    subjects = list(dict.fromkeys(row.subject for row in footprints))
    worlds = list(dict.fromkeys(sorted((row.world for row in footprints),
                                       key=lambda name: _place(list(WORLDS), name))))
    by_key = {(row.subject, row.world, row.operation, row.metric): row for row in footprints}
    sizes = [("%s, %s" % (world(name), metric), (name, metric)) for name in worlds
             for metric in ("code", "data")
             if metric == "code" or any(row.value for row in footprints
                                        if (row.world, row.metric) == (name, metric))]
    made = [_table("footprint-size", "Bytes of code, and of data where anything has any", "subject", sizes, subjects,
                   lambda subject, key: by_key.get((subject, key[0], "", key[1])))]
    for name in worlds:
        counted = [row.operation for row in footprints
                   if (row.world, row.metric) == (name, "instructions")]
        operations = [operation for operation in OPERATIONS if operation in counted]
        made.append(_table(
            "footprint-" + name, "Instructions that a call took at most: " + world(name), "strategy",
            [(operation, operation) for operation in operations], subjects,
            lambda subject, key, name=name: by_key.get((subject, name, key, "instructions"))))

    def deepest(subject, name):
        found = [row for row in footprints
                 if (row.subject, row.world, row.metric) == (subject, name, "stack")]
        return max(found, key=lambda row: row.value, default=None)

    made.append(_table("footprint-stack", "Bytes of stack that any call took at most", "strategy",
                       [(world(name), name) for name in worlds], subjects, deepest))
    return [table for table in made if table]


def lines(table):
    """A table for a terminal."""
    rows = [[heading for heading, _ in table.columns]]
    rows += [[row.name] + [(cell.words + " " + cell.change).strip() for cell in row.cells] for row in table.rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    made = ["  ".join(cell.rjust(width) if numeric else cell.ljust(width) for cell, width, (_, numeric)
                      in zip(row, widths, table.columns)).rstrip() for row in rows]
    return [table.caption, "", made[0], "  ".join("-" * width for width in widths)] + made[1:]


def says(results):
    """In a sentence or two, when it was measured and what came out; "" where nothing was."""
    if not results.footprints:
        return ""
    line = ("Measured on %s, by another campaign." % results.footprints_from[:10]
            if results.footprints_from else "Measured by this campaign.")
    code = sorted((row.value, row.subject, row.world) for row in results.footprints
                  if (row.kind, row.metric) == ("strategy", "code") and row.world == "cortex_m3")
    if code:
        line += " On a Cortex-M3 the smallest strategy is %s with %s of code, the largest %s with %s." % (
            code[0][1], text.count(code[0][0], "byte"), code[-1][1], text.count(code[-1][0], "byte"))
    changed = sum(row.before not in (None, row.value) for row in results.footprints)
    known = sum(row.before is not None for row in results.footprints)
    if known:
        line += " %s differ from the measurement before." % (
            "%d of %s" % (changed, text.count(known, "figure")) if changed else "No figures")
    if results.footprints_note:
        line += " Not measured: %s." % results.footprints_note.rstrip(".")
    return line
