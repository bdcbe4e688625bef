"""What a campaign is doing right now: for people (screen.py) and machines (DIR/status.json)."""
import dataclasses
import json
import os
import time
import typing

# Of status.json: grows when a field changes its meaning or goes.
SCHEMA = 1

RUNNING, WAITING, PARKED, GIVEN_UP = "running", "waiting", "parked", "given up"


@dataclasses.dataclass
class Job:
    strategy: str
    engine: str
    sanitizer: str
    state: str = WAITING
    rate: float = 0.0        # executions per second, while it runs
    executions: int = 0
    coverage: typing.Optional[int] = None    # edges, as the engine counts them
    features: typing.Optional[int] = None
    corpus: int = 0          # inputs kept for the strategy
    findings: int = 0        # that it was the first to find
    crashes: int = 0         # inputs that failed
    cpu_seconds: float = 0.0
    quiet: typing.Optional[float] = None     # seconds since something was new; None: nothing yet
    problem: str = ""        # why it runs no more


@dataclasses.dataclass
class Live:
    command: str = ""
    campaign: str = ""       # UUID
    phase: str = ""
    seconds: float = 0.0     # campaign seconds so far
    left: float = 0.0        # until the end of the phase
    jobs: typing.List[Job] = dataclasses.field(default_factory=list)
    findings: typing.Dict[str, int] = dataclasses.field(default_factory=dict)    # by status
    waiting: int = 0         # suspects not judged yet
    disk_used: int = 0       # bytes of the campaign folder
    disk_limit: int = 0      # 0: none
    disk_free: int = 0
    memory_used: int = 0     # resident bytes of all engines
    memory_limit: int = 0

    @property
    def rate(self):
        return sum(job.rate for job in self.jobs)

    @property
    def executions(self):
        return sum(job.executions for job in self.jobs)

    @property
    def corpus(self):
        """Each strategy's once: its jobs share it."""
        return sum({job.strategy: job.corpus for job in self.jobs}.values())

    @property
    def coverage(self):
        """The largest of any job: engines count edges in different ways."""
        return max((job.coverage for job in self.jobs if job.coverage), default=None)

    def count(self, state):
        return sum(job.state == state for job in self.jobs)


def document(live):
    """What status.json says; reports/README.md has a table of it."""
    return dict(dataclasses.asdict(live), findings=dict(live.findings), schema=SCHEMA, pid=os.getpid(),
                written=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                load=os.getloadavg()[0], rate=live.rate, executions=live.executions,
                corpus=live.corpus)


def write(live, path):
    """Replaces the file: who reads it sees a whole one. What is live is not worth an error: a full
    disk is told by those who have something to lose."""
    temporary = path + ".tmp"
    try:
        with open(temporary, "w", encoding="utf-8") as f:
            json.dump(document(live), f, indent=1)
            f.write("\n")
        os.replace(temporary, path)
    except OSError:
        try:
            os.unlink(temporary)
        except OSError:
            pass
