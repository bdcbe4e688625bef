"""Reads a campaign's Results from the history."""
import dataclasses
import json
import os

from reports import footprint, matrix
from reports import results as R

# A job's numbers: sums over its sessions. A column of the row it is filled from is a field of Job.
_JOBS = """
SELECT jobs.id, strategy, engine, sanitizer, share, problem, note, not_started,
       coalesce(sum(s.seconds), 0) AS seconds, coalesce(sum(s.cpu_seconds), 0) AS cpu_seconds,
       coalesce(sum(s.executions), 0) AS executions, coalesce(sum(s.operations), 0) AS operations,
       max(s.coverage) AS coverage, max(s.features) AS features,
       coalesce(sum(s.crashes), 0) AS crashes, coalesce(max(s.peak_memory), 0) AS peak_memory,
       max(count(s.id) - 1, 0) AS restarts
FROM jobs LEFT JOIN sessions AS s ON s.job = jobs.id
WHERE jobs.campaign = ? GROUP BY jobs.id ORDER BY jobs.id"""

_EXERCISED = """
SELECT job, property, sum(times) AS times
FROM exercised JOIN sessions ON sessions.id = session JOIN jobs ON jobs.id = job
WHERE campaign = ? GROUP BY job, property ORDER BY job, property"""

# Of bare columns beside max(), SQLite takes those of the row that has it.
_LAST = """
SELECT job, corpus, max(at) FROM samples JOIN sessions ON sessions.id = session
JOIN jobs ON jobs.id = job WHERE campaign = ? AND corpus IS NOT NULL GROUP BY job"""

_STATES_OF_JOB = """
SELECT job, max(states) AS states FROM samples JOIN sessions ON sessions.id = session
JOIN jobs ON jobs.id = job WHERE campaign = ? AND states IS NOT NULL GROUP BY job"""

_FINDINGS = """
SELECT f.*, c.status, c.reason, c.expires, c.replays AS runs, c.same, c.engine, c.sanitizer,
       c.executions, c.seconds
FROM campaign_findings AS c JOIN findings AS f ON f.id = c.finding
WHERE c.campaign = ?
ORDER BY CASE c.status WHEN 'new' THEN 0 WHEN 'flaky' THEN 1 WHEN 'known' THEN 2 ELSE 3 END,
         f.strategy, f.property, f.signature"""

_INPUTS = """
SELECT finding, coalesce(engine, '') AS engine, coalesce(sanitizer, '') AS sanitizer, job,
       count(*) AS inputs
FROM sightings LEFT JOIN jobs ON jobs.id = job
WHERE sightings.campaign = ? GROUP BY finding, job"""

_STATES = """
SELECT strategy, count(*) AS seen, sum(hits) AS hits, sum(hits = 1) AS once, sum(hits = 2) AS twice
FROM state_hits WHERE campaign = ? GROUP BY strategy ORDER BY strategy"""

_BEFORE = """
SELECT finding, status, max(campaign) FROM campaign_findings WHERE campaign < ? GROUP BY finding"""

# The campaigns before, with what verdict_of wants to know of them.
_FORMER = """
SELECT c.id, c.uuid, c.command, c.started, c.state, c.stopped, c.plant, c.assay AS version, c.error,
  (SELECT coalesce(sum(seconds), 0) FROM runs WHERE campaign = c.id) AS seconds,
  (SELECT count(*) FROM phases WHERE campaign = c.id AND state = 'failed') AS failed,
  EXISTS (SELECT 1 FROM kills WHERE campaign = c.id) OR
  EXISTS (SELECT 1 FROM benchmarks WHERE campaign = c.id) OR
  EXISTS (SELECT 1 FROM footprints WHERE campaign = c.id) AS measured,
  coalesce(sum(job.engine != 'corpus' AND NOT job.not_started), 0) AS begun,
  coalesce(sum(job.problem != '' OR job.executions <= 0 AND NOT job.not_started), 0) AS broken,
  coalesce(sum(job.executions), 0) AS executions, coalesce(sum(job.operations), 0) AS operations,
  coalesce(sum(job.cpu_seconds), 0) AS cpu_seconds
FROM campaigns AS c LEFT JOIN (
  SELECT jobs.*, coalesce(sum(s.executions), 0) AS executions, sum(s.operations) AS operations,
         sum(s.cpu_seconds) AS cpu_seconds
  FROM jobs LEFT JOIN sessions AS s ON s.job = jobs.id GROUP BY jobs.id
) AS job ON job.campaign = c.id
WHERE c.id < ? GROUP BY c.id ORDER BY c.id DESC"""


def _made(cls, row, **more):
    """A dataclass of those columns of a row that are its fields."""
    names = {field.name for field in dataclasses.fields(cls)}
    return cls(**{**{key: row[key] for key in row.keys() if key in names}, **more})


def _json(text, kind):
    """What was stored as JSON; None where it is not that, as after a disk was full."""
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, kind) else None


def shown(path):
    """A path as people want to see it and to type it: from where they are, if below."""
    relative = os.path.relpath(path)
    return path if relative.startswith(os.pardir + os.sep) else relative


def _jobs(history, campaign):
    exercised, last, states = {}, {}, {}
    for row in history.query(_EXERCISED, campaign):
        exercised.setdefault(row["job"], {})[row["property"]] = row["times"]
    for row in history.query(_LAST, campaign):
        last[row["job"]] = row["corpus"]
    for row in history.query(_STATES_OF_JOB, campaign):
        states[row["job"]] = row["states"]
    return {row["id"]: _made(R.Job, row, not_started=bool(row["not_started"]),
                             exercised=exercised.get(row["id"], {}), corpus=last.get(row["id"]),
                             states=states.get(row["id"]))
            for row in history.query(_JOBS, campaign)}


def _findings(history, campaign, jobs, folder):
    """The findings; and enters their names with the jobs that hit them."""
    inputs, by_job = {}, {}
    for row in history.query(_INPUTS, campaign):
        of_finding = inputs.setdefault(row["finding"], {})
        if row["engine"]:
            of_finding[row["engine"]] = of_finding.get(row["engine"], 0) + row["inputs"]
        by_job.setdefault(row["finding"], []).append(row["job"])
    before = {row["finding"]: row["status"] for row in history.query(_BEFORE, campaign)}
    findings = []
    for row in history.query(_FINDINGS, campaign):
        path = os.path.join(folder, row["path"]) if folder else row["path"]
        replays = {"runs": row["runs"], "same": row["same"]} if row["runs"] else {}
        # A word that nobody knows must not pass for dealt with.
        status = row["status"] if row["status"] in R.STATUSES else R.NEW
        finding = _made(R.Finding, row, status=status, path=path, version=row["assay"],
                        commands=R.commands(path, row["c_program"]), replays=replays,
                        since=row["stored"], flaky=status == R.FLAKY, known=row["id"] in before, before=before.get(row["id"], ""),
                        inputs=inputs.get(row["id"], {}),
                        story=_json(row["story"], dict) if row["story"] else None)
        findings.append(finding)
        hit = [jobs[job] for job in by_job.get(row["id"], []) if job in jobs] or [
            job for job in jobs.values() if row["engine"] and
            (job.strategy, job.engine, job.sanitizer) ==
            (finding.strategy, row["engine"], row["sanitizer"])]
        for job in hit:
            if finding.status in R.OPEN:
                job.findings.append(finding.name)
            elif finding.status == R.KNOWN_ONE:
                job.known_findings.append(finding.name)
    return findings


def _catalogue(history, campaign, results):
    """Strategies that were to be tested, and properties; where nobody stored what applies, what was
    exercised or found has to do."""
    told = history.query("SELECT property, text FROM properties WHERE campaign = ? "
                         "ORDER BY position", campaign)
    results.properties = [R.Property(row["property"], row["text"]) for row in told
                          if row["property"] == R.family(row["property"])]
    results.invariants = {row["property"]: row["text"] for row in told
                          if row["property"] != R.family(row["property"])}
    listed = {property_.id for property_ in results.properties}
    met = [name for job in results.jobs for name in job.exercised]
    met += [finding.family for finding in results.findings]
    results.properties += [R.Property(name) for name in dict.fromkeys(met) if name not in listed]
    told = {row["strategy"]: row for row in history.query(
        "SELECT * FROM strategies WHERE campaign = ?", campaign)}
    applicable = {}
    for row in history.query("SELECT strategy, property FROM applicable WHERE campaign = ?",
                             campaign):
        applicable.setdefault(row["strategy"], []).append(row["property"])
    sources = {row["strategy"]: row["source"] for row in history.query(
        "SELECT strategy, source FROM versions JOIN campaign_versions ON version = id "
        "WHERE campaign = ?", campaign)}
    names = dict.fromkeys([job.strategy for job in results.jobs] +
                          [finding.strategy for finding in results.findings])
    places = {name: row["position"] for name, row in told.items()}
    for name in sorted(names, key=lambda name: places.get(matrix.base(name), len(places))):
        row = told.get(matrix.base(name))
        results.strategies.append(R.Strategy(
            name, row["summary"] if row else "", row["traits"].split() if row else [],
            applicable.get(matrix.base(name), []) if row else None, sources.get(name, ""),
            row["file"] if row else ""))


def _kills(history, campaign, results):
    """Of each bug this campaign's, or the latest that there are, as a campaign has time for some bugs
    only: what they say of the oracle still holds, more or less, and reports tell how old the oldest
    is."""
    rows = history.query(
        "SELECT kills.* FROM kills JOIN (SELECT bug, max(campaign) AS last FROM kills "
        "WHERE campaign <= ? GROUP BY bug) AS latest ON kills.bug = latest.bug "
        "AND kills.campaign = latest.last ORDER BY kills.bug, engine, mutator, seed", campaign)
    oldest = min((row["campaign"] for row in rows), default=campaign)
    if oldest != campaign:
        results.kills_from = history.one("SELECT started FROM campaigns WHERE id = ?",
                                         oldest)["started"]
    results.kills_here = sum(row["campaign"] == campaign for row in rows)
    results.kills = [
        _made(R.Kill, kill, expected=kill["expected"].split(), killed=bool(kill["killed"]))
        for kill in rows]


def former(history, before):
    """Campaigns with a smaller id, the latest first, in short."""
    counted = {}
    for row in history.query("SELECT campaign, status, count(*) AS n FROM campaign_findings "
                             "WHERE campaign < ? GROUP BY campaign, status", before):
        statuses = counted.setdefault(row["campaign"], {})
        status = row["status"] if row["status"] in R.STATUSES else R.NEW
        statuses[status] = statuses.get(status, 0) + row["n"]
    told = []
    for row in history.query(_FORMER, before):
        statuses = counted.get(row["id"], {})
        ran = not (row["broken"] or row["error"] or row["failed"] or
                   R.cut_off(row["state"], row["stopped"])) and (
            row["begun"] or row["command"] in R.MEASURING and row["measured"])
        told.append(_made(R.Former, row, findings=statuses, verdict=R.verdict_of(statuses, ran)))
    return told


def campaign_of(history, wanted="last"):
    """The id of a campaign by its id, uuid or a beginning of that; `last`: of those that tested, if
    there are any. None."""
    if wanted == "last":
        rows = history.query("SELECT id, command FROM campaigns ORDER BY id DESC")
        return next((row["id"] for row in rows if row["command"] not in R.MEASURING),
                    rows[0]["id"] if rows else None)
    rows = history.query("SELECT id FROM campaigns WHERE CAST(id AS TEXT) = ? OR uuid = ?",
                         wanted, wanted) or history.query(
        "SELECT id FROM campaigns WHERE substr(uuid, 1, length(?)) = ?", wanted, wanted)
    return rows[0]["id"] if len(rows) == 1 else None


def read(cls, history, campaign, folder=None):
    """Of a campaign that runs, too, all numbers are as of one moment."""
    with history.snapshot():
        return _read(cls, history, campaign, folder)


def _read(cls, history, campaign, folder):
    row = history.one("SELECT * FROM campaigns WHERE id = ?", campaign)
    if row is None:
        raise KeyError("the history has no campaign %s" % campaign)
    folder = shown(os.path.dirname(os.path.abspath(history.path))) if folder is None else folder
    spent = history.one("SELECT count(*) AS runs, coalesce(sum(seconds), 0) AS seconds, "
                        "coalesce(sum(cpu_seconds), 0) AS cpu, "
                        "coalesce(sum(judge_cpu_seconds), 0) AS judge FROM runs WHERE campaign = ?",
                        campaign)
    jobs = _jobs(history, campaign)
    results = _made(
        cls, row, campaign=row["uuid"], version=row["assay"], minutes=row["seconds_asked"] / 60,
        ended=row["ended"] or "", folder=folder, seconds=spent["seconds"], runs=spent["runs"],
        supervisor_seconds=spent["cpu"], judge_seconds=spent["judge"], jobs=list(jobs.values()))
    results.findings = _findings(history, campaign, jobs, folder)
    results.phases = [_made(R.Phase, row) for row in history.query(
        "SELECT * FROM phases WHERE campaign = ? ORDER BY rowid", campaign)]
    _catalogue(history, campaign, results)
    _kills(history, campaign, results)
    results.matrix = matrix.build(results)
    results.coverage = [
        _made(R.Coverage, row, missing=_json(row["missing"], list) or []) for row in history.query(
            "SELECT * FROM line_coverage WHERE campaign = ? ORDER BY strategy, file", campaign)]
    results.states = [_made(R.States, row) for row in history.query(_STATES, campaign)]
    results.benchmarks = [_made(R.Benchmark, row) for row in history.query(
        "SELECT * FROM benchmarks WHERE campaign = ? ORDER BY strategy, variant, workload, metric",
        campaign)]
    footprint.read(history, campaign, results)
    results.former = former(history, campaign)
    about = (_json(row["options"], dict) or {}).get("about")
    results.about = [str(line) for line in about] if isinstance(about, list) else []
    results.history, results.campaign_id = history, campaign
    return results
