"""Campaigns for tests, row by row, in a history in memory: what is in them is known."""
import itertools

from reports.history import History

_numbers = itertools.count(1)


class Campaign:
    def __init__(self, history=None, **columns):
        self.history = history or History(":memory:")
        told = dict({"uuid": "u%d" % next(_numbers), "command": "overnight",
                     "started": "2026-01-01T00:00:00Z", "machine": "m"}, **columns)
        self.id = self.history.insert("campaigns", **told)
        self.run = self.history.insert("runs", campaign=self.id, started=told["started"])

    def job(self, strategy, engine="libfuzzer", sanitizer="address"):
        found = self.history.one(
            "SELECT id FROM jobs WHERE campaign = ? AND strategy = ? AND engine = ? AND "
            "sanitizer = ?", self.id, strategy, engine, sanitizer)
        return found["id"] if found else self.history.insert(
            "jobs", campaign=self.id, strategy=strategy, engine=engine, sanitizer=sanitizer)

    def session(self, job, samples, began=0.0):
        """`samples`: (at, cpu_seconds, executions, coverage, states)."""
        at, cpu, executions, coverage, _ = samples[-1]
        session = self.history.insert(
            "sessions", job=job, run=self.run, began=began, seconds=at - began, cpu_seconds=cpu,
            executions=executions, coverage=coverage, state="ended")
        for at, cpu, executions, coverage, states in samples:
            self.history.insert("samples", session=session, at=at, cpu_seconds=cpu,
                                executions=executions, operations=0, coverage=coverage,
                                states=states)
        return session

    def states(self, strategy, hits):
        """`hits`: of one state after the other."""
        for state, times in enumerate(hits):
            self.history.insert("state_hits", campaign=self.id, strategy=strategy, state=state,
                                hits=times)

    def finding(self, strategy, seconds, engine="libfuzzer", sanitizer="address", status="new"):
        finding = self.history.insert(
            "findings", strategy=strategy, property="overlap", signature="%08x" % next(_numbers),
            name="n", path="p", stored="2026-01-01T00:00:00Z")
        self.history.insert("campaign_findings", campaign=self.id, finding=finding, status=status,
                            engine=engine, sanitizer=sanitizer, seconds=seconds)
        return finding

    def kill(self, bug, engine, seed, cpu_seconds, killed=1):
        self.history.insert("kills", campaign=self.id, bug=bug, strategy=bug.partition("+")[0],
                            expected="overlap", engine=engine, seed=seed, killed=killed,
                            cpu_seconds=cpu_seconds)

    def benchmark(self, strategy, workload, metric, value, low=None, high=None, **columns):
        unit = {"time": "ns", "memory": "ratio"}.get(metric, "ns")
        self.history.insert("benchmarks", campaign=self.id, strategy=strategy, workload=workload,
                            metric=metric, unit=unit, value=value, low=low, high=high, **columns)
