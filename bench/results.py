"""What a run of ci/bench measured; README.md describes it as JSON."""
import dataclasses

from bench import bounds, fragmentation, summary

SCHEMA = 1

# Of single operations: how they are called, and the share of operations that takes no longer.
QUANTILES = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999, "max": 1}

# Nanoseconds: a cost that the loop's own swallows is no cost of 0.
_LEAST = 0.01


@dataclasses.dataclass
class Run:
    """One subject on one workload. Rounds are counted from 0; one that failed is not there."""
    workload: str
    subject: str
    speed: dict = dataclasses.field(default_factory=dict)
    memory: dict = dataclasses.field(default_factory=dict)
    reason: str = ""
    latency: dict = dataclasses.field(default_factory=dict)

    def costs(self):
        """{round: CPU nanoseconds of an operation, without the loop's own}."""
        return {turn: max(told["ns"] - told["loop_ns"], _LEAST)
                for turn, told in self.speed.items()}

    def footprints(self):
        return {turn: told["peak_footprint"] for turn, told in self.memory.items()}

    def tail(self):
        """{"p50": median with spread ...} over the rounds; None if there are none."""
        if not self.latency:
            return None
        rounds = [dict(map(tuple, told["quantiles"])) for told in self.latency.values()]
        return {name: summary.spread([one[share] for one in rounds])
                for name, share in QUANTILES.items()}

    def summary(self, live_over_time=()):
        """The rounds in figures; None where nothing was measured."""
        told = {"ns": None, "footprint": None, "waste": None, "internal": None, "external": None,
                "over_time": None, "latency": self.tail()}
        if self.speed:
            told["ns"] = summary.spread(self.costs().values())
        if self.memory:
            told["footprint"] = summary.spread(self.footprints().values())
            first = self.memory[min(self.memory)]
            live = first["peak_live"]
            told["waste"] = told["footprint"]["median"] / live
            told["over_time"] = fragmentation.mean(
                fragmentation.curve(live_over_time, first.get("samples", ())))
            usable = first["usable_at_peak_live"]
            if usable:
                told["internal"] = usable / live - 1
                told["external"] = (first["footprint_at_peak_live"] - usable) / live
        return told


@dataclasses.dataclass
class Worst:
    """Single operations of one subject among so many free blocks."""
    subject: str
    free_blocks: int
    rounds: dict = dataclasses.field(default_factory=dict)
    reason: str = ""

    def summary(self):
        """Of each request the least of all rounds, and of these the greatest."""
        if not self.rounds:
            return None
        told = list(self.rounds.values())

        def single(name):
            return max(map(min, zip(*(one[name] for one in told))))
        return {"pair": summary.spread([one["pair_worst"] for one in told]),
                "pair_median": summary.spread([one["pair_median"] for one in told])["median"],
                "allocate": single("allocate"), "release": single("release")}


@dataclasses.dataclass
class Results:
    started: str = ""
    seconds: float = 0.0
    version: str = ""
    rounds: int = 0
    done: int = 0  # rounds that were completed
    budget: int = 0
    stopped: str = ""
    error: str = ""
    machine: dict = dataclasses.field(default_factory=dict)
    load: list = dataclasses.field(default_factory=list)
    subjects: list = dataclasses.field(default_factory=list)
    workloads: list = dataclasses.field(default_factory=list)
    described: dict = dataclasses.field(default_factory=dict)  # {workload: what measure says of it}
    runs: list = dataclasses.field(default_factory=list)
    worst: list = dataclasses.field(default_factory=list)
    # What the user left out on purpose, and wants no bounds of: "strategies", "workloads".
    restricted: list = dataclasses.field(default_factory=list)
    notes: list = dataclasses.field(default_factory=list)  # what else could not be measured

    def run(self, workload, subject):
        for run in self.runs:
            if (run.workload, run.subject) == (workload, subject):
                return run
        return None

    def to_dict(self):
        return {
            "schema": SCHEMA, "started": self.started, "seconds": round(self.seconds, 1),
            "version": self.version, "rounds": self.rounds, "rounds_done": self.done,
            "budget_ms": self.budget, "stopped": self.stopped, "error": self.error,
            "machine": self.machine, "load": self.load, "notes": self.notes,
            "subjects": [dict(subject._asdict()) for subject in self.subjects],
            "workloads": [dict(workload._asdict(), **self.described.get(workload.name, {}))
                          for workload in self.workloads],
            "runs": [{"workload": run.workload, "subject": run.subject, "reason": run.reason,
                      "summary": run.summary(
                          self.described.get(run.workload, {}).get("live", ())),
                      "speed": [dict(told, round=turn) for turn, told in sorted(run.speed.items())],
                      "memory": [dict(told, round=turn)
                                 for turn, told in sorted(run.memory.items())],
                      "latency": [dict(told, round=turn)
                                  for turn, told in sorted(run.latency.items())]}
                     for run in self.runs],
            "worst": [{"subject": row.subject, "free_blocks": row.free_blocks,
                       "reason": row.reason, "summary": row.summary()} for row in self.worst],
            "bounds": bounds.judge(self),
        }
