"""Engines and sanitizers side by side, two at a time: by coverage, speed, findings and planted bugs.

Strategies and bugs differ by orders of magnitude, so values are compared within each of them only, and
the comparisons put together (effect.stratified). A12 is always how likely the first is the better. All
p values of the table are adjusted together (Holm 1979).

Coverage and speed have one value a strategy: sessions of a job begin with each other's inputs, at one
time of one night, and are no repetitions. Taken for such, they called four in ten nights different where
jobs scatter as much as their sessions do, and nothing differs.

- coverage: abstract states after equal CPU time, what the one that had less had.
- speed: executions per CPU second.
- finding: whoever found it first, with the CPU time that the other had spent by then and still was
  without it (censored). If that is less, nothing is known of the two, which counts as a tie (Gehan 1965).
- kills: CPU seconds until a planted or historical bug was killed, a value for each seed; what survived
  is later than all kills.
"""
import itertools
import math
import statistics

from reports import effect, growth, job_curves, plot
from reports.bench_markdown import number, percent
from reports.bugs_results import fuzzer_name
from reports.exhibit import Exhibit, too_few

# With fewer values a side, of all strategies together, no test could tell anything.
FEWEST = 6

# Of a job's CPU time, below which start-up is all that is measured.
_SECONDS = 1.0

# More rows are no picture; the table has all.
_DRAWN = 24

# How the measures are called, how values look, and whether the greater is the better.
COVERAGE, SPEED, FINDING, KILLS = "coverage", "speed", "finding", "kills"
_WORDS = {
    COVERAGE: "heap states after equal CPU time",
    SPEED: "executions per CPU second",
    FINDING: "findings first, by CPU time",
    KILLS: "CPU seconds until a bug is killed",
}


KILLED = """
SELECT bug, engine, mutator, killed, cpu_seconds FROM kills WHERE campaign = ? ORDER BY bug, seed
"""


def treatments_of(curves):
    """(engine, sanitizer) of all."""
    return sorted({curve.treatment for curve in curves},
                  key=lambda treatment: job_curves.treatment_order((treatment,)))


def fuzzers_of(kills):
    """(engine, mutator) of all."""
    return sorted({(row["engine"], row["mutator"]) for row in kills},
                  key=lambda fuzzer: job_curves.treatment_order((fuzzer,)))


def equal_coverage(curves, states, treatments):
    """{strategy: [share of its states by each treatment]}, of the strategies that all of them had, after
    the CPU time of the one that was given least."""
    by_strategy = {}
    for curve in curves:
        if curve.states[-1]:
            by_strategy.setdefault(curve.strategy, {})[curve.treatment] = curve
    told = {}
    for strategy, mine in by_strategy.items():
        if all(treatment in mine for treatment in treatments):
            cpu = min(mine[treatment].cpu[-1] for treatment in treatments)
            told[strategy] = [float(mine[treatment].reached(mine[treatment].states, cpu))
                              / states[strategy] for treatment in treatments]
    return told


def _coverage(curves, states, pair):
    return [([x], [y]) for x, y in equal_coverage(curves, states, pair).values()]


_SPEEDS = """
SELECT jobs.strategy, jobs.engine, jobs.sanitizer,
       sum(s.executions) / sum(s.cpu_seconds) AS speed
FROM sessions AS s JOIN jobs ON jobs.id = s.job
WHERE jobs.campaign = ? AND jobs.engine != 'corpus' AND s.cpu_seconds > 0 AND s.executions > 0
GROUP BY jobs.id HAVING sum(s.cpu_seconds) >= ?
"""


def _speed(rows, pair):
    by_strategy = {}
    for row in rows:
        treatment = row["engine"], row["sanitizer"]
        if treatment in pair:
            sides = by_strategy.setdefault(row["strategy"], ([], []))
            sides[pair.index(treatment)].append(row["speed"])
    return list(by_strategy.values())


def _findings(rows, curves, pair):
    """1 is surely sooner than 0; two 0 are not known."""
    jobs = {(curve.strategy,) + curve.treatment: curve for curve in curves}
    told = []
    for row in rows:
        first = (row["engine"], row["sanitizer"])
        sides = [jobs.get((row["strategy"],) + treatment) for treatment in pair]
        if first not in pair or None in sides:
            continue
        mine = pair.index(first)
        spent = [side.cpu_at(row["seconds"]) for side in sides]
        sooner = spent[mine] <= spent[1 - mine]
        told.append(tuple([int(sooner and i == mine)] for i in (0, 1)))
    return told


def kills_of(rows, fuzzers):
    """For each bug a list of each fuzzer's CPU seconds, negative, for the greater to be the better."""
    by_bug = {}
    for row in rows:
        fuzzer = row["engine"], row["mutator"]
        if fuzzer in fuzzers and (row["cpu_seconds"] is not None or not row["killed"]):
            sides = by_bug.setdefault(row["bug"], tuple([] for _ in fuzzers))
            sides[fuzzers.index(fuzzer)].append(-row["cpu_seconds"] if row["killed"] else -math.inf)
    return list(by_bug.values())


def _compare(measure, names, pairs):
    """A row of figures, or None: the two have nothing in common."""
    pairs = [(x, y) for x, y in pairs if x and y]
    if not pairs:
        return None
    told = {"measure": measure, "first": names[0], "second": names[1], "over": len(pairs),
            "values": [sum(len(pair[side]) for pair in pairs) for side in (0, 1)],
            "medians": [_median(pairs, side) for side in (0, 1)],
            "sooner": [sum(pair[side][0] for pair in pairs) for side in (0, 1)]
            if measure == FINDING else None, "a12": None, "p": None}
    if sum(min(len(x), len(y)) for x, y in pairs) >= FEWEST:
        told.update(effect.stratified(pairs) or {})
    return told


def _median(pairs, side):
    """Of the medians of strategies or bugs; None: most of it survived."""
    found = abs(statistics.median([statistics.median_low(pair[side]) for pair in pairs]))
    return None if math.isinf(found) or math.isnan(found) else found


def compare(history, campaign):
    """Figures of each measure and pair that can be compared, with `holm`."""
    curves = job_curves.of_campaign(history, campaign)
    states = job_curves.states_of(history, campaign, curves)
    speeds = history.query(_SPEEDS, campaign, _SECONDS)
    findings = history.query(growth.FINDINGS, campaign)
    kills = history.query(KILLED, campaign)
    treatments = treatments_of(curves)
    rows = []
    for pair in itertools.combinations(treatments, 2):
        names = [job_curves.treatment_name(*treatment) for treatment in pair]
        rows += [_compare(COVERAGE, names, _coverage(curves, states, pair)),
                 _compare(SPEED, names, _speed(speeds, pair)),
                 _compare(FINDING, names, _findings(findings, curves, pair))]
    for pair in itertools.combinations(fuzzers_of(kills), 2):
        rows.append(_compare(KILLS, [fuzzer_name(*fuzzer) for fuzzer in pair], kills_of(kills, pair)))
    order = list(_WORDS)
    rows = sorted((row for row in rows if row), key=lambda row: order.index(row["measure"]))
    for row, adjusted in zip(rows, effect.holm([row["p"] for row in rows])):
        row["holm"] = adjusted
    return rows


def _side(row, side):
    value = row["medians"][side]
    if row["measure"] == COVERAGE:
        return percent(value)
    if row["measure"] == FINDING:
        return "%d" % row["sooner"][side]
    return "survives" if value is None else number(value)


def verdict(row):
    if row["p"] is None:
        return "too few data"
    if row["holm"] >= effect.SIGNIFICANT:
        return "no difference shown"
    return "%s is better" % (row["first"] if row["a12"] > 0.5 else row["second"])


def _p(value):
    return "–" if value is None else "< 0.001" if value < 0.001 else "%.3f" % value


HEADINGS = ("by", "first", "second", "verdict", "over", "values", "first has", "second has", "A12",
            "effect", "p", "p, adjusted")


def _row(row):
    return (_WORDS[row["measure"]], row["first"], row["second"], verdict(row), str(row["over"]),
            "%d, %d" % tuple(row["values"]), _side(row, 0), _side(row, 1),
            "–" if row["a12"] is None else "%.2f" % row["a12"],
            "–" if row["a12"] is None else effect.word(row["a12"]), _p(row["p"]), _p(row["holm"]))


def draw(rows, name, title, description):
    """A12 of each comparison; filled: a difference. Of many, those that differ."""
    rows = [row for row in rows if row["a12"] is not None]
    if len(rows) > _DRAWN:
        rows = [row for row in rows if row["holm"] < effect.SIGNIFICANT][:_DRAWN]
    if plot.library() is None or not rows:
        return ""
    figure, axes = plot.figure(5.2, 0.9 + 0.42 * len(rows))
    for low, high in ((0.29, 0.36), (0.64, 0.71)):
        axes.axvspan(low, high, color=plot.INK, alpha=0.05, linewidth=0)
    axes.axvspan(0.44, 0.56, color=plot.INK, alpha=0.1, linewidth=0)
    axes.axvline(0.5, color=plot.INK, linewidth=0.6)
    for y, row in enumerate(reversed(rows)):
        i = list(_WORDS).index(row["measure"])
        clear = row["holm"] < effect.SIGNIFICANT
        axes.plot([row["a12"]], [y], plot.MARKERS[i], color=plot.COLOURS[i], markersize=6,
                  markerfacecolor=plot.COLOURS[i] if clear else "none", clip_on=False)
        axes.text(0.02, y + 0.45, "%s — %s : %s" % (_WORDS[row["measure"]], row["first"],
                                                    row["second"]), va="center", fontsize=8)
    axes.set_yticks([])
    axes.set_xlim(0, 1)
    axes.set_ylim(-0.6, len(rows) - 0.2)
    axes.set_xlabel("A12: how likely the first is better; grey: negligible, medium")
    return plot.svg(figure, name, title, description)


_METHOD = (
    "Values are compared within a strategy or bug, then put together: Mann and Whitney's U by van "
    "Elteren (1960), the sign test where each has one value. A12: how likely the first is better "
    "(Vargha and Delaney 2000), the mean over strategies or bugs. p adjusted for all rows (Holm 1979), "
    "a difference below %g. Fewer than %d values a side are not tested. Findings: whoever was first; "
    "the other is censored at its CPU time by then (Gehan 1965); they count as if each were found by "
    "itself, which those of one strategy seldom are. Kills: seeds of a bug count as repetitions, and "
    "what survived is later than all kills. Engines share a corpus: what one "
    "covers, another may have found." % (effect.SIGNIFICANT, FEWEST))


def _says(rows):
    """How many differ, and by each measure who is better than most others."""
    tested = [row for row in rows if row["p"] is not None]
    clear = [row for row in tested if row["holm"] < effect.SIGNIFICANT]
    if not tested:
        return "Too few data for each of %d comparisons." % len(rows)
    line = "%d of %d comparisons show a difference" % (len(clear), len(tested))
    best = []
    for measure, words in _WORDS.items():
        beaten = {}
        for row in clear:
            if row["measure"] == measure:
                first, second = row["first"], row["second"]
                winner, loser = (first, second) if row["a12"] > 0.5 else (second, first)
                beaten.setdefault(winner, []).append((loser, row["a12"]))
        if beaten:
            winner = max(beaten, key=lambda name: len(beaten[name]))
            losers = beaten[winner]
            best.append("by %s %s is better than %s" % (words, winner, "%s (A12 %.2f, %s)" % (
                losers[0][0], max(losers[0][1], 1 - losers[0][1]), effect.word(losers[0][1]))
                if len(losers) == 1 else "%d others" % len(losers)))
    return line + (": " + "; ".join(best) if best else "") + "."


def exhibits(history, campaign, pictures=True):
    """One."""
    name, title = "engines-compared", "Engines compared"
    if effect.statistics() is None:
        return [too_few(name, "engines", title, "scipy is not installed (ci/setup --bench).", _METHOD)]
    rows = compare(history, campaign)
    if not rows:
        return [too_few(name, "engines", title, "no two engines had the same strategy or bug.",
                        _METHOD)]
    says = _says(rows)
    return [Exhibit(name, "engines", title, says, _METHOD, HEADINGS,
                    [_row(row) for row in rows], left=4,
                    svg=draw(rows, name, title, says) if pictures else "",
                    figures={"comparisons": rows})]
