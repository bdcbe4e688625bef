#!/usr/bin/env python3
"""Draws the plots of a results.json of ci/bench as SVG, and the page: bench_plots.py RESULTS.json FOLDER

Prints the name of each file; there is no page (bench_page.py) where Jinja2 is missing. They read without colour: strategies are filled and solid, peers hollow
and dashed, and names stand beside what they name.
"""
import json
import os
import re
import sys

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot, ticker  # noqa: E402

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from reports import bench_page, bench_pictures, files, html_page, labels  # noqa: E402

_INK, _PEER, _LIVE = "#1b3a57", "#8a5a00", "#d9d9d9"
_DASHES = ["-", (0, (6, 2)), (0, (1, 1)), (0, (6, 2, 1, 2)), (0, (3, 1, 1, 1, 1, 1))]

matplotlib.rcParams.update({
    "font.size": 9, "svg.fonttype": "none", "svg.hashsalt": "assay", "axes.spines.top": False,
    "axes.spines.right": False, "font.family": "DejaVu Sans", "axes.titlelocation": "left"})


def file_name(kind, workload):
    return "%s-%s.svg" % (kind, re.sub(r"[^A-Za-z0-9_.-]", "_", workload))


def _save(figure, path):
    figure.savefig(path, format="svg", bbox_inches="tight", metadata={"Date": None})
    pyplot.close(figure)


def _style(kind):
    return {"color": _INK if kind == "strategy" else _PEER,
            "style": "normal" if kind == "strategy" else "italic"}


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
        points.append((x, y, run["subject"], _style(kinds[run["subject"]])))
        bars.append((low, high))
    labels.beside(axes, points, bars)
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
        points.append((1.0, min(end / top, 1.0), label, _style(kinds[run["subject"]])))
    axes.set_xlim(0, last)
    axes.set_ylim(0, top)
    axes.xaxis.set_major_formatter(ticker.FuncFormatter(
        lambda value, _: "{:,.0f}".format(value).replace(",", " ")))
    axes.xaxis.set_major_locator(ticker.MaxNLocator(5))
    axes.set_xlabel("operation")
    axes.set_ylabel("footprint, %s" % name)
    axes.set_title("%s: footprint over time; grey: live bytes" % workload["name"], fontsize=10)
    labels.column(axes, points, 1.06)
    _save(figure, path)
    return True


def _picture(make, title):
    """A picture of the pages as a file: black on white, where it has the reader's colours there."""
    def plot(told, workload, path):
        drawn = make(told, workload, title % workload["name"], "")
        if drawn:
            files.write_whole(path, drawn.replace(
                'style="', 'style="color:black;background:white;', 1))
        return bool(drawn)
    return plot


_KINDS = (
    ("speed-memory", speed_against_memory),
    ("footprint", footprint_over_time),
    ("fragmentation", _picture(bench_pictures.fragmentation_over_time,
                               "%s: footprint / live bytes over time")),
    ("tail", _picture(bench_pictures.tail_latency, "%s: single operations")),
)


def draw(told, folder):
    """Returns the names of the files."""
    names = []
    # Kind by kind: pictures of pages change matplotlib's style for good.
    for kind, plot in _KINDS:
        for workload in told["workloads"]:
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
    try:
        print(bench_page.write(told, arguments[1]))
    except html_page.NoTemplates as error:
        print(error, file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1:])
