"""Which of several engines or configurations are ahead of others over many strategies or bugs, as a
critical-difference diagram: Friedman's test on ranks, then Nemenyi's on all pairs (Demšar 2006,
Statistical Comparisons of Classifiers over Multiple Data Sets).

A block is a strategy or a bug, and has a value of each treatment; only ranks within a block count. Mean
ranks that differ by less than the critical difference are not shown to differ.
"""
import dataclasses
import functools
import math
import statistics

from reports import effect, engines_compared, job_curves, plot
from reports.bugs_results import fuzzer_name
from reports.exhibit import Exhibit, too_few

# Of fewer blocks, Friedman's statistic has not the distribution that it is compared with.
FEWEST = 5


@dataclasses.dataclass
class Ranking:
    names: list              # of treatments, the best first
    ranks: list              # their mean ranks; 1 is the best
    blocks: int
    chi_square: float        # Friedman's, without correction for ties, which makes it cautious
    p: float                 # by the F distribution (Iman and Davenport 1980), or exact
    difference: float        # the critical one, at 5 %

    @property
    def groups(self):
        """Largest [first, last] in the order of names whose ends are not shown to differ."""
        found = []
        for i in range(len(self.names)):
            last = max(j for j in range(i, len(self.names)) if not self.differ(i, j))
            if last > i and (not found or last > found[-1][1]):
                found.append([i, last])
        return found

    def differ(self, i, j):
        """Whether both tests say so."""
        return self.p < effect.SIGNIFICANT and abs(self.ranks[i] - self.ranks[j]) >= self.difference


@functools.lru_cache(maxsize=None)
def critical_value(treatments):
    """q of Nemenyi's test at 5 %: of the studentized range for infinitely many degrees of freedom."""
    return float(effect.statistics().studentized_range.ppf(
        1 - effect.SIGNIFICANT, treatments, math.inf)) / math.sqrt(2)


def rank(names, blocks):
    """`blocks`: one list of values for each, of which the greatest is the best. None: fewer than FEWEST
    blocks or two treatments, or no scipy."""
    stats = effect.statistics()
    k, n = len(names), len(blocks)
    if stats is None or k < 2 or n < FEWEST:
        return None
    ranks = [k + 1 - stats.rankdata(block) for block in blocks]
    means = [float(sum(column)) / n for column in zip(*ranks)]
    chi_square = 12 * n / (k * (k + 1)) * (sum(mean * mean for mean in means)
                                           - k * (k + 1) ** 2 / 4)
    order = sorted(range(k), key=lambda i: (means[i], i))
    return Ranking([names[i] for i in order], [means[i] for i in order], n, chi_square,
                   _probability(blocks, k, chi_square), critical_value(k) * math.sqrt(k * (k + 1) / (6 * n)))


def _probability(blocks, k, chi_square):
    """Of such ranks where all are alike. Iman and Davenport's F goes to infinity when few blocks agree
    altogether, which they do by chance once in (k!)^(n - 1); of two it is the sign test, which is exact."""
    n = len(blocks)
    if k == 2:
        return effect.stratified([([x], [y]) for x, y in blocks])["p"]
    least = math.factorial(k) ** -(n - 1.0)
    most = n * (k - 1)
    if chi_square >= most - 1e-9:
        return least
    return max(least, float(effect.statistics().f.sf(
        (n - 1) * chi_square / (most - chi_square), k - 1, (k - 1) * (n - 1))))


def draw(ranking, name, title, description):
    """Demšar's diagram: treatments at their mean ranks, bars over those that are not shown to differ."""
    if plot.library() is None:
        return ""
    k, ranks = len(ranking.names), ranking.ranks
    half = (k + 1) // 2
    groups = ranking.groups
    depth = 0.9 + 0.25 * len(groups)
    figure, axes = plot.figure(height=1.0 + 0.24 * (half + len(groups)))
    axes.set_axis_off()
    axes.set_xlim(0.4 * 1 - 0.1 * k, k + 0.6 + 0.1 * k)
    axes.set_ylim(-(depth + 0.55 * half), 1.6)
    axes.plot([1, k], [0, 0], color=plot.INK, linewidth=1)
    for tick in range(1, k + 1):
        axes.plot([tick, tick], [0, 0.2], color=plot.INK, linewidth=1)
        axes.text(tick, 0.3, "%d" % tick, ha="center", va="bottom")
    reach = min(ranking.difference, k - 1)
    axes.plot([1, 1 + reach], [1.05, 1.05], color=plot.INK, linewidth=1, marker="|", markersize=6)
    axes.text(1 + reach / 2, 1.12, "critical difference %.2f" % ranking.difference, ha="center",
              va="bottom", fontsize=8)
    for i, (first, last) in enumerate(groups):
        y = -0.35 - 0.25 * i
        axes.plot([ranks[first] - 0.03, ranks[last] + 0.03], [y, y], color=plot.COLOURS[0],
                  linewidth=4, solid_capstyle="butt")
    for i, (label, mean) in enumerate(zip(ranking.names, ranks)):
        left = i < half
        y = -depth - 0.55 * (i if left else k - 1 - i)
        edge = 0.9 if left else k + 0.1
        axes.plot([mean, mean, edge], [0, y, y], color=plot.INK, linewidth=0.8)
        axes.text(edge - 0.04 if left else edge + 0.04, y, "%s  %.2f" % (label, mean),
                  ha="right" if left else "left", va="center")
    return plot.svg(figure, name, title, description)


HEADINGS = ("treatment", "mean rank", "not shown to differ from")


def _exhibit(name, title, ranking, of, method, pictures):
    rows = []
    for i, treatment in enumerate(ranking.names):
        alike = [other for j, other in enumerate(ranking.names) if j != i and not ranking.differ(i, j)]
        rows.append((treatment, "%.2f" % ranking.ranks[i], "; ".join(alike) or "none"))
    says = "Friedman's test over %d %s: p %s; critical difference of mean ranks %.2f; best: %s (%.2f)." % (
        ranking.blocks, of, "< 0.001" if ranking.p < 0.001 else "= %.3f" % ranking.p,
        ranking.difference, ranking.names[0], ranking.ranks[0])
    if ranking.p >= effect.SIGNIFICANT:
        says += " No difference is shown."
    return Exhibit(name, "engines", title, says, method, HEADINGS, rows,
                   svg=draw(ranking, name, title, says) if pictures else "",
                   figures=dict(dataclasses.asdict(ranking), groups=ranking.groups))


_METHOD = ("Friedman's test with Iman and Davenport's F (of two, the sign test), then Nemenyi's, at 5 % "
           "(Demšar 2006). "
           "1 is the best rank; bars join what is not shown to differ. ")


def _usual(curves):
    """Treatments without those that only few strategies had: with them, few blocks would be left."""
    strategies = {treatment: sum(curve.treatment == treatment and bool(curve.states[-1])
                                 for curve in curves)
                  for treatment in engines_compared.treatments_of(curves)}
    most = max(strategies.values(), default=0)
    return [treatment for treatment, count in strategies.items() if count and 2 * count >= most]


def _by_coverage(history, campaign, pictures):
    name, title = "engines-ranked", "Engines ranked by coverage"
    method = _METHOD + "Ranks: share of a strategy's heap states after the CPU time of the engine that " \
        "was given least. Strategies that only some engines fuzzed are left out, and so are engines " \
        "that fuzzed less than half as many strategies as others."
    curves = job_curves.of_campaign(history, campaign)
    treatments = _usual(curves)
    told = engines_compared.equal_coverage(
        curves, job_curves.states_of(history, campaign, curves), treatments)
    ranking = rank([job_curves.treatment_name(*treatment) for treatment in treatments],
                   [told[strategy] for strategy in sorted(told)])
    if ranking is None:
        return too_few(name, "engines", title, "%d strategies that each of %d engines fuzzed; it takes "
                       "%d, and two." % (len(told), len(treatments), FEWEST), method)
    return _exhibit(name, title, ranking, "strategies", method, pictures)


def _by_kills(history, campaign, pictures):
    name, title = "engines-ranked-kills", "Engines ranked by how soon bugs are killed"
    method = _METHOD + "Ranks: median of the CPU seconds until a bug was killed; survivors come last."
    rows = history.query(engines_compared.KILLED, campaign)
    fuzzers = engines_compared.fuzzers_of(rows)
    blocks = [[statistics.median_low(side) for side in sides]
              for sides in engines_compared.kills_of(rows, fuzzers) if all(sides)]
    ranking = rank([fuzzer_name(*fuzzer) for fuzzer in fuzzers], blocks)
    if ranking is None:
        return too_few(name, "engines", title, "%d bugs that each of %d fuzzers hunted; it takes %d, and "
                       "two." % (len(blocks), len(fuzzers), FEWEST), method)
    return _exhibit(name, title, ranking, "bugs", method, pictures)


def exhibits(history, campaign, pictures=True):
    """Two: by strategies and by bugs."""
    if effect.statistics() is None:
        return []
    return [_by_coverage(history, campaign, pictures), _by_kills(history, campaign, pictures)]
