"""The matrix strategy x property: what was tested of each, by one set of rules for all renderers.

A check that never ran is not green, and one that let a planted bug pass is weak. A planted bug that
another of its expected properties reported says nothing about this one.
"""
from reports import results as R

FINDING, KNOWN, NEVER, WEAK, GREEN, NOT_APPLICABLE = STATES = (
    "finding", "known", "never exercised", "weak", "green", "not applicable")

# For one character in plain text.
SIGNS = {FINDING: "X", KNOWN: "k", NEVER: "?", WEAK: "!", GREEN: "+", NOT_APPLICABLE: "."}


def base(strategy):
    """The strategy that a planted bug is put into."""
    return strategy.partition("+")[0]


def _applies(strategy, property_id):
    return strategy.applicable is None or property_id in strategy.applicable


def _power(cell, kills):
    """Sorts the planted bugs that the property is expected to report."""
    bugs = {}
    for kill in kills:
        if kill.strategy == base(cell.strategy) and cell.property in map(R.family, kill.expected):
            bugs.setdefault(kill.bug, []).append(kill)
    for bug, runs in sorted(bugs.items()):
        killers = {R.family(run.property) for run in runs if run.killed}
        (cell.killed if cell.property in killers else
         cell.otherwise if killers else cell.survived).append(bug)


def _count(value, noun):
    return "%s %s%s" % ("{:,}".format(value).replace(",", " "), noun, "" if value == 1 else "s")


def _judge(cell, applies, statuses):
    if any(status in R.OPEN for status in statuses):
        return FINDING, _count(len(cell.findings), "finding")
    if R.KNOWN_ONE in statuses:
        return KNOWN, "known: " + _count(len(cell.findings), "accepted finding")
    if not cell.exercised:
        return (NEVER, "never exercised") if applies else (
            NOT_APPLICABLE, "the strategy promises nothing that this could be about")
    times = "exercised %s" % _count(cell.exercised, "time")
    if cell.survived:
        return WEAK, "%s; %s survived: %s" % (
            times, _count(len(cell.survived), "planted bug"), ", ".join(cell.survived))
    return GREEN, times + ("; reported %d of %s" % (
        cell.power[0], _count(cell.power[1], "planted bug")) if cell.power else "")


def build(results):
    """The cells, strategy by strategy, in the order of results.strategies and results.properties."""
    cells = []
    for strategy in results.strategies:
        jobs = [job for job in results.jobs if job.strategy == strategy.name]
        for property_ in results.properties:
            cell = R.Cell(strategy.name, property_.id, NEVER)
            for job in jobs:
                if property_.id in job.exercised:
                    key = "%s/%s" % (job.engine, job.sanitizer)
                    cell.by_job[key] = cell.by_job.get(key, 0) + job.exercised[property_.id]
            cell.exercised = sum(cell.by_job.values())
            found = [finding for finding in results.findings if finding.status != R.FIXED
                     and (finding.strategy, finding.family) == (strategy.name, property_.id)]
            cell.findings = [finding.name for finding in found]
            _power(cell, results.kills)
            cell.state, cell.why = _judge(cell, _applies(strategy, property_.id),
                                          [finding.status for finding in found])
            cells.append(cell)
    return cells


def counts(results):
    """{state: how many cells}, in the order of STATES."""
    found = {state: 0 for state in STATES}
    for cell in results.matrix:
        found[cell.state] += 1
    return found
