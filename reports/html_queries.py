"""For each part of the page, the query that the history answers with its numbers. It stands between
double quotes in a command of the shell, so it has no such quote, dollar, backtick or backslash."""
import shlex
from types import SimpleNamespace

# Name of the part: (title, SQL with %d for the campaign).
_QUERIES = {
    "tested": ("Executions, operations and CPU time of each job", """\
SELECT strategy, engine, sanitizer, sum(executions) AS executions,
       sum(operations) AS operations, round(sum(cpu_seconds)) AS cpu_seconds
FROM jobs JOIN sessions ON sessions.job = jobs.id
WHERE campaign = %d GROUP BY jobs.id;"""),
    "matrix": ("How often each property was judged", """\
SELECT strategy, property, sum(times) AS times
FROM exercised JOIN sessions ON sessions.id = session JOIN jobs ON jobs.id = job
WHERE campaign = %d GROUP BY strategy, property;"""),
    "power": ("Planted bugs that no run killed", """\
SELECT bug, expected, count(*) AS runs, max(executions) AS executions FROM kills AS each
WHERE campaign = (SELECT max(campaign) FROM kills WHERE bug = each.bug AND campaign <= %d)
GROUP BY bug HAVING max(killed) = 0;"""),
    "coverage": ("Lines that never ran", """\
SELECT strategy, file, covered, lines, missing
FROM line_coverage WHERE campaign = %d ORDER BY lines - covered DESC;"""),
    "saturation": ("States seen in all, once, and twice", """\
SELECT strategy, count(*) AS seen, sum(hits = 1) AS once, sum(hits = 2) AS twice
FROM state_hits WHERE campaign = %d GROUP BY strategy;"""),
    "growth": ("Growth over time", """\
SELECT strategy, engine, sanitizer, samples.*
FROM samples JOIN sessions ON sessions.id = session JOIN jobs ON jobs.id = job
WHERE campaign = %d ORDER BY at;"""),
    "findings": ("Findings", """\
SELECT status, strategy, property, signature, diagnosis, file, line, stored, path
FROM campaign_findings JOIN findings ON findings.id = finding
WHERE campaign = %d ORDER BY status, strategy, property;"""),
    "benchmarks": ("Benchmarks", """\
SELECT strategy, variant, workload, metric, value, unit, low, high, rounds
FROM benchmarks WHERE campaign = %d ORDER BY workload, metric, value;"""),
    "footprint": ("Footprint", """\
SELECT subject, world, operation, metric, value, calls
FROM footprints WHERE campaign = (
  SELECT max(campaign) FROM footprints WHERE campaign < (
    SELECT coalesce(min(id), 9e18) FROM campaigns
    WHERE id > %d AND command NOT IN ('bench', 'bugs', 'footprint')))
ORDER BY world, subject, metric, operation;"""),
    "jobs": ("Jobs that could not run, and why", """\
SELECT strategy, engine, sanitizer, problem, note, not_started
FROM jobs WHERE campaign = %d AND (problem <> '' OR not_started);"""),
    "trends": ("All campaigns of this folder", """\
SELECT campaigns.id, campaigns.started, campaigns.state, campaigns.assay,
       sum(executions) AS executions, round(sum(sessions.cpu_seconds) / 3600, 1) AS cpu_hours
FROM campaigns LEFT JOIN jobs ON jobs.campaign = campaigns.id
LEFT JOIN sessions ON sessions.job = jobs.id
WHERE campaigns.id <= %d GROUP BY campaigns.id;"""),
}


def queries(campaign, folder):
    """{part: title, sql, and the command that asks it}."""
    made = {}
    for name, (title, sql) in _QUERIES.items():
        sql = sql % campaign
        made[name] = SimpleNamespace(title=title, sql=sql, command='ci/report %s --query "%s"' % (
            shlex.quote(folder), sql))
    return made
