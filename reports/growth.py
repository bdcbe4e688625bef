"""Growth of coverage and findings over CPU time, for each engine and sanitizer over all strategies.

Strategies have different numbers of states, and engines count edges in units of their own: coverage is
a share of what was reached in the end, states by all engines together, edges by the same engine and
sanitizer. A job that was given less CPU time than others keeps what it had, which is a lower bound.
Bands are of the mean over strategies (bootstrap.py), which are what a campaign has many of: sessions of
one job begin with each other's inputs, and are no independent repetitions. They hold at each point of
time by itself.
"""
import dataclasses

import numpy

from reports import bootstrap, job_curves, plot, text
from reports.exhibit import Exhibit, too_few

_POINTS = 60

# CPU seconds at which the table tells, where they are reached.
_TOLD = (1, 10, 60, 600, 3600, 36000, 360000, 3600000)


@dataclasses.dataclass
class Growth:
    """One measure for one engine and sanitizer; arrays over `cpu`, the seconds of a strategy's job."""
    engine: str
    sanitizer: str
    strategies: int
    cpu: numpy.ndarray
    mean: numpy.ndarray
    low: numpy.ndarray       # None: too few strategies for a band
    high: numpy.ndarray

    @property
    def name(self):
        return job_curves.treatment_name(self.engine, self.sanitizer)

    def at(self, cpu):
        """(mean, low, high) after `cpu` seconds; None where it was not watched for so long."""
        if cpu > self.cpu[-1] * 1.001:
            return None
        i = int(numpy.argmin(abs(numpy.log(self.cpu / cpu))))
        return tuple(None if values is None else float(values[i])
                     for values in (self.mean, self.low, self.high))


def _grid(curves):
    """Until the CPU time that half of the jobs were given."""
    last = float(numpy.median([curve.cpu[-1] for curve in curves]))
    first = min(float(curve.cpu[curve.cpu > 0][0]) for curve in curves)
    first = min(max(first, last / 1e5), last / 2)
    return numpy.geomspace(first, last, _POINTS)


def _grown(curves, values_of, total=False):
    """A Growth for each treatment. `values_of(curve, grid)`: an array over the grid, or None if it was
    not measured. `total`: of all strategies, not their mean."""
    by_treatment = {}
    for curve in curves:
        by_treatment.setdefault(curve.treatment, []).append(curve)
    found = []
    for treatment, mine in sorted(by_treatment.items(), key=job_curves.treatment_order):
        cpu = _grid(mine)
        values = [row for row in (values_of(curve, cpu) for curve in mine) if row is not None]
        if not values:
            continue
        times = len(values) if total else 1
        band = bootstrap.band(values)
        low, high = (None, None) if band is None else (edge * times for edge in band)
        found.append(Growth(*treatment, len(values), cpu, numpy.mean(values, axis=0) * times, low,
                            high))
    return found


def of_states(curves, states):
    """Share of a strategy's abstract states. `states`: {strategy: all that were seen}."""
    return _grown(curves, lambda curve, cpu: (
        curve.reached(curve.states, cpu) / states[curve.strategy] if curve.states[-1] else None))


def of_edges(curves):
    """Share of the edges that this engine and sanitizer had reached in the end."""
    return _grown(curves, lambda curve, cpu: (
        curve.reached(curve.edges, cpu) / curve.edges[-1] if curve.edges[-1] else None))


def of_findings(curves, findings):
    """How many findings. `findings`: rows of strategy, engine, sanitizer and campaign seconds."""
    times = {}
    for row in findings:
        key = row["strategy"], row["engine"], row["sanitizer"]
        times.setdefault(key, []).append(row["seconds"])

    def found(curve, cpu):
        key = curve.strategy, curve.engine, curve.sanitizer
        mine = sorted(curve.cpu_at(at) for at in times.get(key, []))
        return numpy.searchsorted(mine, cpu, side="right")
    return _grown(curves, found, total=True)


FINDINGS = """
SELECT findings.strategy, f.engine, f.sanitizer, f.seconds FROM campaign_findings AS f
JOIN findings ON findings.id = f.finding
WHERE f.campaign = ? AND f.seconds IS NOT NULL AND f.status != 'fixed'
"""


def _cell(told, form):
    if told is None:
        return "–"
    mean, low, high = told
    return form(mean) if low is None else form(mean, low, high)


def _percent(value, *band):
    if band:
        return "%.1f (%.1f–%.1f) %%" % tuple(100 * number for number in (value,) + band)
    return "%.1f %%" % (100 * value)


def _count(value, *band):
    if band:
        return "%.0f (%.0f–%.0f)" % ((value,) + band)
    return "%.0f" % value


def _cpu(seconds):
    return "%.2g s" % seconds if seconds < 10 else text.duration(seconds)


def _table(grown, form):
    """(headings, rows): at some times, and at each one's last."""
    end = max(growth.cpu[-1] for growth in grown)
    start = min(growth.cpu[0] for growth in grown)
    told = [at for at in _TOLD if start <= at < end / 1.5][-4:]
    headings = ("engine", "strategies") + tuple("after " + _cpu(at) for at in told) + (
        "CPU time", "in the end")
    return headings, [
        (growth.name, str(growth.strategies)) + tuple(_cell(growth.at(at), form) for at in told)
        + (_cpu(growth.cpu[-1]), _cell(growth.at(growth.cpu[-1]), form)) for growth in grown]


def _says(grown, form, noun):
    """Where the best ended and the last, and who still grew in the second half of the time."""
    def ended(growth):
        return "%s %s" % (growth.name, _cell(growth.at(growth.cpu[-1]), form))

    def late(growth):
        half = growth.at(growth.cpu[-1] / 2)
        return 0.0 if half is None else max(0.0, float(growth.mean[-1]) - half[0])
    order = sorted(grown, key=lambda growth: -growth.mean[-1])
    line = "In the end: %s %s" % (ended(order[0]), noun)
    if len(order) > 1:
        line += ("; %s" if len(order) == 2 else "; least: %s") % ended(order[-1])
    most = max(grown, key=late)
    if late(most):
        return line + ". In the second half of the time: +%s%s." % (
            form(late(most)), " on " + most.name if len(order) == 1 else " at most (%s)" % most.name)
    return line + ". Nothing came in the second half of the time."


def _says_when(grown):
    """Of shares that all end at 100 %: when each was near."""
    near = []
    for growth in grown:
        there = numpy.flatnonzero(growth.mean >= 0.95)
        near.append("%s %s of %s" % (growth.name, _cpu(growth.cpu[there[0]]), _cpu(growth.cpu[-1]))
                    if len(there) else "%s not within %s" % (growth.name, _cpu(growth.cpu[-1])))
    return "95 %% of what it covered in the end was covered after: %s of CPU time." % "; ".join(near[:4])


def draw(grown, name, title, label, description, share):
    """As SVG; empty without matplotlib."""
    if plot.library() is None:
        return ""
    figure, axes = plot.figure()
    for i, growth in enumerate(grown):
        style = plot.curve(i)
        if growth.low is not None:
            axes.fill_between(growth.cpu, growth.low, growth.high, color=style["color"], alpha=0.18,
                              linewidth=0)
        axes.plot(growth.cpu, growth.mean, label="%s (strategies: %d)" % (
            growth.name, growth.strategies), **style)
    axes.set_xscale("log")
    plot.seconds_axis(axes.xaxis)
    axes.set_xlim(min(g.cpu[0] for g in grown), max(g.cpu[-1] for g in grown))
    axes.set_ylim(bottom=0)
    if share:
        from matplotlib import ticker
        axes.yaxis.set_major_formatter(ticker.PercentFormatter(1.0, decimals=0))
        axes.set_ylim(0, 1.04)
    axes.grid(True)
    axes.set_xlabel("CPU time of a strategy's job")
    axes.set_title(label)
    axes.legend(loc="upper left", bbox_to_anchor=(0, -0.18), ncol=2)
    return plot.svg(figure, name, title, description)


_BAND = ("Bands: 95 %% of the mean over strategies, at each time by itself (bootstrap over strategies, "
         "expanded percentile interval; Efron 1979, Hesterberg 2015); fewer than %d strategies have "
         "none, and engines that had other strategies do not compare. A job that was given less CPU time "
         "keeps what it had. Engines begin with each other's inputs." % bootstrap.FEWEST)

_MEASURES = (
    ("growth-states", "Growth of the heap states seen", _percent, "of the states", True,
     "share of the abstract states that all engines together saw",
     "A job's states are those of its best session: a lower bound. " + _BAND),
    ("growth-edges", "Growth of the edges covered", _percent, "", True,
     "share of the edges that the same engine and sanitizer reached in the end",
     "Engines count edges in units of their own: curves tell how fast each levels off, not which "
     "covers more. " + _BAND),
    ("growth-findings", "Growth of the findings", _count, "findings", False,
     "findings, of all strategies together",
     "A finding counts for the engine that was first to find it. " + _BAND),
)


def exhibits(history, campaign, pictures=True):
    """Three of them, whatever the campaign measured."""
    curves = job_curves.of_campaign(history, campaign)
    findings = history.query(FINDINGS, campaign)
    measured = (of_states(curves, job_curves.states_of(history, campaign, curves)),
                of_edges(curves), of_findings(curves, findings) if findings else [])
    missing = ("no job told how many states it saw.", "no engine told its coverage.",
               "no finding while fuzzing.")
    found = []
    for grown, lacks, (name, title, form, noun, share, label, method) in zip(
            measured, missing, _MEASURES):
        if not grown:
            found.append(too_few(name, "growth", title, lacks if curves else "no job was sampled.",
                                 method))
            continue
        headings, rows = _table(grown, form)
        says = _says(grown, form, noun) if noun else _says_when(grown)
        found.append(Exhibit(
            name, "growth", title, says, method, headings, rows,
            svg=draw(grown, name, title, label, says, share) if pictures else "",
            figures={"curves": [{
                "engine": g.engine, "sanitizer": g.sanitizer, "strategies": g.strategies,
                "cpu_seconds": _rounded(g.cpu), "mean": _rounded(g.mean),
                "low": _rounded(g.low), "high": _rounded(g.high)} for g in grown]}))
    return found


def _rounded(values):
    return None if values is None else [float("%.4g" % value) for value in values]
