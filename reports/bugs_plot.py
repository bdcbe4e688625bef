#!/usr/bin/env python3
"""Draws the survival of bugs from a results.json of ci/bugs: bugs_plot.py RESULTS.json FOLDER

Writes survival.svg and survival.png, and prints their names: what share of all runs had not killed
its bug yet, against CPU seconds and against executions, for each fuzzer (Kaplan and Meier). Lines
differ by their dashes, and so can be told apart in grey; a cross is a run that was watched no longer.
"""
import json
import math
import os
import sys

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot, ticker  # noqa: E402

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from reports import bugs_results, survival  # noqa: E402

_DASHES = ["-", (0, (6, 2)), (0, (1, 1)), (0, (6, 2, 1, 2)), (0, (3, 1, 1, 1, 1, 1))]
_GREYS = ["#000000", "#1b5a8a", "#8a5a00", "#555555", "#999999"]

matplotlib.rcParams.update({
    "font.size": 9, "svg.fonttype": "none", "svg.hashsalt": "assay", "axes.spines.top": False,
    "axes.spines.right": False, "font.family": "DejaVu Sans", "axes.titlelocation": "left"})


def _samples(told, fuzzer, measure):
    bugs = {bug["name"]: bug for bug in told["bugs"]}
    found = []
    for run in told["runs"]:
        if not run["control"] and (run["engine"], run["mutator"]) == fuzzer:
            found += bugs_results.samples([run], bugs[run["subject"]], measure)
    return found


def _share_at(steps, value):
    share = 1.0
    for at, after in steps:
        if at <= value:
            share = after
    return share


def _line(axes, samples, least, last, style, label):
    steps = survival.kaplan_meier(samples)
    axes.step([least] + [value for value, _ in steps] + [last],
              [1.0] + [share for _, share in steps] + [steps[-1][1] if steps else 1.0],
              where="post", linestyle=_DASHES[style % 5], color=_GREYS[style % 5], linewidth=1.6,
              label=label)
    censored = sorted({value for value, died in samples if not died})
    axes.plot(censored, [_share_at(steps, value) for value in censored], "+",
              color=_GREYS[style % 5], markersize=7, clip_on=False)


def _decades(values):
    """Whole ones, for there to be some numbers at an axis."""
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return 10.0 ** low, 10.0 ** max(high, low + 1)


def draw(told, folder):
    figure, both = pyplot.subplots(1, 2, figsize=(9.5, 3.8), sharey=True)
    for axes, measure, title in ((both[0], "cpu_seconds", "CPU seconds, start-up included"),
                                 (both[1], "executions", "executions")):
        fuzzers = [(f["engine"], f["mutator"]) for f in told["fuzzers"] if f["bugs"]]
        samples = [_samples(told, fuzzer, measure) for fuzzer in fuzzers]
        values = [max(value, 1e-3) for each in samples for value, _ in each]
        axes.set_xscale("log")
        # Numbers between decades lie over each other.
        axes.xaxis.set_minor_formatter(ticker.NullFormatter())
        axes.set_xlabel(title)
        axes.set_ylim(0, 1.02)
        axes.grid(True, which="major", linewidth=0.4, color="#dddddd")
        if not values:
            continue
        least, most = _decades(values)
        axes.set_xlim(least, most)
        for style, (fuzzer, each) in enumerate(zip(fuzzers, samples)):
            _line(axes, each, least, max(values), style,
                  "%s (%d of %d killed)" % (bugs_results.fuzzer_name(*fuzzer),
                                            sum(died for _, died in each), len(each)))
    both[0].set_ylabel("share of runs whose bug is alive")
    both[0].set_title("How long known bugs live" + (" (partial)" if told["stopped"] else ""))
    if both[0].get_legend_handles_labels()[0]:
        both[0].legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(0, -0.16))
    names = []
    for kind, options in (("svg", {"metadata": {"Date": None}}), ("png", {"dpi": 150})):
        names.append("survival." + kind)
        figure.savefig(os.path.join(folder, names[-1]), format=kind, bbox_inches="tight", **options)
    pyplot.close(figure)
    return names


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        told = json.load(file)
    for name in draw(told, sys.argv[2]):
        print(name)


if __name__ == "__main__":
    main()
