"""The figures of ci/bench as two tables in CSV (RFC 4180): medians, and curves over time."""
import csv
import io

from bench import fragmentation
from reports import benchmark_rows

FIGURES = ("workload", "subject", "kind", "metric", "unit", "median", "q1", "q3", "rounds")
CURVES = ("workload", "subject", "kind", "operation", "live_bytes", "footprint_bytes", "ratio")


def _table(headings, rows):
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(headings)
    writer.writerows(rows)
    return out.getvalue()


def figures(told):
    """A row for each figure that a history would have as well (benchmark_rows.py)."""
    kinds = {subject["name"]: subject["kind"] for subject in told["subjects"]}
    rows = []
    for row in benchmark_rows.rows(told):
        subject = row["strategy"] + (":" + row["variant"] if row["variant"] else "")
        rows.append((row["workload"], subject, kinds.get(subject, ""), row["metric"], row["unit"],
                     row["value"], row["low"], row["high"], row["rounds"]))
    return _table(FIGURES, rows)


def curves(told):
    """A row for each look at each subject's memory in its first round; the ratio is empty while
    little is live."""
    kinds = {subject["name"]: subject["kind"] for subject in told["subjects"]}
    live_of = {workload["name"]: workload.get("live", ()) for workload in told["workloads"]}
    rows = []
    for run in told["runs"]:
        if not run["memory"]:
            continue
        samples = run["memory"][0]["samples"]
        live = dict(map(tuple, live_of[run["workload"]]))
        ratios = dict(fragmentation.curve(live.items(), samples))
        for step, footprint in samples:
            ratio = "%.4f" % ratios[step] if step in ratios else ""
            rows.append((run["workload"], run["subject"], kinds[run["subject"]], step,
                         live.get(step, ""), footprint, ratio))
    return _table(CURVES, rows)
