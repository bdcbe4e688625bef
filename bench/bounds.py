"""What the strategies are held to, as data, and whether it held."""
import collections

from bench import summary, subjects

# Stands for every workload that is a trace.
TRACES = "traces"

HELD, NOT_HELD, NOT_MEASURED = "held", "NOT held", "not measured"

# `of` is what is compared:
#   time       CPU time of an operation, the loop's own cost taken off
#   bandwidth  its reciprocal
#   memory     peak footprint
#   flat       the worst allocate and release pair at the most free blocks, against the fewest
# `strategy` is a strategy, or STRATEGY:VARIANT.
# `against` is a subject, or BEST_PEER: round by round the best of the peers.
Bound = collections.namedtuple("Bound", "strategy of workloads against limit")

BEST_PEER = "best peer"

BOUNDS = (
    Bound("size_class", "time", (TRACES, "lifo64", "churn"), "glibc", 1.0),
    Bound("size_class", "time", ("churn",), "mimalloc", 1.3),
    # Where next to nothing lives, as in lifo64, a page more or less would decide.
    Bound("size_class", "memory", (TRACES, "churn"), BEST_PEER, 1.25),
    Bound("tlsf", "time", ("churn",), "glibc", 1.35),
    Bound("tlsf", "flat", (), "", 2.0),
    Bound("slab", "time", ("fixed",), "glibc", 0.5),
    # The other variant gives its chunks back between regions: what it saves in memory it pays in pages.
    Bound("arena:keeps_chunks", "time", ("region",), "glibc", 0.25),
    Bound("buddy", "time", ("pow2",), "glibc", 1.5),
    Bound("page_bump", "bandwidth", ("pages",), "raw", 0.9),
)

# The strategies whose single operations are measured although no bound needs it: for comparison.
WORST_BESIDE = ("free_list", "glibc")


def variants_of(strategy):
    """Those that some bound is about, as STRATEGY:VARIANT."""
    return list(dict.fromkeys(bound.strategy for bound in BOUNDS
                              if bound.strategy.startswith(strategy + ":")))


def at_least(bound):
    return bound.of == "bandwidth"


def wording(bound):
    """`at most 1.35 x glibc`."""
    against = {"flat": "that of the fewest free blocks"}.get(bound.of, bound.against)
    return "%s %g x %s" % ("at least" if at_least(bound) else "at most", bound.limit, against)


def _verdict(bound, workload, ratio, reason=""):
    if ratio is None:
        verdict = NOT_MEASURED
    elif at_least(bound):
        verdict = HELD if ratio["median"] >= bound.limit else NOT_HELD
    else:
        verdict = HELD if ratio["median"] <= bound.limit else NOT_HELD
    return {"strategy": bound.strategy, "of": bound.of, "workload": workload,
            "against": bound.against, "limit": bound.limit, "wording": wording(bound),
            "ratio": ratio, "verdict": verdict, "reason": reason}


def _series(results, workload, name, of):
    """{round: value} of one subject, or the reason why there is none."""
    run = results.run(workload, name)
    if run is None:
        return {}, "%s was not run" % name
    series = run.footprints() if of == "memory" else run.costs()
    # What failed later, after rounds that count, is told as well.
    reason = run.reason or ("" if series else "not run")
    return series, "%s: %s" % (name, reason) if reason else ""


def _against(results, workload, bound):
    if bound.against != BEST_PEER:
        return _series(results, workload, bound.against, bound.of)
    best = {}
    for subject in results.subjects:
        if subject.kind != subjects.PEER:
            continue
        for turn, value in _series(results, workload, subject.name, bound.of)[0].items():
            best[turn] = min(value, best.get(turn, value))
    return best, "" if best else "no peer was measured"


def _judge_pair(results, bound, workload):
    mine, reason = _series(results, workload, bound.strategy, bound.of)
    theirs, their_reason = _against(results, workload, bound)
    ratios = [mine[turn] / theirs[turn] for turn in sorted(mine) if theirs.get(turn)]
    if not ratios:
        return _verdict(bound, workload, None, reason or their_reason or "no round has both")
    if at_least(bound):
        ratios = [1 / ratio for ratio in ratios]
    return _verdict(bound, workload, summary.spread(ratios), reason or their_reason)


def _judge_flat(results, bound):
    rows = [row for row in results.worst if row.subject == bound.strategy and row.rounds]
    if len(rows) < 2:
        reasons = [row.reason for row in results.worst if row.subject == bound.strategy]
        return _verdict(bound, "", None, next(filter(None, reasons), "not run"))
    rows.sort(key=lambda row: row.free_blocks)
    few, many = rows[0].rounds, rows[-1].rounds
    ratios = [many[turn]["pair_worst"] / few[turn]["pair_worst"]
              for turn in sorted(many) if turn in few and few[turn]["pair_worst"] > 0]
    missing = [row for row in results.worst if row.subject == bound.strategy and not row.rounds]
    reason = "; ".join("%d free blocks: %s" % (row.free_blocks, row.reason) for row in missing)
    verdict = _verdict(bound, "%d to %d free blocks" % (rows[0].free_blocks, rows[-1].free_blocks),
                       summary.spread(ratios) if ratios else None, reason)
    if missing and verdict["verdict"] == HELD:
        verdict["verdict"] = NOT_HELD
    return verdict


def judge(results):
    """One verdict for each bound and workload, those that could not be measured included, but not
    what the user left out."""
    verdicts = []
    names = {subject.name for subject in results.subjects}
    for bound in BOUNDS:
        workloads = [workload.name for workload in results.workloads
                     if workload.name in bound.workloads
                     or (workload.trace and TRACES in bound.workloads)]
        if ("strategies" in results.restricted and bound.strategy not in names
                or "workloads" in results.restricted and bound.of != "flat" and not workloads):
            continue
        if bound.strategy not in names:
            verdicts.append(_verdict(bound, ", ".join(workloads), None,
                                     "there is no strategy %s" % bound.strategy))
        elif bound.of == "flat":
            verdicts.append(_judge_flat(results, bound))
        elif not workloads:
            verdicts.append(_verdict(bound, ", ".join(bound.workloads), None,
                                     "the workload was not run"))
        else:
            verdicts += [_judge_pair(results, bound, workload) for workload in workloads]
    return verdicts
