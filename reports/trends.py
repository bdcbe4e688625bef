"""How a campaign compares with former ones of the same folder: benchmarks, and what fuzzing came to.

Only campaigns on the same machine are compared. What slows all other allocators down by as much is the
machine of that night and not the strategy: times are corrected by the median of theirs, where at least
four of their figures are known in both campaigns. What counts as a change: noise.py.
"""
import dataclasses
import math
import statistics

from bench.subjects import OTHERS
from reports import effect, job_curves, noise, plot, text
from reports.bench_markdown import number, percent
from reports.exhibit import Exhibit, too_few
from reports.speed_memory import subject

# Metrics whose trend is told, and in which words.
_METRICS = {"time": "time", "memory": "memory", "worst-operation": "worst operation"}

# Others' figures that it takes to tell what the machine did.
_CONTROLS = 4

# Campaigns that a trend shows.
_SHOWN = 12


def former(history, campaign, having):
    """Ids of former campaigns on the same machine, the oldest first. `having`: a table that has rows of
    them."""
    rows = history.query(
        "SELECT id FROM campaigns WHERE id < ? AND machine = (SELECT machine FROM campaigns WHERE "
        "id = ?) AND EXISTS (SELECT 1 FROM %s WHERE %s.campaign = campaigns.id) ORDER BY id" % (
            having, having), campaign, campaign)
    return [row["id"] for row in rows]


def figures_of(history, campaign):
    """{(subject, workload, metric): (value, low, high)}"""
    return {(subject(row), row["workload"], row["metric"]): (row["value"], row["low"], row["high"])
            for row in history.query("SELECT * FROM benchmarks WHERE campaign = ?", campaign)
            if row["value"] > 0 and row["metric"] in _METRICS}


def machine_factor(then, now):
    """How much slower the other allocators were then than now."""
    ratios = [math.log(value[0] / now[key][0]) for key, value in then.items()
              if key[0] in OTHERS and key[2] != "memory" and key in now]
    return math.exp(statistics.median(ratios)) if len(ratios) >= _CONTROLS else 1.0


def benchmark_changes(history, campaign):
    """{(subject, workload, metric): noise.Change}, of what former campaigns measured as well."""
    now = figures_of(history, campaign)
    series = {key: ([], value[0], value[1:]) for key, value in now.items()}
    for earlier in former(history, campaign, "benchmarks")[-noise.MOST:]:
        then = figures_of(history, earlier)
        factor = machine_factor(then, now)
        for key, value in then.items():
            if key in series:
                series[key][0].append(value[0] / (1.0 if key[2] == "memory" else factor))
    return noise.changes({key: told for key, told in series.items() if told[0]},
                         group=lambda key: key[2])


def _signed(value):
    return "%+.1f %%" % (100 * value)


def _series_says(key, change):
    return "%s on %s: %s %s (noise: ± %.1f %%)" % (
        key[0], key[1], _METRICS[key[2]], _signed(change.change), 100 * change.noise)


def _draw_changes(told, name, title, description):
    if plot.library() is None:
        return ""
    names = sorted({key[0] for key in told}, reverse=True)
    figure, both = plot.figure(6.4, 0.9 + 0.2 * len(names), ncols=2, sharey=True)
    for axes, metric in zip(both, ("time", "memory")):
        mine = [(key, change) for key, change in told.items() if key[2] == metric]
        axes.axvline(0, color=plot.INK, linewidth=0.6)
        for y, who in enumerate(names):
            own = [change for key, change in mine if key[0] == who]
            width = 100 * max([change.noise for change in own if change.noise is not None],
                              default=0)
            axes.plot([-width, width], [y, y], color=plot.INK, alpha=0.15, linewidth=6,
                      solid_capstyle="butt")
            still = [100 * change.change for change in own if not change.outside]
            axes.plot(still, [y] * len(still), "|", markersize=6, color=plot.COLOURS[4])
            for change in own:
                if change.outside:
                    axes.plot([100 * change.change], [y], "^" if change.change > 0 else "v",
                              markersize=6, color=plot.COLOURS[1 if change.change > 0 else 2])
        reach = max([5.0] + [120 * abs(change.change) for _, change in mine])
        axes.set_xlim(-reach, reach)
        axes.grid(True, axis="x")
        axes.set_xlabel("%s: change, per cent" % metric)
    both[0].set_yticks(range(len(names)), names)
    both[0].set_ylim(-0.6, len(names) - 0.4)
    return plot.svg(figure, name, title, description)


_CHANGES_METHOD = (
    "Against the mean of at most %d former campaigns on this machine, times corrected by those of the "
    "other allocators. Outside the noise: a t test on logarithms, the deviation between campaigns "
    "moderated by that of all series of its metric (Smyth 2004) and never less than today's quartiles say, p adjusted "
    "for all series (Holm 1979), below %g. It takes %d former campaigns. Marks are workloads: "
    "triangles changed, strokes did not; grey: 95 %% of what does not change, of the widest." % (
        noise.MOST, effect.SIGNIFICANT, noise.FEWEST))


def _benchmarks(history, campaign, pictures):
    name, title = "bench-changes", "Benchmarks against former campaigns"
    told = benchmark_changes(history, campaign)
    tested = [change for change in told.values() if change.p is not None]
    if not tested:
        most = max((change.former for change in told.values()), default=0)
        return too_few(name, "trends", title, "%d former campaigns on this machine measured the same; it "
                       "takes %d." % (most, noise.FEWEST) if effect.statistics()
                       else "scipy is not installed (ci/setup --bench).", _CHANGES_METHOD)
    changed = sorted((item for item in told.items() if item[1].outside),
                     key=lambda item: -abs(item[1].change))
    rows = []
    for who, metric in sorted({(key[0], key[2]) for key in told},
                              key=lambda pair: (pair[0] in OTHERS, pair)):
        mine = {key[1]: change for key, change in told.items() if (key[0], key[2]) == (who, metric)}
        mean = math.exp(statistics.fmean(math.log1p(change.change) for change in mine.values())) - 1
        most = max(mine, key=lambda workload: abs(mine[workload].change))
        width = mine[most].noise
        outside = ["%s %s" % (workload, _signed(change.change))
                   for workload, change in sorted(mine.items()) if change.outside]
        rows.append((who, _METRICS[metric], "; ".join(outside) or "none", str(len(mine)),
                     _signed(mean), "%s on %s" % (_signed(mine[most].change), most),
                     "–" if width is None else "± %.1f %%" % (100 * width)))
    says = "%d of %d series changed by more than the noise" % (len(changed), len(tested))
    says += (": " + "; ".join(_series_says(*item) for item in changed[:4])
             + ("; and others." if len(changed) > 4 else ".")) if changed else "."
    return Exhibit(
        name, "trends", title, says, _CHANGES_METHOD,
        ("allocator", "of", "outside the noise", "workloads", "mean change", "largest",
         "noise of that"), rows, left=3,
        svg=_draw_changes(told, name, title, says) if pictures else "",
        figures={"series": [dict(dataclasses.asdict(change), subject=key[0], workload=key[1],
                                 metric=key[2], outside=change.outside)
                            for key, change in sorted(told.items())]})


# What fuzzing came to.

_TOTALS = """
SELECT c.id, c.started, c.command,
  (SELECT coalesce(sum(s.executions), 0) FROM sessions s JOIN jobs j ON j.id = s.job
   WHERE j.campaign = c.id AND j.engine != 'corpus') AS executions,
  (SELECT coalesce(sum(s.cpu_seconds), 0) FROM sessions s JOIN jobs j ON j.id = s.job
   WHERE j.campaign = c.id AND j.engine != 'corpus') AS cpu,
  (SELECT count(*) FROM state_hits h WHERE h.campaign = c.id AND hits > 0) AS states,
  (SELECT sum(covered) * 1.0 / sum(lines) FROM line_coverage l WHERE l.campaign = c.id) AS lines,
  (SELECT count(*) FROM campaign_findings f WHERE f.campaign = c.id
   AND status IN ('new', 'flaky')) AS new,
  (SELECT count(*) FROM campaign_findings f WHERE f.campaign = c.id AND status = 'known') AS known,
  (SELECT count(*) FROM campaign_findings f WHERE f.campaign = c.id AND status = 'fixed') AS fixed,
  (SELECT avg(killed) FROM kills k WHERE k.campaign = c.id) AS killed
FROM campaigns c WHERE c.id IN (
  SELECT id FROM campaigns o WHERE id <= ? AND plant = (SELECT plant FROM campaigns WHERE id = ?)
  AND EXISTS (SELECT 1 FROM jobs j JOIN sessions s ON s.job = j.id WHERE j.campaign = o.id
              AND j.engine != 'corpus' AND s.executions > 0)
  ORDER BY id DESC LIMIT ?)
ORDER BY c.id
"""


def totals(history, campaign):
    """What each of the last campaigns until this one came to, the oldest first; those that fuzzed nothing
    are left out."""
    return [dict(row) for row in history.query(_TOTALS, campaign, campaign, _SHOWN)]


_SPEEDS = """
SELECT j.strategy, j.engine, j.sanitizer,
       sum(s.executions) / sum(s.cpu_seconds) AS speed
FROM sessions s JOIN jobs j ON j.id = s.job
WHERE j.campaign = ? AND j.engine != 'corpus' AND s.executions > 0 AND s.cpu_seconds > 0
GROUP BY j.id HAVING sum(s.cpu_seconds) >= 1
"""


def speed_changes(history, campaign):
    """{(strategy, engine, sanitizer): noise.Change} of executions per CPU second."""
    def speeds(which):
        return {tuple(row)[:3]: row["speed"] for row in history.query(_SPEEDS, which)}
    series = {key: ([], speed, None) for key, speed in speeds(campaign).items()}
    for earlier in former(history, campaign, "jobs")[-noise.MOST:]:
        for key, speed in speeds(earlier).items():
            if key in series:
                series[key][0].append(speed)
    return noise.changes({key: told for key, told in series.items() if told[0]})


def _speed_says(key, change):
    return "%s on %s %s" % (key[0], job_curves.treatment_name(*key[1:]), _signed(change.change))


def _draw_totals(told, name, title, description):
    if plot.library() is None:
        return ""
    from matplotlib import ticker
    figure, all_axes = plot.figure(6.4, 3.6, nrows=2, ncols=2, sharex=True)
    panels = (("executions per CPU second", lambda t: t["executions"] / t["cpu"] if t["cpu"] else None),
              ("heap states seen", lambda t: t["states"] or None),
              ("lines covered, per cent",
               lambda t: None if t["lines"] is None else 100 * t["lines"]),
              ("findings: new or flaky; dashed: known", lambda t: t["new"]))
    places = range(len(told))
    for axes, (label, value) in zip(all_axes.flat, panels):
        known = [(x, value(t)) for x, t in zip(places, told) if value(t) is not None]
        axes.plot([x for x, _ in known], [y for _, y in known], marker="o", markersize=4,
                  **plot.curve(0))
        axes.set_title(label)
        axes.grid(True, axis="y")
        axes.yaxis.set_major_locator(ticker.MaxNLocator(4))
        axes.yaxis.set_major_formatter(ticker.FuncFormatter(
            lambda value, _: "{:,g}".format(value).replace(",", " ")))
        axes.margins(y=0.2)
        axes.set_xticks(places, [t["started"][5:10] for t in told], rotation=45 * (len(told) > 6))
    last = all_axes.flat[3]
    last.plot(places, [t["known"] for t in told], marker="s", markersize=4, **plot.curve(1))
    last.set_ylim(bottom=0)
    last.yaxis.set_major_locator(ticker.MaxNLocator(4, integer=True))
    figure.tight_layout()
    return plot.svg(figure, name, title, description)


_TOTALS_METHOD = (
    "All campaigns of this folder that fuzzed the same, without their replays of stored inputs; those of "
    "other lengths do not compare in what they saw. Executions per CPU second of each strategy and engine "
    "are held against former campaigns on this machine like benchmarks (t test on logarithms, moderated by all, Holm).")


def _campaigns(history, campaign, pictures):
    name, title = "trend-campaigns", "What campaigns came to"
    told = totals(history, campaign)
    if len(told) < 2 or told[-1]["id"] != campaign:
        return too_few(name, "trends", title, "%d campaigns that fuzzed; it takes this one and another."
                       % len(told), _TOTALS_METHOD)
    rows = [(t["started"].replace("T", " ")[:16], t["command"], text.number(t["executions"]),
             "%.2f" % (t["cpu"] / 3600), number(t["executions"] / t["cpu"] if t["cpu"] else None),
             text.number(t["states"] or None), "–" if t["lines"] is None else percent(t["lines"]),
             str(t["new"]), str(t["known"]), str(t["fixed"]),
             "–" if t["killed"] is None else percent(t["killed"])) for t in told]
    speeds = speed_changes(history, campaign)
    tested = [change for change in speeds.values() if change.p is not None]
    changed = sorted((item for item in speeds.items() if item[1].outside),
                     key=lambda item: item[1].change)
    if not tested:
        says = "Whether executions per second changed by more than the noise takes %d former campaigns " \
            "on this machine." % noise.FEWEST
    elif changed:
        says = "Executions per CPU second changed by more than the noise: %s." % "; ".join(
            _speed_says(*item) for item in changed)
    else:
        says = "Executions per CPU second of %d jobs are within the noise." % len(tested)
    return Exhibit(
        name, "trends", title, says, _TOTALS_METHOD,
        ("started", "command", "executions", "CPU hours", "per CPU s", "states", "lines", "new or flaky",
         "known", "fixed", "bugs killed"), rows, left=2,
        svg=_draw_totals(told, name, title, says) if pictures else "",
        figures={"campaigns": told, "speeds": [
            dict(dataclasses.asdict(change), strategy=key[0], engine=key[1], sanitizer=key[2],
                 outside=change.outside) for key, change in sorted(speeds.items())]})


def exhibits(history, campaign, pictures=True):
    """Two: of benchmarks and of campaigns."""
    return [_benchmarks(history, campaign, pictures), _campaigns(history, campaign, pictures)]
