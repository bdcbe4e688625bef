"""How much fuzzing has not seen yet: the abstract states of heaps taken as species, and executions as
samples of them (STADS: Böhme 2018, Software Testing as Species Discovery).

All follows from how many states were seen in one execution, in two, in three ...:

- the next execution is expected to show f1 / n new states (Good 1953, after Turing);
- as many executions again are expected to show f1 - f2 + f3 - ... new ones (Good and Toulmin 1956), with
  Euler's transform, which keeps its variance small (Efron and Thisted 1976). It is linear in the
  counts, so that what is said of strategies adds up;
- there are at least as many states as were seen, and f1² / 2 f2 (Chao 1984): a lower bound, because
  states that are as rare as one likes cannot be counted by anyone.

Executions of a fuzzer are no independent draws: it goes after what is new, and begins with the corpus of
former nights, so that more comes than draws would show (Böhme, Liyanage and Wüstholz 2021 on that bias).
Intervals know nothing of it. Where there was a former campaign, its estimate is held against what
this one did find.
"""
import dataclasses
import math

from reports import plot, text
from reports.exhibit import Exhibit, too_few

_Z = 1.959964  # of 95 %

# Terms of the transformed series. More have less bias and more variance; with these, intervals held
# the truth in 92 to 97 % of simulated worlds from uniform to lognormal (species_test.py).
_TERMS = 8

# A strategy of which less is known is left out.
_FEWEST_STATES, _FEWEST_EXECUTIONS = 10, 100

# Campaigns that are taken together; of older ones little may be as it was.
_NIGHTS = 10

# Nothing in n draws: at most 3 / n are it, at 95 % (Hanley and Lippman-Hand 1983).
_NOTHING = 3.0


@dataclasses.dataclass
class Sample:
    """`counts`: {k: states that were seen in k executions}."""
    executions: int
    counts: dict

    @property
    def seen(self):
        return sum(self.counts.values())

    def f(self, k):
        return self.counts.get(k, 0)

    @property
    def enough(self):
        return self.seen >= _FEWEST_STATES and self.executions >= _FEWEST_EXECUTIONS


def together(samples):
    """All as one: states of different strategies are different."""
    counts = {}
    for sample in samples:
        for k, states in sample.counts.items():
            counts[k] = counts.get(k, 0) + states
    return Sample(sum(sample.executions for sample in samples), counts)


def _binomial_at_least(k, n, p):
    return sum(math.comb(n, i) * p ** i * (1 - p) ** (n - i) for i in range(k, n + 1))


def more(sample, times=1.0):
    """(estimate, low, high) of the new states that `times` as many executions again would show; the
    interval is of what they show, not of its expectation. times <= 1: further ahead nothing is known
    without assumptions on the states that nobody saw."""
    if not 0 < times <= 1:
        raise ValueError("times: %g is not in (0, 1]" % times)
    estimate = variance = 0.0
    for k in range(1, _TERMS + 1):
        weight = -(-times) ** k * _binomial_at_least(k, _TERMS, 1 / (1 + times))
        estimate += weight * sample.f(k)
        variance += weight * weight * sample.f(k)
    estimate = max(estimate, 0.0)
    # What comes is counted, and scatters like a Poisson number around its expectation.
    reach = _Z * math.sqrt(variance + estimate)
    high = estimate + reach
    if not sample.f(1):
        high = max(high, _NOTHING * times)
    return estimate, max(estimate - reach, 0.0), high


def discovery(sample):
    """(estimate, low, high) of the number of new states in the next execution: where they are rare, the
    probability that it shows one. Good and Turing; the interval by Esty (1983)."""
    n, singles = sample.executions, sample.f(1)
    reach = _Z * math.sqrt(singles + 2 * sample.f(2))
    high = singles + reach
    if not singles:
        high = max(high, _NOTHING)
    return singles / n, max(singles - reach, 0.0) / n, high / n


def richness(sample):
    """(estimate, low, high) of a lower bound of the number of all states: Chao's, with the interval of
    Chao (1987)."""
    n, singles, doubles, seen = sample.executions, sample.f(1), sample.f(2), sample.seen
    shrink = (n - 1) / n
    if doubles:
        ratio = singles / doubles
        missing = shrink * singles * ratio / 2
        variance = doubles * (shrink ** 2 * ratio ** 4 / 4 + shrink ** 2 * ratio ** 3
                              + shrink * ratio ** 2 / 2)
    else:
        missing = shrink * singles * (singles - 1) / 2
        variance = 0.0
        if missing:
            variance = (shrink * singles * (singles - 1) / 2
                        + shrink ** 2 * singles * (2 * singles - 1) ** 2 / 4
                        - shrink ** 2 * singles ** 4 / (4 * (seen + missing)))
    if not missing:
        return float(seen), float(seen), float(seen)
    factor = math.exp(_Z * math.sqrt(math.log(1 + max(variance, 0.0) / missing ** 2)))
    return seen + missing, seen + missing / factor, seen + missing * factor


def nights(history, campaign):
    """Ids of the last campaigns of this folder that told states, until this one, the oldest first."""
    rows = history.query(
        "SELECT id FROM campaigns WHERE id <= ? AND plant = (SELECT plant FROM campaigns WHERE id = ?) "
        "AND EXISTS (SELECT 1 FROM state_hits WHERE campaign = campaigns.id) "
        "ORDER BY id DESC LIMIT ?", campaign, campaign, _NIGHTS)
    return sorted(row["id"] for row in rows)


def read(history, campaigns):
    """{strategy: Sample} of all these campaigns together."""
    which = ", ".join("%d" % campaign for campaign in campaigns)
    executions = {row["strategy"]: row["executions"] for row in history.query(
        "SELECT jobs.strategy, sum(sessions.executions) AS executions FROM sessions "
        "JOIN jobs ON jobs.id = sessions.job WHERE jobs.campaign IN (%s) AND "
        "jobs.engine != 'corpus' GROUP BY jobs.strategy" % which)}
    counts = {}
    for row in history.query(
            "SELECT strategy, hits, count(*) AS states FROM (SELECT strategy, sum(hits) AS hits FROM "
            "state_hits WHERE campaign IN (%s) AND hits > 0 GROUP BY strategy, state) "
            "GROUP BY strategy, hits ORDER BY strategy" % which):
        counts.setdefault(row["strategy"], {})[row["hits"]] = row["states"]
    return {strategy: Sample(executions.get(strategy) or 0, told)
            for strategy, told in counts.items()}


def added(estimates):
    """(estimate, low, high) of the sum of independent ones."""
    estimate = sum(told[0] for told in estimates)
    reach = math.sqrt(sum((told[2] - told[0]) ** 2 for told in estimates))
    return estimate, max(estimate - reach, 0.0), estimate + reach


_NEW = """
SELECT strategy, count(*) AS states FROM state_hits AS mine WHERE campaign = ? AND hits > 0
AND NOT EXISTS (SELECT 1 FROM state_hits AS theirs WHERE theirs.campaign IN (%s) AND
                theirs.strategy = mine.strategy AND theirs.state = mine.state)
GROUP BY strategy
"""


def looked_back(history, campaign):
    """What former campaigns would have said of this one, by the executions that it had, and what came:
    {strategies, estimate, low, high, came}. Strategies that had more executions than in all of them are
    left out. None: there is nothing to hold against."""
    before = [night for night in nights(history, campaign) if night != campaign]
    if not before:
        return None
    former, now = read(history, before), read(history, [campaign])
    came = {row["strategy"]: row["states"] for row in history.query(
        _NEW % ", ".join("%d" % night for night in before), campaign)}
    known = [strategy for strategy in now if strategy in former and former[strategy].enough
             and 0 < now[strategy].executions <= former[strategy].executions]
    if not known:
        return None
    told = added([more(former[strategy], now[strategy].executions / former[strategy].executions)
                  for strategy in known])
    return dict(zip(("estimate", "low", "high"), told), strategies=len(known),
                came=sum(came.get(strategy, 0) for strategy in known))


def _looked_back_says(told):
    strategies = "1 strategy" if told["strategies"] == 1 else "%d strategies" % told["strategies"]
    return " Looking back: the estimate before, for what this campaign executed, was %s new states in " \
        "%s, and %s came." % (_whole((told["estimate"], told["low"], told["high"])), strategies,
                              text.number(told["came"]))


def _whole(told):
    """`12 (4–21)`."""
    return "%s (%s–%s)" % tuple(text.number(round(value)) for value in told)


def _executions_between(sample):
    """After how many the next new one is expected: (estimate or None, low, high or None)."""
    rate, low, high = discovery(sample)
    return (1 / rate if rate else None, 1 / high, 1 / low if low else None)


def _between(sample):
    estimate, low, high = _executions_between(sample)
    if estimate is None:
        return "> " + _about(low)
    return "%s (%s–%s)" % (_about(estimate), _about(low), "∞" if high is None else _about(high))


def _about(value):
    """Two digits that count: 1 234 567 as 1 200 000."""
    value = max(value, 1.0)
    return text.number(round(value, 1 - int(math.floor(math.log10(value)))))


HEADINGS = ("strategy", "executions", "states", "seen once", "twice", "another night finds",
            "the next one after", "states at least")


def _row(name, sample, told):
    return (name, text.number(sample.executions), text.number(sample.seen),
            text.number(sample.f(1)), text.number(sample.f(2)), _whole(told),
            _between(sample), _whole(richness(sample)))


def _figures(sample, told):
    def triple(values):
        return dict(zip(("estimate", "low", "high"), values))
    return {"executions": sample.executions, "seen": sample.seen, "once": sample.f(1),
            "twice": sample.f(2), "more": triple(told),
            "next_after": triple(_executions_between(sample)),
            "discovery": triple(discovery(sample)), "richness": triple(richness(sample))}


def draw(samples, estimates, name, title, description):
    """What another night would find in each strategy, as a part of what was seen."""
    if plot.library() is None:
        return ""
    names = sorted(samples, key=lambda s: estimates[s][0] / samples[s].seen)
    figure, axes = plot.figure(height=0.9 + 0.22 * len(names))
    for y, strategy in enumerate(names):
        told = [100 * value / samples[strategy].seen for value in estimates[strategy]]
        axes.plot(told[1:], [y, y], color=plot.COLOURS[0], linewidth=1.2, solid_capstyle="butt")
        axes.plot(told[:1], [y], "o", color=plot.COLOURS[0], markersize=5)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.set_xlim(left=0)
    axes.grid(True, axis="x")
    axes.set_xlabel("new states in another night, per 100 seen so far (95 %)")
    return plot.svg(figure, name, title, description)


_METHOD = (
    "States are abstract states of the heap, counted once per execution, of the last %d campaigns together. "
    "New ones: Good and Toulmin's "
    "estimate with Euler's transform (Efron and Thisted 1976), 95 %% interval of what would be seen; "
    "next one: Good and Turing's f1/n, Esty's interval; at least: Chao's lower bound (1984, 1987). "
    "After STADS (Böhme 2018), which takes executions for independent draws: a fuzzer goes after what is "
    "new, and rather finds more." % _NIGHTS)


def exhibits(history, campaign, pictures=True):
    """One: each strategy and all together."""
    name, title = "saturation", "What another night would find"
    together_with = nights(history, campaign)
    samples = read(history, together_with) if campaign in together_with else {}
    now = read(history, [campaign])
    known = {strategy: sample for strategy, sample in samples.items()
             if sample.enough and strategy in now and now[strategy].executions}
    if not known:
        return [too_few(name, "saturation", title, "no strategy was seen in %d states and %d "
                        "executions." % (_FEWEST_STATES, _FEWEST_EXECUTIONS), _METHOD)]
    estimates = {strategy: more(sample, now[strategy].executions / sample.executions)
                 for strategy, sample in known.items()}
    whole, told = together(known.values()), added(estimates.values())
    rows = [_row(strategy, known[strategy], estimates[strategy]) for strategy in sorted(known)]
    if len(known) > 1:
        rows.append(_row("all together", whole, told))
    after, least, _ = _executions_between(whole)
    says = "Another campaign like this would find about %s new states (95 %%: %s–%s), beside the %s that " \
        "%s; the next one comes after %s executions." % (
            *(text.number(round(value)) for value in told), text.number(whole.seen),
            "it saw" if len(together_with) == 1 else "the last %d saw" % len(together_with),
            "about " + _about(after) if after else "more than " + _about(least))
    back = looked_back(history, campaign)
    if back:
        says += _looked_back_says(back)
    left_out = sorted(set(now) - set(known))
    if left_out:
        says += " Too few data: %s." % ", ".join(left_out)
    return [Exhibit(
        name, "saturation", title, says, _METHOD, HEADINGS, rows,
        svg=draw(known, estimates, name, title, says) if pictures else "",
        figures=dict(_figures(whole, told), looked_back=back, strategies={
            strategy: _figures(sample, estimates[strategy]) for strategy, sample in known.items()}))]
