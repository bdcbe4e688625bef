#!/usr/bin/env python3
"""A picture of a trace: what lives over time, sizes, lifetimes, and threads.

    trace_picture.py STATS.json PICTURE.svg     (or PICTURE.png)

STATS is what `assay stats --json` prints; `-` is standard input. Axes of sizes and lifetimes are
logarithmic, by powers of two: both reach over many orders of magnitude.
"""
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from reports import plot  # noqa: E402

UNITS = ("", "K", "M", "G", "T", "P", "E")
MOST_THREADS = 400
NEEDED = ("operations", "kinds", "peak", "end", "live", "sizes", "lifetimes", "threads")


class NoStats(ValueError):
    """The document is none; the message says why."""


def checked(stats):
    """The statistics, if they have what is drawn."""
    if not isinstance(stats, dict) or stats.get("schema") != 1:
        raise NoStats("no statistics of schema 1, as `assay stats --json` prints them")
    for key in NEEDED:
        if key not in stats:
            raise NoStats("the statistics have no '%s'" % key)
    if not stats["operations"]:
        raise NoStats("a trace without operations has no picture")
    return stats


def short(number, step=1000):
    """`12 K`, `3.5 M`: at most three digits of it."""
    unit = 0
    while number >= step and unit < len(UNITS) - 1:
        number /= step
        unit += 1
    text = "%.0f" % number if number >= 100 or number == int(number) else "%.1f" % number
    return text + (" " + UNITS[unit] if UNITS[unit] else "")


def binary(number):
    return short(number, 1024)


def _paper(figure):
    """A picture that stands alone brings its paper."""
    figure.set_facecolor("white")


def _formatter(axis, words):
    from matplotlib import ticker
    axis.set_major_formatter(ticker.FuncFormatter(lambda value, _: words(max(value, 0))))


def _draw_live(axes, stats):
    operations = [0] + [sample[0] for sample in stats["live"]]
    colours = plot.COLOURS
    for column, colour, dashes, words in ((1, colours[0], "-", "bytes"),
                                          (2, colours[1], plot.DASHES[1], "blocks")):
        side = axes if column == 1 else axes.twinx()
        values = [0] + [sample[column] for sample in stats["live"]]
        side.plot(operations, values, color=colour, linestyle=dashes, linewidth=1.4)
        side.set_ylim(bottom=0)
        side.set_ylabel("%s (%s)" % (words, "full line" if column == 1 else "dashed"))
        _formatter(side.yaxis, short)
        if column == 2:
            side.spines["right"].set_visible(True)
    _formatter(axes.xaxis, short)
    axes.set_xlim(0, max(operations))
    axes.set_xlabel("operation")
    axes.set_title("Live: at most %sB, %s blocks; at the end %sB, %s" % (
        _spaced(short(stats["peak"]["bytes"])), short(stats["peak"]["blocks"]),
        _spaced(short(stats["end"]["bytes"])), short(stats["end"]["blocks"])))


def _spaced(text):
    return text if " " in text else text + " "


def _powers(log2):
    """{power of two: count}."""
    return {max(low, 1).bit_length() - 1: count for low, _, count in log2}


def _bars(axes, counts, words):
    """Shares of the whole, by powers of two."""
    if not counts:
        axes.text(0.5, 0.5, "none", ha="center", transform=axes.transAxes)
        return
    total = sum(counts.values())
    first, last = min(counts), max(counts)
    powers = range(first, last + 1)
    axes.bar(powers, [100 * counts.get(power, 0) / total for power in powers], width=0.85,
             color=plot.COLOURS[0])
    step = max(1, -(-(last - first) // 7))
    ticks = list(range(first, last + 1, step))
    axes.set_xticks(ticks)
    axes.set_xticklabels([words(2 ** power) for power in ticks])
    axes.set_ylabel("share, %")


def _draw_sizes(axes, stats):
    sizes = stats["sizes"]
    _bars(axes, _powers(sizes["log2"]), binary)
    axes.set_xlabel("bytes requested, from 2ⁿ")
    title = "%s allocations of %s sizes" % (short(sizes["count"]), short(sizes["distinct"]))
    if sizes["count"]:
        title += "; median %s bytes" % short(sizes["quantiles"]["0.5"])
    axes.set_title(title)


def _draw_lifetimes(axes, stats):
    told = stats["lifetimes"]
    _bars(axes, _powers(told["operations"]["log2"]), short)
    axes.set_xlabel("operations from allocation to release, from 2ⁿ")
    title = "%s lifetimes" % short(told["count"])
    if told["count"]:
        title += "; median %s" % short(told["operations"]["quantiles"]["0.5"])
    axes.set_title(title)


def _draw_threads(axes, stats):
    threads = stats["threads"]
    counts = sorted((count for _, count in threads["operations"]), reverse=True)[:MOST_THREADS]
    axes.plot(range(1, len(counts) + 1), counts, color=plot.COLOURS[0], marker="o",
              markersize=3 if len(counts) < 40 else 1.5, linewidth=1)
    axes.set_yscale("log")
    if len(counts) > 1:
        axes.set_xscale("log")
    for axis in (axes.xaxis, axes.yaxis):
        _formatter(axis, short)
    axes.set_xlabel("thread, by how much it does")
    axes.set_ylabel("operations")
    axes.set_title("%d thread%s; %s releases of what another allocated" % (
        threads["count"], "" if threads["count"] == 1 else "s",
        short(threads["cross_thread_releases"])))


def figure(stats):
    """matplotlib's figure of them."""
    stats = checked(stats)
    made, axes = plot.figure(10, 6.4, nrows=2, ncols=2)
    _paper(made)
    _draw_live(axes[0][0], stats)
    _draw_sizes(axes[0][1], stats)
    _draw_lifetimes(axes[1][0], stats)
    _draw_threads(axes[1][1], stats)
    kinds = ", ".join("%s %s" % (short(count), kind) for kind, count in stats["kinds"].items())
    made.suptitle("%s: %s operations (%s)" % (
        os.path.basename(stats.get("file", "trace")), short(stats["operations"]), kinds),
        fontsize=10, x=0.01, ha="left")
    made.tight_layout(w_pad=2.5)
    return made


def save(stats, path):
    """Writes the picture: SVG, or PNG if the path says so. NoStats, or OSError."""
    if plot.library() is None:
        raise NoStats("no matplotlib; apt-get install python3-matplotlib")
    made = figure(stats)
    options = {} if path.endswith(".png") else {"format": "svg", "metadata": {"Date": None}}
    # On paper of its own, no page's font may move its words.
    with plot.library().rc_context({"svg.fonttype": "path"}):
        made.savefig(path, dpi=130, **options)
    plot.library().close(made)


def main(arguments):
    if len(arguments) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        if arguments[0] == "-":
            stats = json.load(sys.stdin)
        else:
            with open(arguments[0], encoding="utf-8") as file:
                stats = json.load(file)
        save(stats, arguments[1])
    except (OSError, ValueError) as error:
        print("trace_picture.py: %s: %s" % (arguments[0], error), file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
