"""What a run of ci/fuzz found out: the one structure that every report is rendered from.

As JSON (reports/README.md documents each field) it is report.json. Renderers only read it.
"""
import dataclasses
import typing

SCHEMA = 1

CLEAN, FINDING, COULD_NOT_RUN = "clean", "finding", "could not run"

# Of a job whose turn never came, since the run was stopped.
NOT_STARTED = "not started"

# Exit codes of ci/fuzz, and of everything else that has a verdict.
EXIT_CODES = {CLEAN: 0, FINDING: 1, COULD_NOT_RUN: 2}


@dataclasses.dataclass
class Finding:
    """A violation with its program, stored once per identity (strategy, property, signature)."""
    name: str                # of its file: <property>-<signature>-<sha1 of the bytes>
    strategy: str
    property: str
    signature: str           # eight hexadecimal digits
    diagnosis: str = ""
    site: str = ""           # where it showed
    operations: typing.Optional[int] = None   # of the minimised program
    path: str = ""           # of the program's file
    flaky: bool = False      # seen once, not in replays
    known: bool = False      # an earlier run stored it
    first_visible: str = ""  # what a look around every operation shows sooner
    replays: typing.Dict[str, int] = dataclasses.field(default_factory=dict)  # runs, same
    version: str = ""        # of Assay's sources when it was stored
    source: str = ""         # hash of the strategy's sources then
    build: str = "assay"     # the program that shows it: assay or assay_asan
    tier: str = "full"
    engine: str = ""         # the first to find it
    executions: typing.Optional[int] = None   # of that engine until then
    seconds: typing.Optional[float] = None    # since the run's start
    inputs: typing.Dict[str, int] = dataclasses.field(default_factory=dict)  # per engine
    commands: typing.Dict[str, str] = dataclasses.field(default_factory=dict)
    text: str = ""           # the program in text form, or the log's end if there is none


@dataclasses.dataclass
class Job:
    """One strategy on one engine; the engine `corpus` is the replay of stored inputs."""
    strategy: str
    engine: str
    share: float = 0.0       # seconds that it was to get
    seconds: float = 0.0     # seconds that it got
    executions: int = 0
    coverage: typing.Optional[int] = None     # edges, as this engine counts them
    corpus: typing.Optional[int] = None       # inputs kept
    crashes: int = 0         # inputs that failed, all identities
    restarts: int = 0
    problem: str = ""        # why it could not run, or not go on
    note: str = ""           # what else is worth knowing
    not_started: bool = False  # the run was stopped before its turn came
    findings: typing.List[str] = dataclasses.field(default_factory=list)  # names

    @property
    def rate(self):
        """Executions per second, or None."""
        return self.executions / self.seconds if self.seconds > 0 and self.executions else None

    @property
    def verdict(self):
        if self.findings:
            return FINDING
        if self.not_started:
            return NOT_STARTED
        return COULD_NOT_RUN if self.problem or not self.executions else CLEAN


@dataclasses.dataclass
class Results:
    """A run."""
    started: str = ""        # UTC, ISO 8601
    seconds: float = 0.0     # wall time
    minutes: float = 0.0     # asked for
    cores: int = 0
    seed: int = 0
    version: str = ""        # of the sources
    plant: str = ""          # the planted bug, if that was fuzzed
    stopped: str = ""        # the signal that ended the run early
    error: str = ""          # what broke the run off, such as a full disk
    folder: str = ""
    jobs: typing.List[Job] = dataclasses.field(default_factory=list)
    findings: typing.List[Finding] = dataclasses.field(default_factory=list)

    @property
    def verdict(self):
        """A finding outweighs a job that could not run: the table shows both."""
        if self.findings or any(job.verdict == FINDING for job in self.jobs):
            return FINDING
        begun = [job for job in self.jobs if not job.not_started]
        if self.error or not begun or any(job.verdict == COULD_NOT_RUN for job in begun):
            return COULD_NOT_RUN
        return CLEAN

    @property
    def exit_code(self):
        return EXIT_CODES[self.verdict]

    @property
    def executions(self):
        return sum(job.executions for job in self.jobs)

    def finding(self, name):
        """The finding of that name, or None."""
        return next((finding for finding in self.findings if finding.name == name), None)

    def to_dict(self):
        document = {"schema": SCHEMA, "verdict": self.verdict, "exit_code": self.exit_code,
                    "executions": self.executions}
        document.update(dataclasses.asdict(self))
        for job, fields in zip(self.jobs, document["jobs"]):
            fields["verdict"] = job.verdict
            fields["executions_per_second"] = round(job.rate, 1) if job.rate else None
        return document

    @classmethod
    def from_dict(cls, document):
        """What to_dict made; fields that this version does not know are ignored."""
        results = _fill(cls, document)
        results.jobs = [_fill(Job, fields) for fields in document.get("jobs", [])]
        results.findings = [_fill(Finding, fields) for fields in document.get("findings", [])]
        return results


def _fill(cls, fields):
    names = {field.name for field in dataclasses.fields(cls)}
    return cls(**{key: value for key, value in fields.items() if key in names})
