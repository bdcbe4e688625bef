"""Pictures of what a run of ci/bench measured: tails of single operations, and fragmentation over time.

In the house's style for pages (plot.py); the same pictures are files of their own.
"""
import math
import re

from bench import fragmentation
from reports import plot

# What is told of single operations: key, word, marker.
TAIL = (("p50", "50 %", "|"), ("p99", "99 %", "o"), ("p99.9", "99.9 %", "s"), ("max", "100 %", "x"))


def kinds(told):
    return {subject["name"]: subject["kind"] for subject in told["subjects"]}


def name_for(kind, workload):
    return "%s-%s" % (kind, re.sub("[^a-z0-9]+", "-", workload.lower()).strip("-") or "x")


def clock(told):
    """(what a reading costs, what it is right to), in ns; the largest of all runs. None: no runs."""
    found = [(one["clock_ns"], one["step_ns"]) for run in told["runs"] for one in run["latency"]]
    return tuple(map(max, zip(*found))) if found else None


def tails(told, workload):
    """[(subject, {"p50": median ...})], the shortest tail first."""
    found = [(run["subject"], {key: run["summary"]["latency"][key]["median"] for key, _, _ in TAIL})
             for run in told["runs"]
             if run["workload"] == workload["name"] and run["summary"]["latency"]]
    return sorted(found, key=lambda one: (one[1]["p99.9"], one[1]["p99"], one[1]["max"], one[0]))


def tail_latency(told, workload, title, description):
    """As SVG; "" if nobody's single operations were measured, or there is no matplotlib."""
    found = tails(told, workload)
    if not found or plot.library() is None:
        return ""
    least = max(clock(told)[1], 1.0)    # what is shorter than the clock's step is drawn as one
    which = kinds(told)
    figure, axes = plot.figure(6.8, 0.9 + 0.2 * len(found))
    axes.set_xscale("log")
    for row, (subject, times) in enumerate(found):
        peer = which[subject] != "strategy"
        colour = plot.COLOURS[1 if peer else 0]
        values = [max(times[key], least) for key, _, _ in TAIL]
        axes.plot(values, [row] * len(values), color=colour, linewidth=0.8, alpha=0.6)
        for value, (_, _, marker) in zip(values, TAIL):
            axes.plot([value], [row], marker=marker, color=colour, markersize=5.5, linestyle="none",
                      markeredgewidth=1.3, markerfacecolor="none" if peer else colour)
    axes.set_yticks(range(len(found)), [subject for subject, _ in found])
    for label, (subject, _) in zip(axes.get_yticklabels(), found):
        label.set_style("italic" if which[subject] != "strategy" else "normal")
    axes.set_ylim(len(found) - 0.4, -0.6)
    _time_axis(axes.xaxis)
    axes.grid(True, axis="x")
    axes.set_xlabel("time that so many per cent of the operations do not exceed")
    handles = [plot.library().Line2D([], [], marker=marker, color=plot.INK, linestyle="none",
                                     markersize=5.5, markeredgewidth=1.3, label=word)
               for _, word, marker in TAIL]
    axes.legend(handles=handles, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(TAIL),
                handletextpad=0.2)
    return plot.svg(figure, name_for("tail", workload["name"]), title, description)


def _time_axis(axis):
    from matplotlib import ticker
    axis.set_major_locator(ticker.LogLocator(base=10, numticks=12))
    axis.set_major_formatter(ticker.FuncFormatter(lambda value, _: words(value)))
    axis.set_minor_formatter(ticker.NullFormatter())


def words(ns):
    """12 ns, 3.4 µs, 56 ms."""
    for unit in ("ns", "µs", "ms"):
        if ns < 1000:
            return "%s %s" % ("%.0f" % ns if ns >= 10 or ns == int(ns) else "%.1f" % ns, unit)
        ns /= 1000
    return "%.1f s" % ns


def fragmented(told, workload):
    """[(subject, mean over time, curve)], the least mean first."""
    live = workload.get("live", ())
    found = []
    for run in told["runs"]:
        if run["workload"] != workload["name"] or not run["memory"]:
            continue
        points = fragmentation.curve(live, run["memory"][0]["samples"])
        if len(points) > 1:
            found.append((run["subject"], fragmentation.mean(points), points))
    return sorted(found, key=lambda one: (one[1], one[0]))


# A panel each: twenty curves in one would be told apart by nobody.
_ACROSS, _TOP = 4, 10


def fragmentation_over_time(told, workload, title, description):
    """As SVG, each subject in a panel of its own among all others; "" as above."""
    found = fragmented(told, workload)
    if not found or plot.library() is None:
        return ""
    from matplotlib import ticker
    which = kinds(told)
    down = math.ceil(len(found) / _ACROSS)
    figure, grid = plot.library().subplots(
        down, _ACROSS, figsize=(6.8, 0.5 + 1.05 * down), sharex=True, sharey=True, squeeze=False,
        gridspec_kw={"hspace": 0.5, "wspace": 0.12})
    top = min(_TOP, 1.1 * max(ratio for _, _, points in found for _, ratio in points))
    last = workload["live"][-1][0]
    for axes, mine in zip(grid.flat, found):
        for _, _, points in found:
            axes.plot(*zip(*points), color=plot.INK, linewidth=0.4, alpha=0.25)
        subject, mean, points = mine
        peer = which[subject] != "strategy"
        # Where live bytes come and go by the look, there are few points, and a line may be none.
        axes.plot(*zip(*points), color=plot.COLOURS[1 if peer else 0], linewidth=1.5,
                  linestyle=plot.DASHES[1 if peer else 0], marker="o" if len(points) < 9 else "",
                  markersize=3, markerfacecolor="none" if peer else None)
        axes.set_title(subject, fontsize=7, pad=2, style="italic" if peer else "normal")
        axes.set_title("%.2f" % mean, fontsize=7, pad=2, loc="right")
    for axes in list(grid.flat)[len(found):]:
        axes.set_axis_off()
    axes = grid[0][0]
    axes.set_yscale("log")
    axes.set_ylim(1 if all(r >= 1 for _, _, p in found for _, r in p) else 0.9, max(top, 1.5))
    axes.yaxis.set_major_locator(ticker.FixedLocator(
        [1, 2, 5, 10] if top > 4 else [1, 1.5, 2, 3] if top > 2 else [1, 1.2, 1.5, 2]))
    axes.yaxis.set_minor_locator(ticker.NullLocator())
    axes.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: "%g" % value))
    axes.set_xlim(0, last)
    axes.set_xticks([0, last], ["", "all operations"])
    for row in grid:
        for each in row:
            for label in each.get_xticklabels():
                label.set_horizontalalignment("right")
    for each in grid.flat:
        each.tick_params(labelsize=7)
        each.grid(True)
    return plot.svg(figure, name_for("fragmentation", workload["name"]), title, description)
