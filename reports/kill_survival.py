"""How long planted and historical bugs lived in a campaign, by fuzzer: kill rates, medians, and what
share was still alive after how much CPU time (Kaplan and Meier; survival.py)."""
import math

from reports import engines_compared, plot, survival
from reports.bench_markdown import number, percent
from reports.bugs_results import fuzzer_name
from reports.exhibit import Exhibit, too_few

# Of runs; with fewer a curve is a step or two.
FEWEST = 5


def read(history, campaign):
    """{fuzzer: {bug: [(CPU seconds, killed)]}}"""
    rows = history.query(engines_compared.KILLED, campaign)
    found = {fuzzer: {} for fuzzer in engines_compared.fuzzers_of(rows)}
    for row in rows:
        if row["cpu_seconds"] is not None:
            found[row["engine"], row["mutator"]].setdefault(row["bug"], []).append(
                (row["cpu_seconds"], bool(row["killed"])))
    return {fuzzer: bugs for fuzzer, bugs in found.items() if bugs}


def _all(bugs):
    return [sample for samples in bugs.values() for sample in samples]


def draw(told, name, title, description):
    """A step where a bug dies; a cross is a run that was watched no longer."""
    if plot.library() is None:
        return ""
    figure, axes = plot.figure(height=2.8)
    axes.set_xscale("log")
    values = [max(value, 1e-3) for bugs in told.values() for value, _ in _all(bugs)]
    least, most = min(values) / 1.5, max(values) * 1.2
    for i, (fuzzer, bugs) in enumerate(told.items()):
        samples = [(max(value, 1e-3), died) for value, died in _all(bugs)]
        steps = survival.kaplan_meier(samples)
        x = [least] + [value for value, _ in steps] + [max(value for value, _ in samples)]
        y = [1.0] + [share for _, share in steps] + [steps[-1][1] if steps else 1.0]
        axes.plot(x, y, drawstyle="steps-post", label="%s (%d of %d killed)" % (
            fuzzer_name(*fuzzer), sum(died for _, died in samples), len(samples)), **plot.curve(i))
        censored = sorted({value for value, died in samples if not died})
        axes.plot(censored, [_share_at(steps, value) for value in censored], "+",
                  color=plot.COLOURS[i % len(plot.COLOURS)], markersize=7, clip_on=False)
    plot.seconds_axis(axes.xaxis)
    axes.set_xlim(least, most)
    axes.set_ylim(0, 1.03)
    axes.grid(True)
    axes.set_title("share of runs whose bug is alive")
    axes.set_xlabel("CPU time")
    axes.legend(loc="upper left", bbox_to_anchor=(0, -0.22), ncol=2)
    return plot.svg(figure, name, title, description)


def _share_at(steps, value):
    return next((share for at, share in reversed(steps) if at <= value), 1.0)


def _median(samples):
    """`2.1 s (0.9–4.0)`."""
    median, interval = survival.median(samples), survival.interval(samples)
    line = "survives" if median is None else number(median) + " s"
    if interval:
        line += " (%s–%s)" % tuple("∞" if math.isinf(x) else number(x) for x in interval)
    return line


_METHOD = ("Planted and historical bugs, each hunted with several seeds. A run that ends without a kill is "
           "censored: the bug lives at least so long (Kaplan and Meier 1958). Intervals at 95 %: of "
           "rates Wilson's, of medians by order statistics, as if all runs were independent: where a bug has "
           "several seeds they are of other seeds on these bugs, and too narrow for other bugs.")


def exhibits(history, campaign, pictures=True):
    """One."""
    name, title = "kill-survival", "How long planted bugs live"
    told = {fuzzer: bugs for fuzzer, bugs in read(history, campaign).items()
            if len(_all(bugs)) >= FEWEST}
    if not told:
        return [too_few(name, "engines", title, "no fuzzer hunted bugs in %d runs." % FEWEST, _METHOD)]
    rows, figures, says = [], [], []
    for fuzzer, bugs in told.items():
        samples = _all(bugs)
        killed = sum(died for _, died in samples)
        always = sum(all(died for _, died in mine) for mine in bugs.values())
        never = sorted(bug for bug, mine in bugs.items() if not any(died for _, died in mine))
        rate = survival.share(killed, len(samples))
        rows.append((fuzzer_name(*fuzzer), "; ".join(never) or "none", str(len(bugs)),
                     str(always), "%d of %d" % (killed, len(samples)),
                     percent(killed / len(samples)) + (" (%s–%s)" % tuple(
                         percent(x) for x in rate) if rate else ""), _median(samples)))
        says.append("%s killed %d of %d bugs each time, %d never" % (
            fuzzer_name(*fuzzer), always, len(bugs), len(never)))
        figures.append({"engine": fuzzer[0], "mutator": fuzzer[1], "bugs": len(bugs),
                        "runs": len(samples), "killed": killed, "never": never,
                        "rate_interval": rate and list(rate), "median": survival.median(samples),
                        "steps": [list(step) for step in survival.kaplan_meier(samples)]})
    says = "; ".join(says[:4]) + "."
    return [Exhibit(name, "engines", title, says, _METHOD,
                    ("fuzzer", "never killed", "bugs", "always killed", "runs", "kill rate",
                     "median CPU time"), rows, left=2,
                    svg=draw(told, name, title, says) if pictures else "",
                    figures={"fuzzers": figures})]
