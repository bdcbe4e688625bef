"""Speed against memory: what a campaign's benchmarks say of each strategy beside the usual allocators.

Nobody is best at both: of interest is the Pareto front, those that no other beats in one without losing
in the other. Over all workloads, figures are those of the reference allocator's, workload by workload,
and of these the geometric mean, the one mean that does not depend on the reference (Fleming and Wallace
1986).
"""
import dataclasses
import re
import statistics

from bench.subjects import OTHERS
from reports import labels, plot
from reports.bench_markdown import number
from reports.exhibit import Exhibit, too_few

# The first of them that ran is the reference.
_REFERENCES = ("glibc", "jemalloc", "mimalloc", "tcmalloc")


@dataclasses.dataclass
class Point:
    """One subject: on one workload, or over all."""
    name: str
    time: float
    memory: float
    low: float = None        # quartiles of the time
    high: float = None
    workloads: int = 1
    front: bool = False

    @property
    def peer(self):
        return self.name in OTHERS


def subject(row):
    return row["strategy"] + (":" + row["variant"] if row["variant"] else "")


def read(history, campaign):
    """{workload: {subject: Point}}, of those of which both was measured."""
    rows = history.query(
        "SELECT time.*, memory.value AS memory FROM benchmarks AS time JOIN benchmarks AS memory "
        "USING (campaign, strategy, variant, workload) WHERE campaign = ? AND time.metric = 'time' "
        "AND memory.metric = 'memory' ORDER BY workload, strategy, variant", campaign)
    found = {}
    for row in rows:
        if row["value"] > 0 and row["memory"] > 0:
            found.setdefault(row["workload"], {})[subject(row)] = Point(
                subject(row), row["value"], row["memory"], row["low"], row["high"])
    return found


def mark_front(points):
    """Marks those that are not beaten: by nobody that is as good in one, and better in the other."""
    for point in points:
        point.front = not any(
            other.time <= point.time and other.memory <= point.memory
            and (other.time, other.memory) != (point.time, point.memory) for other in points)
    return points


def over_all(by_workload):
    """(reference, [Point]): geometric means relative to the reference, of those that ran at least half
    of its workloads; the others cannot be compared. (None, []): nobody to compare with."""
    for reference in _REFERENCES:
        there = [told for told in by_workload.values() if reference in told]
        if there:
            break
    else:
        return None, []
    ratios = {}
    for told in there:
        base = told[reference]
        for name, point in told.items():
            ratios.setdefault(name, []).append((point.time / base.time, point.memory / base.memory))
    return reference, mark_front([
        Point(name, *(statistics.geometric_mean(column) for column in zip(*mine)),
              workloads=len(mine))
        for name, mine in sorted(ratios.items()) if 2 * len(mine) >= len(there)])


def draw(points, name, title, description, label_time, label_memory):
    """As SVG: strategies filled, others hollow, the front as a line."""
    if plot.library() is None:
        return ""
    from matplotlib import ticker
    figure, axes = plot.figure(6.4, 4.0)
    axes.set_xscale("log")
    axes.set_yscale("log")
    for point in points:
        colour = plot.COLOURS[1 if point.peer else 0]
        reach = None
        if point.low is not None and point.high is not None:
            reach = [[max(point.time - point.low, 0)], [max(point.high - point.time, 0)]]
        axes.errorbar([point.time], [point.memory], xerr=reach, fmt="o" if point.peer else "s",
                      markersize=5, color=colour, linewidth=0.8, capsize=2,
                      markerfacecolor="none" if point.peer else colour)
    front = sorted((point.time, point.memory) for point in points if point.front)
    axes.plot([x for x, _ in front], [y for _, y in front], drawstyle="steps-post", color=plot.INK,
              linewidth=0.8, linestyle=(0, (2, 2)), alpha=0.7)
    axes.margins(0.1)
    for axis, values in ((axes.xaxis, [p.time for p in points]),
                         (axes.yaxis, [p.memory for p in points])):
        spread = max(values) / min(values)
        axis.set_major_locator(ticker.MaxNLocator(5) if spread < 5 else ticker.LogLocator(
            subs=(1, 2, 5) if spread < 100 else (1,)))
        axis.set_major_formatter(ticker.FuncFormatter(lambda value, _: "%g" % value))
        axis.set_minor_locator(ticker.NullLocator())
    axes.grid(True)
    axes.set_xlabel(label_time)
    axes.set_ylabel(label_memory)
    figure.canvas.draw()
    inverse = axes.transAxes.inverted()

    def place(x, y):
        return inverse.transform(axes.transData.transform((x, y)))
    named, bars = [], []
    for point in points:
        x, y = place(point.time, point.memory)
        named.append((x, y, point.name, {
            "color": plot.INK, "fontsize": 8,
            "style": "italic" if point.peer else "normal"}))
        bars.append(tuple(place(at or point.time, point.memory)[0]
                          for at in (point.low, point.high)))
    labels.beside(axes, named, bars)
    return plot.svg(figure, name, title, description)


def _front_says(points):
    return "Beaten by nobody in both speed and memory: %s." % ", ".join(
        point.name for point in sorted(points, key=lambda point: point.time) if point.front)


def _figures(points):
    return {"points": [dataclasses.asdict(point) for point in points]}


_METHOD = ("Strategies filled, other allocators hollow; dashed: the Pareto front. Left and low is good. "
           "Time: CPU time of an operation; memory: peak footprint by peak live bytes; bench/README.md "
           "says how they are measured.")


def of_workload(workload, points, pictures):
    """Of {subject: Point}."""
    name = "speed-memory-" + (re.sub("[^a-z0-9]+", "-", workload.lower()).strip("-") or "x")
    title = "Speed against memory: " + workload
    points = mark_front(sorted(points.values(), key=lambda point: point.time))
    rows = [(point.name, number(point.time), "–" if point.low is None else "%s–%s" % (
        number(point.low), number(point.high)), "%.2f" % point.memory,
        "yes" if point.front else "no") for point in points]
    says = _front_says(points)
    svg = ""
    if pictures and len(points) > 1:
        svg = draw(points, name, title, says, "CPU time of an operation, ns (median, quartiles)",
                   "peak footprint / peak live bytes")
    return Exhibit(name, "benchmarks", title, says, _METHOD,
                   ("allocator", "ns", "quartiles", "memory", "on the front"), rows, svg=svg,
                   figures=dict(_figures(points), workload=workload))


def exhibits(history, campaign, pictures=True):
    """One over all workloads, then one of each."""
    name, title = "speed-memory", "Speed against memory, over all workloads"
    by_workload = read(history, campaign)
    reference, points = over_all(by_workload)
    method = _METHOD + " Both relative to %s on the same workload; geometric mean of the workloads " \
        "(Fleming and Wallace 1986). Who ran less than half of them is not shown." % (
            reference or "another allocator")
    if len(points) < 2:
        found = [too_few(name, "benchmarks", title, "no benchmarks in this campaign."
                         if not by_workload else "no other allocator was measured beside.", method)]
    else:
        points.sort(key=lambda point: point.time)
        says = _front_says(points)
        found = [Exhibit(
            name, "benchmarks", title, says, method,
            ("allocator", "time / %s" % reference, "memory / %s" % reference, "workloads",
             "on the front"),
            [(point.name, "%.2f" % point.time, "%.2f" % point.memory, str(point.workloads),
              "yes" if point.front else "no") for point in points],
            svg=draw(points, name, title, says, "time, relative to " + reference,
                     "memory, relative to " + reference) if pictures else "",
            figures=dict(_figures(points), reference=reference))]
    taken = {name}
    for workload, told in by_workload.items():
        made = of_workload(workload, told, pictures)
        if made.name not in taken:
            taken.add(made.name)
            found.append(made)
    return found
