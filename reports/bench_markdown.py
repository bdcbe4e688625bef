"""The report of ci/bench as Markdown, padded so that a terminal shows tables as well."""
from reports import markdown, text

_NOTHING = "–"


def number(value):
    """Three digits that count: 0.42, 6.13, 18.9, 740, 12 400."""
    if value is None:
        return _NOTHING
    for limit, form in ((10, "%.2f"), (100, "%.1f")):
        if abs(value) < limit:
            return form % value
    digits = len("%d" % value)
    return text.number(round(value, min(0, 3 - digits)))


def size(value):
    """Bytes as 6.3 KiB, 5.5 MiB."""
    for unit in ("B", "KiB", "MiB"):
        if value < 1024 or unit == "MiB":
            return "%s %s" % (number(value) if unit != "B" else "%d" % value, unit)
        value /= 1024
    return ""


def percent(value):
    return "%.0f %%" % (100 * value)


def spread(told, form=number):
    """`18.9 (18.1–20.4)`: median, minimum, maximum."""
    if told is None:
        return _NOTHING
    if told["rounds"] == 1:
        return form(told["median"])
    return "%s (%s–%s)" % (form(told["median"]), form(told["low"]), form(told["high"]))


def table(headings, rows, left=1):
    """Lines; the first `left` columns hold words, the others numbers."""
    rows = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in [list(headings)] + rows) for i in range(len(headings))]

    def line(cells):
        return "| " + " | ".join(cell.ljust(width) if i < left else cell.rjust(width)
                                 for i, (cell, width) in enumerate(zip(cells, widths))) + " |"
    rule = "|" + "|".join(":" + "-" * (width + 1) if i < left else "-" * (width + 1) + ":"
                          for i, width in enumerate(widths)) + "|"
    return [line(headings), rule] + [line(row) for row in rows]


def _verdicts(told):
    counts = {}
    for bound in told["bounds"]:
        counts[bound["verdict"]] = counts.get(bound["verdict"], 0) + 1
    return ", ".join("%d %s" % (counts[key], key) for key in ("held", "NOT held", "not measured")
                     if key in counts)


def summary(told):
    """One line."""
    line = "%s in %s; bounds: %s" % (text.count(told["rounds_done"], "round"),
                                     text.duration(told["seconds"]), _verdicts(told) or "none")
    if told["stopped"]:
        line += "; stopped early by %s, in round %d of %d" % (
            told["stopped"], min(told["rounds_done"] + 1, told["rounds"]), told["rounds"])
    return line + ("; " + told["error"] if told["error"] else "")


def _bounds(told):
    rows = []
    for bound in told["bounds"]:
        ratio = bound["ratio"]
        measured = _NOTHING
        if ratio and ratio["rounds"] == 1:
            measured = "%.2f" % ratio["median"]
        elif ratio:
            measured = "%.2f (%.2f–%.2f, %.2f–%.2f)" % tuple(
                ratio[key] for key in ("median", "q1", "q3", "low", "high"))
        verdict = bound["verdict"] + (": " + bound["reason"] if bound["reason"] else "")
        rows.append((markdown.code(bound["strategy"]), bound["of"], bound["workload"] or _NOTHING,
                     bound["wording"], measured, markdown.escape(verdict)))
    return ["## Bounds", "", "Ratios round by round: median (quartiles, minimum–maximum).", ""] + \
        table(("strategy", "of", "workload", "bound", "ratio", "verdict"), rows, left=6)


def _matrix(told, cell):
    """Subjects down, workloads across."""
    names = [workload["name"] for workload in told["workloads"]]
    by_key = {(run["workload"], run["subject"]): run for run in told["runs"]}
    rows = []
    for subject in told["subjects"]:
        cells = [cell(by_key[name, subject["name"]]) if (name, subject["name"]) in by_key
                 else _NOTHING for name in names]
        if any(text != _NOTHING for text in cells):
            rows.append([markdown.code(subject["name"])] + cells)
    return table(["on"] + [markdown.escape(name) for name in names], rows)


def _speed(run):
    return spread(run["summary"]["ns"])


def _memory(run):
    told = run["summary"]
    if told["waste"] is None:
        return _NOTHING
    parts = ""
    if told["internal"] is not None:
        parts = " (%s + %s)" % (percent(told["internal"]), percent(told["external"]))
    return "%.2fx%s" % (told["waste"], parts)


def _over_time(run):
    value = run["summary"]["over_time"]
    return _NOTHING if value is None else "%.2fx" % value


def _tail(run):
    """`20 / 130 / 1 720 / 8 030`: of half, 99 %, 99.9 % and all."""
    tail = run["summary"]["latency"]
    if tail is None:
        return _NOTHING
    return " / ".join(number(tail[key]["median"]) for key in ("p50", "p99", "p99.9", "max"))


def _tails(told):
    clocks = [(one["clock_ns"], one["step_ns"], one["runs"]) for run in told["runs"]
              for one in run["latency"]]
    if not clocks:
        return []
    cost, step, runs = map(max, zip(*clocks))
    return ["## Single operations of the workloads, in ns", "",
            "What half, 99 %%, 99.9 %% and all of them do not exceed. Each operation by itself, of each "
            "the least of %d runs from the same state, and of these figures the median of the rounds. "
            "Reading the clock costs %s ns, which is taken off; it goes in steps of %s ns." % (
                runs, number(cost), number(step)), ""] + _matrix(told, _tail) + [""]


def _peaks(told):
    rows = [(markdown.escape(workload["name"]), markdown.escape(workload["what"]),
             text.number(workload.get("operations")),
             size(workload["peak_live_bytes"]) if "peak_live_bytes" in workload else _NOTHING,
             text.number(workload.get("peak_live_blocks"))) for workload in told["workloads"]]
    return table(("workload", "what it is", "operations", "live at most", "blocks"), rows, left=2)


def _worst(told):
    rows = []
    for row in told["worst"]:
        if row["summary"]:
            worst = row["summary"]
            rows.append((markdown.code(row["subject"]), text.number(row["free_blocks"]),
                         number(worst["pair_median"]), spread(worst["pair"]),
                         number(worst["allocate"]), number(worst["release"])))
    if not rows:
        return []
    return ["## Single operations, in ns", "",
            "Over 1000 sizes from 16 bytes to 64 KiB: an allocation and its release, repeated; and "
            "each the first time, with cold caches (of each size the least of all rounds).", ""] + \
        table(("on", "free blocks", "median pair", "worst pair", "worst first allocate",
               "worst first release"), rows) + [""]


def missing(told):
    """What could not be measured, and why: lines of plain text."""
    groups = {}
    for run in told["runs"]:
        if run["reason"]:
            groups.setdefault((run["subject"], run["reason"]), []).append(run["workload"])
    for row in told["worst"]:
        if row["reason"]:
            groups.setdefault((row["subject"], row["reason"]), []).append(
                "%s free blocks" % text.number(row["free_blocks"]))
    return [(subject, "%s (%s)" % (reason, ", ".join(where)))
            for (subject, reason), where in groups.items()] + [("", note) for note in told["notes"]]


def _missing(told):
    lines = ["- %s%s" % (markdown.code(subject) + ": " if subject else "", markdown.escape(why))
             for subject, why in missing(told)]
    return ["## Not measured", ""] + lines + [""] if lines else []


def machine_facts(told):
    """{what: in words}."""
    machine = dict(told["machine"])
    load = [number(value) for value in told["load"] if value is not None]
    if load:
        machine["load"] = " before, ".join(load) + (" after" if len(load) > 1 else " before")
    versions = ["%s %s" % (subject["name"], subject["version"]) for subject in told["subjects"]
                if subject["kind"] == "peer" and subject["version"] and not subject["missing"]]
    machine["peers"] = ", ".join(versions) or "none"
    machine["sources"] = told["version"] or "unknown"
    machine["started"] = told["started"]
    return machine


def busy(told):
    """A warning, or ""."""
    before = told["load"][0] if told["load"] else None
    if before is None or before <= 0.5:
        return ""
    return ("load %s when it began: times are of the CPU, but caches and memory were shared. Repeat it "
            "on an idle machine before you quote it." % number(before))


def _machine(told):
    lines = ["## Machine", ""] + table(
        ("what", ""), [(key, markdown.escape(value)) for key, value in machine_facts(told).items()],
        left=2)
    if busy(told):
        lines += ["", "**The machine was busy**: " + busy(told)]
    return lines + [""]


def render(told, plots=()):
    """`told` is results.json as a dict; `plots` are file names."""
    lines = ["# Assay: benchmark", "", markdown.escape(summary(told)), ""]
    lines += _bounds(told) + [""]
    lines += ["## CPU time of an operation, in ns", "",
              "Median (minimum–maximum) of the rounds, the loop's own cost taken off.", ""]
    lines += _matrix(told, _speed) + [""]
    lines += ["## Peak footprint / peak live bytes", "",
              "In brackets internal + external fragmentation when most is live, as parts of what is "
              "live: usable bytes that nobody asked for, and all the rest.", ""]
    lines += _matrix(told, _memory) + [""]
    lines += ["## Footprint / live bytes over time", "",
              "The mean over the run, as long as at least a tenth of the peak is live.", ""]
    lines += _matrix(told, _over_time) + [""]
    lines += _tails(told)
    lines += _worst(told)
    lines += ["## Workloads", ""] + _peaks(told) + [""]
    lines += _missing(told) + _machine(told)
    if plots:
        lines += ["## Plots", ""] + ["![%s](%s)" % (name.rpartition(".")[0], name)
                                     for name in plots] + [""]
    return "\n".join(lines)
