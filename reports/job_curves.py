"""What each job of a campaign had reached after how much CPU time, from its sessions' samples.

A job's CPU time is that of all its sessions until then, those side by side included. What it covered is
the most that one of its sessions had covered: which edges and states a sample counts is not stored, only
how many, and sessions begin from the common corpus, so this is a lower bound of all together.
"""
import dataclasses

import numpy

from reports import text


def treatment_name(engine, sanitizer):
    return text.engine(engine) + ("" if sanitizer in ("", "none") else ", " + sanitizer)


def treatment_order(item):
    """Key to sort items ((engine, sanitizer), ...) by, in the order of all tables."""
    engine, sanitizer = item[0]
    known = list(text.ENGINES)
    return known.index(engine) if engine in known else len(known), engine, sanitizer


@dataclasses.dataclass
class Curve:
    """Arrays of the same length, in the order of time; what is not known yet is 0."""
    strategy: str
    engine: str
    sanitizer: str
    at: numpy.ndarray        # campaign seconds
    cpu: numpy.ndarray       # seconds of the job
    edges: numpy.ndarray
    states: numpy.ndarray
    executions: numpy.ndarray

    @property
    def treatment(self):
        return self.engine, self.sanitizer

    def cpu_at(self, at):
        """CPU seconds of the job by that time of the campaign."""
        return float(numpy.interp(at, self.at, self.cpu))

    def reached(self, values, cpu):
        """Of `values`, such as its states, what it had after `cpu` seconds, one or an array of them."""
        found = numpy.searchsorted(self.cpu, cpu, side="right") - 1
        return numpy.where(found < 0, 0, values[numpy.maximum(found, 0)])


_SAMPLES = """
WITH mine AS (
  SELECT jobs.id AS job, jobs.strategy, jobs.engine, jobs.sanitizer, sessions.id AS session,
         began + seconds AS ended, cpu_seconds, executions, coverage
  FROM jobs JOIN sessions ON sessions.job = jobs.id
  WHERE jobs.campaign = ? AND jobs.engine != 'corpus')
SELECT job, strategy, engine, sanitizer, session, samples.at, samples.cpu_seconds, samples.executions,
       samples.coverage, samples.states
FROM mine JOIN samples USING (session)
UNION ALL      -- the end of a session, which no sample need have seen
SELECT job, strategy, engine, sanitizer, session, ended, cpu_seconds, executions, coverage, NULL
FROM mine
ORDER BY 1, 6, 5
"""


def of_campaign(history, campaign):
    """A Curve for each job that was sampled."""
    curves, rows = [], []
    for row in history.query(_SAMPLES, campaign):
        if rows and rows[-1]["job"] != row["job"]:
            curves.append(_curve(rows))
            rows = []
        rows.append(row)
    if rows:
        curves.append(_curve(rows))
    return [curve for curve in curves if curve.cpu[-1] > 0]


def _curve(rows):
    """Sums of what the sessions had spent until then, and the greatest of what they had covered."""
    spent, done = {}, {}
    cpu = executions = edges = states = 0
    points = []
    for row in rows:
        session = row["session"]
        # What was spent is never less than it was.
        now = max(row["cpu_seconds"], spent.get(session, 0))
        cpu, spent[session] = cpu + now - spent.get(session, 0), now
        now = max(row["executions"], done.get(session, 0))
        executions, done[session] = executions + now - done.get(session, 0), now
        edges = max(edges, row["coverage"] or 0)
        states = max(states, row["states"] or 0)
        points.append((row["at"], cpu, edges, states, executions))
    at, cpu, edges, states, executions = (numpy.array(column, dtype=float)
                                          for column in zip(*points))
    first = rows[0]
    return Curve(first["strategy"], first["engine"], first["sanitizer"], at, cpu, edges, states,
                 executions)


def states_of(history, campaign, curves):
    """{strategy: how many abstract states were seen by all jobs together}."""
    found = {row["strategy"]: row["states"] for row in history.query(
        "SELECT strategy, count(*) AS states FROM state_hits WHERE campaign = ? AND hits > 0 "
        "GROUP BY strategy", campaign)}
    for curve in curves:
        most = int(curve.states[-1])
        if most > found.get(curve.strategy, 0):
            found[curve.strategy] = most
    return found
