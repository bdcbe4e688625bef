#!/usr/bin/env python3
"""Draws the plots of a results.json of ci/bench as SVG: bench_plots.py RESULTS.json FOLDER

Prints the name of each file. They read without colour: strategies are filled and solid, peers hollow
and dashed, and names stand beside what they name.
"""
import json
import os
import re
import sys

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot, ticker, transforms  # noqa: E402

_INK, _PEER, _LIVE = "#1b3a57", "#8a5a00", "#d9d9d9"
_LEADER = {"arrowstyle": "-", "lw": 0.4, "color": "#777777", "shrinkA": 1, "shrinkB": 2}
_DASHES = ["-", (0, (6, 2)), (0, (1, 1)), (0, (6, 2, 1, 2)), (0, (3, 1, 1, 1, 1, 1))]

matplotlib.rcParams.update({
    "font.size": 9, "svg.fonttype": "none", "svg.hashsalt": "assay", "axes.spines.top": False,
    "axes.spines.right": False, "font.family": "DejaVu Sans", "axes.titlelocation": "left"})


def file_name(kind, workload):
    return "%s-%s.svg" % (kind, re.sub(r"[^A-Za-z0-9_.-]", "_", workload))


def _save(figure, path):
    figure.savefig(path, format="svg", bbox_inches="tight", metadata={"Date": None})
    pyplot.close(figure)


def spread_apart(wanted, gap, low, high):
    """Positions as near to those wanted as they can be with `gap` between them, in the same order
    of size, within low .. high if there is room."""
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    # Without the gaps below it each position may be at least that of the one before: what is out
    # of order is pooled at its mean (isotonic regression; Ayer et al. 1955).
    pools = []
    for k, i in enumerate(order):
        pools.append([wanted[i] - k * gap, 1])
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            mean, count = pools.pop()
            total = pools[-1][1] + count
            pools[-1] = [(pools[-1][0] * pools[-1][1] + mean * count) / total, total]
    flat = [mean for mean, count in pools for _ in range(count)]
    room = max(high - (len(order) - 1) * gap, low)
    result = [0.0] * len(wanted)
    for k, i in enumerate(order):
        result[i] = min(max(flat[k], low), room) + k * gap
    return result


def _style(kind):
    return {"color": _INK if kind == "strategy" else _PEER,
            "style": "normal" if kind == "strategy" else "italic", "annotation_clip": False}


def _label_column(axes, points, at):
    """Names in a column right of the plot, each with a thin line to its point. `points`: (x, y,
    name, kind), in axes coordinates; `at`: x of the column."""
    heights = spread_apart([point[1] for point in points], 0.047, 0.0, 1.0)
    for (x, y, name, kind), height in zip(points, heights):
        axes.annotate(
            name, xy=(x, y), xytext=(at, height), xycoords="axes fraction",
            textcoords="axes fraction", va="center", ha="left", **_style(kind),
            arrowprops=_LEADER)


# Where a name may stand: pixels right of and above its point, and how it is aligned there.
_PLACES = [(7, 0, "left", "center"), (-7, 0, "right", "center"), (0, 7, "center", "bottom"),
           (0, -7, "center", "top"), (5, 6, "left", "bottom"), (5, -6, "left", "top"),
           (-5, 6, "right", "bottom"), (-5, -6, "right", "top"),
           (0, 20, "center", "bottom"), (0, -20, "center", "top"), (14, 18, "left", "bottom"),
           (14, -18, "left", "top"), (-14, 18, "right", "bottom"), (-14, -18, "right", "top"),
           (0, 34, "center", "bottom"), (0, -34, "center", "top")]


def _label_box(label, renderer):
    """The box of its words; get_window_extent of an annotation counts its leader as well."""
    label.update_positions(renderer)
    return pyplot.Text.get_window_extent(label, renderer)


def _label_beside(axes, points, bars):
    """Names right beside their points where there is room, else in a column. `bars`: (low, high) of
    the points' x, in axes coordinates."""
    renderer = axes.figure.canvas.get_renderer()
    to_pixels = axes.transAxes
    taken = []
    for x, y, _, _ in points:
        px, py = to_pixels.transform((x, y))
        taken.append(transforms.Bbox.from_bounds(px - 4, py - 4, 8, 8))
    for (_, y, _, _), (low, high) in zip(points, bars):
        left, py = to_pixels.transform((low, y))
        right, _ = to_pixels.transform((high, y))
        taken.append(transforms.Bbox.from_extents(left, py - 2, right, py + 2))
    inside = axes.get_window_extent(renderer)
    crowded = []
    for i, (x, y, name, kind) in enumerate(points):
        for dx, dy, ha, va in _PLACES:
            label = axes.annotate(name, xy=(x, y), xytext=(dx, dy), xycoords="axes fraction",
                                  textcoords="offset pixels", ha=ha, va=va, **_style(kind),
                                  arrowprops=_LEADER if max(abs(dx), abs(dy)) > 10 else None)
            box = _label_box(label, renderer)
            if (box.x0 > inside.x0 and inside.y0 < box.y0 < box.y1 < inside.y1
                    and not any(box.overlaps(other) for k, other in enumerate(taken) if k != i)):
                taken.append(box)
                break
            label.remove()
        else:
            crowded.append((x, y, name, kind))
    _label_column(axes, crowded, 1.12)


def speed_against_memory(told, workload, path):
    """False if fewer than two subjects have both."""
    kinds = {subject["name"]: subject["kind"] for subject in told["subjects"]}
    runs = [run for run in told["runs"] if run["workload"] == workload["name"]
            and run["summary"]["ns"] and run["summary"]["waste"]]
    if len(runs) < 2:
        return False
    figure, axes = pyplot.subplots(figsize=(6.4, 4.2))
    axes.set_xscale("log")
    axes.set_yscale("log")
    for run in runs:
        ns, waste = run["summary"]["ns"], run["summary"]["waste"]
        strategy = kinds[run["subject"]] == "strategy"
        ink = _INK if strategy else _PEER
        axes.errorbar(ns["median"], waste, xerr=[[ns["median"] - ns["low"]],
                                                 [ns["high"] - ns["median"]]],
                      fmt="s" if strategy else "o", ms=5, color=ink, lw=0.8, capsize=2,
                      mfc=ink if strategy else "white")
    left, right = axes.get_xlim()
    if right / left < 4:
        axes.xaxis.set_major_locator(ticker.MaxNLocator(5))
    elif right / left < 50:
        axes.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(ticker.FuncFormatter(lambda value, _: "%g" % value))
        axis.set_minor_formatter(ticker.NullFormatter())
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, 0.95), max(high, 1.6))
    steps = [1, 1.1, 1.2, 1.3, 1.5, 2, 3, 5, 10, 20, 50, 100, 1000]
    axes.yaxis.set_major_locator(ticker.FixedLocator(steps))
    axes.yaxis.set_minor_locator(ticker.NullLocator())
    axes.grid(True, lw=0.3, color="#cccccc")
    axes.set_xlabel("CPU time of an operation, ns (median, minimum to maximum)")
    axes.set_ylabel("peak footprint / peak live bytes")
    axes.set_title("%s: left and low is good" % workload["name"], fontsize=10)
    inverse = axes.transAxes.inverted()
    figure.canvas.draw()
    points, bars = [], []
    for run in runs:
        ns, waste = run["summary"]["ns"], run["summary"]["waste"]
        (x, y), (low, _), (high, _) = (inverse.transform(axes.transData.transform((ns[key], waste)))
                                       for key in ("median", "low", "high"))
        points.append((x, y, run["subject"], kinds[run["subject"]]))
        bars.append((low, high))
    _label_beside(axes, points, bars)
    _save(figure, path)
    return True


def footprint_over_time(told, workload, path):
    """False if nobody's footprint was measured."""
    kinds = {subject["name"]: subject["kind"] for subject in told["subjects"]}
    runs = [run for run in told["runs"] if run["workload"] == workload["name"] and run["memory"]]
    live = workload.get("live")
    if not runs or not live:
        return False
    figure, axes = pyplot.subplots(figsize=(6.8, 4.2))
    unit, name = (1 << 20, "MiB") if max(v for _, v in live) >= 1 << 20 else (1024, "KiB")
    axes.fill_between([x for x, _ in live], [y / unit for _, y in live], color=_LIVE, lw=0)
    # One that wastes a lot would press all others into one line.
    best = min(run["memory"][0]["peak_footprint"] for run in runs)
    top = min(max(run["memory"][0]["peak_footprint"] for run in runs), 3 * best) / unit * 1.05
    last = live[-1][0]
    points = []
    strategies = 0
    for run in runs:
        samples = [(0, 0)] + run["memory"][0]["samples"]
        strategy = kinds[run["subject"]] == "strategy"
        dash = _DASHES[strategies % len(_DASHES)] if strategy else (0, (4, 3))
        strategies += strategy
        axes.plot([x for x, _ in samples], [y / unit for _, y in samples], ls=dash,
                  lw=1.3 if strategy else 0.9, color=_INK if strategy else _PEER)
        end, peak = samples[-1][1] / unit, run["memory"][0]["peak_footprint"] / unit
        label = run["subject"] + (" (to %.0f)" % peak if peak > top else "")
        points.append((1.0, min(end / top, 1.0), label, kinds[run["subject"]]))
    axes.set_xlim(0, last)
    axes.set_ylim(0, top)
    axes.xaxis.set_major_formatter(ticker.FuncFormatter(
        lambda value, _: "{:,.0f}".format(value).replace(",", " ")))
    axes.xaxis.set_major_locator(ticker.MaxNLocator(5))
    axes.set_xlabel("operation")
    axes.set_ylabel("footprint, %s" % name)
    axes.set_title("%s: footprint over time; grey: live bytes" % workload["name"], fontsize=10)
    _label_column(axes, points, 1.06)
    _save(figure, path)
    return True


def draw(told, folder):
    """Returns the names of the files."""
    names = []
    for workload in told["workloads"]:
        for kind, plot in (("speed-memory", speed_against_memory),
                           ("footprint", footprint_over_time)):
            name = file_name(kind, workload["name"])
            if plot(told, workload, os.path.join(folder, name)):
                names.append(name)
    return names


def main(arguments):
    if len(arguments) != 2:
        sys.exit(__doc__)
    with open(arguments[0], encoding="utf-8") as file:
        told = json.load(file)
    for name in draw(told, arguments[1]):
        print(name)


if __name__ == "__main__":
    main(sys.argv[1:])
