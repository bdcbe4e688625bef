"""What the runs of ci/bugs amount to: for each fuzzer and bug, over all bugs, and side by side.

A fuzzer is an engine with a mutator. A kill counts if it is by a property that the bug expects; a bug
that goes wrong in another way is counted apart, and as not yet killed by then.
"""
import csv
import io
import math
import statistics

from reports import survival
from reports.effect import SIGNIFICANT

MEASURES = ("executions", "cpu_seconds")

COLUMNS = ("control", "subject", "id", "engine", "mutator", "seed", "end", "property", "expected",
           "executions", "cpu_seconds", "seconds", "note")


def fuzzer_name(engine, mutator):
    names = {"libfuzzer": "libFuzzer", "afl": "AFL++", "replay": "replay of the corpus"}
    return names.get(engine, engine) + (", " + mutator if mutator else "")


def expected(run, bug):
    return run["end"] == "killed" and run["property"] in bug["expect"]


def samples(runs, bug, measure):
    """For survival.py; runs of which the measure is not known are left out."""
    return [(run[measure], expected(run, bug)) for run in runs if run[measure] is not None]


def _estimate(values):
    """Median and its interval; None where that is beyond what was watched."""
    found = survival.interval(values)
    return {"median": survival.median(values),
            "interval": found and [None if math.isinf(x) else x for x in found]}


def _of_bug(bug, runs):
    properties = {}
    for run in runs:
        if run["property"]:
            properties[run["property"]] = properties.get(run["property"], 0) + 1
    killed = sum(expected(run, bug) for run in runs)
    other = sum(run["end"] == "killed" for run in runs) - killed
    unnamed = sum(run["end"] == "unnamed" for run in runs)
    told = {"name": bug["name"], "id": bug["id"], "runs": len(runs), "killed": killed,
            "other": other, "unnamed": unnamed,
            "survived": len(runs) - killed - other - unnamed,
            "properties": dict(sorted(properties.items(), key=lambda item: (-item[1], item[0])))}
    for measure in MEASURES:
        told[measure] = _estimate(samples(runs, bug, measure))
    return told


def _median_of_medians(of_bugs, measure):
    """None: more than half of the medians are beyond what was watched."""
    medians = [math.inf if told[measure]["median"] is None else told[measure]["median"]
               for told in of_bugs]
    found = statistics.median(medians) if medians else math.inf
    return None if math.isinf(found) else found


def _of_fuzzer(engine, mutator, bugs, runs):
    mine = [run for run in runs if (run["engine"], run["mutator"]) == (engine, mutator)]
    by_bug = {}
    for run in mine:
        if not run["control"]:
            by_bug.setdefault(run["subject"], []).append(run)
    of_bugs = [_of_bug(bug, by_bug[bug["name"]]) for bug in bugs if bug["name"] in by_bug]
    controls = [run for run in mine if run["control"]]
    killed, total = sum(t["killed"] for t in of_bugs), sum(t["runs"] for t in of_bugs)
    rate = survival.share(killed, total)
    return {
        "engine": engine, "mutator": mutator, "bugs": of_bugs, "runs": total, "killed": killed,
        "other": sum(t["other"] for t in of_bugs),
        "unnamed": sum(t["unnamed"] for t in of_bugs),
        "survived": sum(t["survived"] for t in of_bugs),
        "rate_interval": rate and list(rate),
        "always_killed": sum(t["killed"] == t["runs"] for t in of_bugs),
        "median_of_medians": {m: _median_of_medians(of_bugs, m) for m in MEASURES},
        "cpu_seconds": sum(run["cpu_seconds"] for run in mine if not run["control"]),
        "control": {
            "runs": len(controls),
            "strategies": len({run["subject"] for run in controls}),
            "executions": sum(run["executions"] or 0 for run in controls),
            "cpu_seconds": sum(run["cpu_seconds"] for run in controls),
            "findings": [run for run in controls if run["end"] in ("killed", "unnamed")],
        },
    }


def _compare(bugs, runs, ours, theirs):
    """Two fuzzers, bug by bug and over all: p and A12 of each, A12 how likely ours is the sooner."""
    told = {"a": list(ours), "b": list(theirs), "bugs": [], "all": {}}
    for bug in bugs:
        of_bug = {"name": bug["name"], "id": bug["id"]}
        both = [[run for run in runs if not run["control"] and run["subject"] == bug["name"]
                 and (run["engine"], run["mutator"]) == fuzzer] for fuzzer in (ours, theirs)]
        if not all(both):
            continue
        for measure in MEASURES:
            a, b = (samples(side, bug, measure) for side in both)
            of_bug[measure] = dict(survival.compare(a, b) or {"p": None, "a12": None},
                                   a=survival.median(a), b=survival.median(b))
        told["bugs"].append(of_bug)
    for measure in MEASURES:
        pairs = [of_bug[measure] for of_bug in told["bugs"]]
        medians = [[(math.inf if pair[side] is None else pair[side], pair[side] is not None)
                    for pair in pairs] for side in "ab"]
        clear = [pair for pair in pairs if pair["p"] is not None and pair["p"] < SIGNIFICANT]
        known = [pair["a12"] for pair in pairs if pair["a12"] is not None]
        told["all"][measure] = dict(
            survival.compare(*medians) or {"p": None, "a12": None},
            a=survival.median(medians[0]), b=survival.median(medians[1]),
            mean_a12=statistics.mean(known) if known else None,
            a_sooner=sum(pair["a12"] > 0.5 for pair in clear),
            b_sooner=sum(pair["a12"] < 0.5 for pair in clear),
            no_difference=len(known) - len(clear))
    return told


def summarise(told, comparisons):
    """Adds `fuzzers` and `comparisons` to what ci/bugs tells. `comparisons`: pairs of (engine,
    mutator)."""
    fuzzers = list(dict.fromkeys((run["engine"], run["mutator"]) for run in told["runs"]))
    told["fuzzers"] = [_of_fuzzer(engine, mutator, told["bugs"], told["runs"])
                       for engine, mutator in fuzzers]
    told["comparisons"] = [_compare(told["bugs"], told["runs"], a, b) for a, b in comparisons
                           if a in fuzzers and b in fuzzers]
    return told


def all_killed(told):
    """Whether every run killed its bug as expected, and no clean strategy was accused."""
    return all(f["killed"] == f["runs"] and not f["control"]["findings"] for f in told["fuzzers"])


def to_csv(told):
    """All runs, one a line."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    bugs = {bug["name"]: bug for bug in told["bugs"]}
    for run in told["runs"]:
        bug = bugs.get(run["subject"]) if not run["control"] else None
        writer.writerow(dict(run, control=int(run["control"]), id=bug["id"] if bug else "",
                             property=run["property"] or "",
                             expected=int(expected(run, bug)) if bug else ""))
    return out.getvalue()
