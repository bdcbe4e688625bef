"""What a run of ci/bench measured, as rows of a history's table `benchmarks`."""


def _spread(told, unit, factor=1.0):
    """None where nothing was measured."""
    return told and {"unit": unit, "value": told["median"] * factor, "low": told["q1"] * factor,
                     "high": told["q3"] * factor, "rounds": told["rounds"]}


def rows(told):
    """`told`: results.json as a dict. Metrics: `time`, CPU ns of an operation; `memory`, peak footprint
    by peak live bytes, and `footprint`, the former in bytes; `over-time`, footprint by live bytes as a
    mean over time; `latency-p50`, `-p99`, `-p99.9` and `-max` of single operations, ns; `worst-operation`, ns of the worst
    allocation with its release, whose workload is the number of free blocks."""
    found = []

    def add(subject, workload, metric, columns):
        if columns:
            strategy, _, variant = subject.partition(":")
            found.append(dict(columns, strategy=strategy, variant=variant, workload=workload,
                              metric=metric, assay=told["version"]))
    for run in told["runs"]:
        summary = run["summary"]
        add(run["subject"], run["workload"], "time", _spread(summary["ns"], "ns"))
        footprint = summary["footprint"]
        add(run["subject"], run["workload"], "footprint", _spread(footprint, "B"))
        if footprint and footprint["median"]:
            add(run["subject"], run["workload"], "memory",
                _spread(footprint, "ratio", summary["waste"] / footprint["median"]))
        if summary.get("over_time"):
            add(run["subject"], run["workload"], "over-time",
                {"unit": "ratio", "value": summary["over_time"], "low": None, "high": None,
                 "rounds": 1})
        for name, ns in (summary.get("latency") or {}).items():
            add(run["subject"], run["workload"], "latency-" + name, _spread(ns, "ns"))
    for row in told["worst"]:
        add(row["subject"], "%d free blocks" % row["free_blocks"], "worst-operation",
            _spread(row["summary"] and row["summary"]["pair"], "ns"))
    return found


def store(history, campaign, told):
    """Replaces all that the history has of that campaign's benchmarks; returns how many rows."""
    made = rows(told)
    with history.transaction():
        history.write("DELETE FROM benchmarks WHERE campaign = ?", campaign)
        for row in made:
            history.insert("benchmarks", campaign=campaign, **row)
    return len(made)
