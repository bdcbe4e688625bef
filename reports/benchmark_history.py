"""Benchmarks of all campaigns on this machine, of each allocator a small picture: its time and memory
against today's, over all workloads that both measured, with the quartiles of the rounds.

Times are corrected for what the machine did that night, like in trends.py, which also says whether today's
differ by more than the noise.
"""
import dataclasses
import math
import statistics

from bench.subjects import OTHERS
from reports import noise, plot, trends
from reports.exhibit import Exhibit, too_few

METRICS = ("time", "memory")

_COLUMNS = 4


@dataclasses.dataclass
class Past:
    """One allocator in one campaign: geometric means relative to today, of value and quartiles."""
    campaign: int
    day: str
    value: float
    low: float
    high: float
    workloads: int


def _mean(ratios):
    return math.exp(statistics.fmean(ratios))


def read(history, campaign):
    """{(allocator, metric): [Past]}, the oldest first, today's last."""
    now = trends.figures_of(history, campaign)
    found = {}
    for earlier in trends.former(history, campaign, "benchmarks")[-noise.MOST:] + [campaign]:
        then = now if earlier == campaign else trends.figures_of(history, earlier)
        factor = trends.machine_factor(then, now)
        day = history.one("SELECT started FROM campaigns WHERE id = ?", earlier)["started"][:10]
        ratios = {}
        for key, (value, low, high) in then.items():
            if key in now and key[2] in METRICS:
                base = now[key][0] * (factor if key[2] == "time" else 1.0)
                ratios.setdefault((key[0], key[2]), []).append(
                    [math.log((x or value) / base) for x in (value, low, high)])
        for key, mine in ratios.items():
            found.setdefault(key, []).append(
                Past(earlier, day, *(_mean(column) for column in zip(*mine)), len(mine)))
    return found


def draw(told, names, name, title, description):
    if plot.library() is None:
        return ""
    from matplotlib import ticker
    campaigns = sorted({past.campaign for pasts in told.values() for past in pasts})
    rows = -(-len(names) // _COLUMNS)
    figure, grid = plot.figure(6.4, 0.4 + 0.85 * rows, nrows=rows, ncols=_COLUMNS, sharex=True,
                               sharey=True, squeeze=False)
    for axes in grid.flat[len(names):]:
        axes.set_axis_off()
    most = 1.1
    for axes, who in zip(grid.flat, names):
        axes.set_title(who, fontsize=8)
        axes.axhline(1, color=plot.INK, linewidth=0.4, alpha=0.5)
        for i, metric in enumerate(METRICS):
            pasts = told.get((who, metric), [])
            x = [campaigns.index(past.campaign) for past in pasts]
            axes.fill_between(x, [past.low for past in pasts], [past.high for past in pasts],
                              color=plot.COLOURS[i], alpha=0.2, linewidth=0)
            axes.plot(x, [past.value for past in pasts], label=metric, **plot.curve(i))
            most = max([most] + [max(past.value, 1 / past.value) for past in pasts])
    first = grid.flat[0]
    first.set_yscale("log")
    first.set_ylim(1 / (1.05 * most), 1.05 * most)
    step = next((step for step in (1.1, 1.2, 1.5, 2, 5) if step >= math.sqrt(most)), 10)
    first.yaxis.set_major_locator(ticker.FixedLocator([1 / step, 1, step]))
    first.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: "%.2g" % value))
    first.yaxis.set_minor_locator(ticker.NullLocator())
    for axes in grid.flat:
        axes.set_xticks([])
        axes.tick_params(labelsize=7)
    figure.legend(*first.get_legend_handles_labels(), loc="lower left", ncol=2,
                  bbox_to_anchor=(0.02, -0.02))
    figure.tight_layout(h_pad=0.6, rect=(0, 0.04, 1, 1))
    return plot.svg(figure, name, title, description)


_METHOD = ("Of each former campaign on this machine, at most %d: geometric mean over the workloads that it "
           "and this one measured, relative to this one; bands: quartiles of the rounds. Times corrected "
           "by what the other allocators took that night." % noise.MOST)


def exhibits(history, campaign, pictures=True):
    """One."""
    name, title = "bench-history", "Benchmarks over all campaigns"
    told = read(history, campaign)
    days = {past.campaign: past.day for pasts in told.values() for past in pasts}
    if len(days) < 2:
        return [too_few(name, "trends", title, "no former campaign on this machine measured the same.",
                        _METHOD)]
    names = sorted({who for who, _ in told}, key=lambda who: (who in OTHERS, who))
    shown = sorted(days)[-6:-1]
    rows = []
    for who in names:
        for metric in METRICS:
            pasts = {past.campaign: past for past in told.get((who, metric), [])}
            if len(pasts) > 1:
                rows.append((who, metric) + tuple(
                    "%.3f" % pasts[one].value if one in pasts else "–" for one in shown))
    says = "%d campaigns, from %s to %s; above 1: slower, or more memory, than in this one." % (
        len(days), days[min(days)], days[max(days)])
    return [Exhibit(
        name, "trends", title, says, _METHOD,
        ("allocator", "of") + tuple("%s, campaign %d" % (days[one], one) for one in shown), rows,
        left=2, svg=draw(told, names, name, title, says) if pictures else "",
        figures={"series": [{"subject": who, "metric": metric,
                             "campaigns": [dataclasses.asdict(past) for past in pasts]}
                            for (who, metric), pasts in sorted(told.items())]})]
