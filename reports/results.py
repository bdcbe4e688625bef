"""What a campaign found out: the one structure that every report is rendered from.

read_history.py makes it of the history; as JSON (README.md documents each field) it is report.json.
Renderers only read it. Words and exit codes of verdicts are here, for all of them.
"""
import dataclasses
import shlex
import typing

SCHEMA = 2

CLEAN, FINDING, KNOWN, COULD_NOT_RUN = "clean", "finding", "only known findings", "could not run"

# Of a job whose turn never came, since the run was stopped.
NOT_STARTED = "not started"

# Exit codes of ci/overnight, ci/fuzz, ci/report, and of everything else that has a verdict.
EXIT_CODES = {CLEAN: 0, FINDING: 1, COULD_NOT_RUN: 2, KNOWN: 3}

# Campaigns that measure, and have no jobs: neither a verdict on strategies nor a baseline for one.
MEASURING = frozenset(("bench", "bugs", "footprint"))

# What a campaign says of a finding (campaign_findings.status). Those of the first two are to be dealt
# with; the others are told.
NEW, FLAKY, KNOWN_ONE, FIXED = "new", "flaky", "known", "fixed"
STATUSES = (NEW, FLAKY, KNOWN_ONE, FIXED)
OPEN = frozenset((NEW, FLAKY))


# What campaigns.stopped says of one that was cut off and not resumed before the next one began.
KILLED = "killed"


def cut_off(state, stopped):
    """Whether nobody carried a campaign to its end: it still runs, or was killed. What engines found
    last may then lie unjudged, so that finding nothing means little."""
    return state == "running" or stopped == KILLED


def commands(path, c_program):
    """What a person types to go on with a finding; the .json file tells ci/repro the strategy. No C
    program is made of those of collections, of several threads and the like."""
    base = "ci/repro " + shlex.quote(path)
    told = {"repro": base, "emit_c": base + " --emit-c", "gdb": base + " --gdb"}
    return told if c_program else {name: told[name] for name in ("repro", "gdb")}


def verdict_of(statuses, ran):
    """The verdict on findings of these statuses; `ran`: all that was begun came to its end. An open
    finding outweighs what could not run. One that is accepted does not: it would pass for a campaign
    that tested everything."""
    if any(status in OPEN for status in statuses):
        return FINDING
    if not ran:
        return COULD_NOT_RUN
    return KNOWN if KNOWN_ONE in statuses else CLEAN


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
    known: bool = False      # an earlier campaign stored it
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
    status: str = NEW        # or FLAKY, KNOWN_ONE, FIXED
    reason: str = ""         # of a known one: why it is accepted
    expires: str = ""        # and until which day
    since: str = ""          # when it was stored first, UTC
    before: str = ""         # its status in the latest earlier campaign that tells of it, or empty
    sanitizer: str = ""      # of the job that found it
    file: str = ""           # the guilty line, from the sources' root, or empty
    line: typing.Optional[int] = None
    function: str = ""
    guilty: str = ""         # what that line is, in words
    c_program: str = ""      # shows it against the vtable, or empty
    explanation: str = ""    # what `assay repro` tells
    story: typing.Optional[dict] = None       # what `assay repro --json` tells

    def __post_init__(self):
        if self.flaky and self.status == NEW:
            self.status = FLAKY

    @property
    def family(self):
        """The property's id; of an invariant without its strategy and number."""
        return family(self.property)


def family(property_id):
    """`invariant` for `invariant:buddy.I3`: as the oracle counts, and matrices are headed."""
    return property_id.partition(":")[0]


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
    sanitizer: str = ""      # none, address, memory, thread
    known_findings: typing.List[str] = dataclasses.field(default_factory=list)  # that are accepted
    cpu_seconds: float = 0.0
    operations: int = 0      # of programs, carried out
    features: typing.Optional[int] = None     # what else the engine counts as new
    states: typing.Optional[int] = None       # abstract states of the heap, the most of a session
    peak_memory: int = 0     # resident bytes
    exercised: typing.Dict[str, int] = dataclasses.field(default_factory=dict)  # property: times

    @property
    def rate(self):
        """Executions per second, or None."""
        return self.executions / self.seconds if self.seconds > 0 and self.executions else None

    @property
    def verdict(self):
        if self.findings:
            return FINDING
        if self.problem or self.executions <= 0:
            return NOT_STARTED if self.not_started and not self.problem else COULD_NOT_RUN
        return KNOWN if self.known_findings else CLEAN


@dataclasses.dataclass
class Phase:
    name: str                # replay, fuzz, settle, minimise, coverage, power, benchmarks, report
    state: str               # begun, done, skipped, failed
    seconds: float = 0.0
    note: str = ""


@dataclasses.dataclass
class Property:
    id: str
    text: str = ""


@dataclasses.dataclass
class Strategy:
    name: str
    summary: str = ""
    traits: typing.List[str] = dataclasses.field(default_factory=list)
    applicable: typing.Optional[typing.List[str]] = None   # properties; None: nobody said
    source: str = ""         # hash of its sources
    file: str = ""           # its own source, from the sources' root

    @property
    def collection(self):
        """Whether it is no allocator, but a collection over all of them."""
        return "collection" in self.traits


@dataclasses.dataclass
class Cell:
    """What was found out about a property of a strategy; matrix.py has the rules."""
    strategy: str
    property: str
    state: str               # matrix.STATES
    exercised: int = 0       # times that it was judged
    by_job: typing.Dict[str, int] = dataclasses.field(default_factory=dict)  # engine/sanitizer: times
    findings: typing.List[str] = dataclasses.field(default_factory=list)     # names
    killed: typing.List[str] = dataclasses.field(default_factory=list)    # bugs that it reported
    otherwise: typing.List[str] = dataclasses.field(default_factory=list)  # that another reported
    survived: typing.List[str] = dataclasses.field(default_factory=list)  # that none reported
    why: str = ""            # the state in words

    @property
    def power(self):
        """(killed, of how many), or None: no planted bug says anything about this check."""
        total = len(self.killed) + len(self.survived)
        return (len(self.killed), total) if total else None


@dataclasses.dataclass
class Coverage:
    """Of a file of a strategy's own sources, by all that the corpus holds."""
    strategy: str
    file: str
    lines: int
    covered: int
    regions: int = 0
    regions_covered: int = 0
    missing: typing.List[int] = dataclasses.field(default_factory=list)   # line numbers


@dataclasses.dataclass
class States:
    """Abstract states of a strategy's heap that were seen, and those seen once and twice: what
    estimators of how many there are need (Chao 1984)."""
    strategy: str
    seen: int
    hits: int
    once: int
    twice: int


@dataclasses.dataclass
class Kill:
    """A run against a planted or historical bug."""
    bug: str
    strategy: str
    expected: typing.List[str]
    engine: str
    mutator: str
    seed: int
    killed: bool             # by an expected property
    property: str = ""       # that reported it
    executions: typing.Optional[int] = None
    cpu_seconds: typing.Optional[float] = None


@dataclasses.dataclass
class Benchmark:
    strategy: str
    variant: str
    workload: str
    metric: str
    unit: str
    value: float
    low: typing.Optional[float] = None
    high: typing.Optional[float] = None
    rounds: int = 1


@dataclasses.dataclass
class Footprint:
    """What a subject takes of a machine; bytes, but of instructions."""
    subject: str
    kind: str                # strategy, collection, part
    world: str
    operation: str           # "": of it as a whole
    metric: str              # code, data, instructions, stack
    value: int
    calls: int = 0           # of the operation, that were measured
    before: typing.Optional[int] = None     # the value of the last measurement before


@dataclasses.dataclass
class Former:
    """An earlier campaign of the folder, in short; `of` of the status: names of findings."""
    uuid: str
    command: str
    started: str
    state: str
    verdict: str
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    executions: int = 0
    operations: int = 0
    version: str = ""
    plant: str = ""
    findings: typing.Dict[str, int] = dataclasses.field(default_factory=dict)  # status: how many


@dataclasses.dataclass
class Results:
    """A campaign."""
    started: str = ""        # UTC, ISO 8601
    seconds: float = 0.0     # wall time, of all runs
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
    campaign: str = ""       # uuid
    command: str = ""        # overnight, fuzz, pr
    state: str = ""          # running, ended, stopped
    ended: str = ""
    machine: str = ""
    runs: int = 1            # of the supervisor: more than one if it was resumed
    supervisor_seconds: float = 0.0   # CPU of the supervisor itself
    judge_seconds: float = 0.0        # CPU of judging and minimising
    phases: typing.List[Phase] = dataclasses.field(default_factory=list)
    properties: typing.List[Property] = dataclasses.field(default_factory=list)
    invariants: typing.Dict[str, str] = dataclasses.field(default_factory=dict)  # id: text
    strategies: typing.List[Strategy] = dataclasses.field(default_factory=list)
    matrix: typing.List[Cell] = dataclasses.field(default_factory=list)
    coverage: typing.List[Coverage] = dataclasses.field(default_factory=list)
    states: typing.List[States] = dataclasses.field(default_factory=list)
    kills: typing.List[Kill] = dataclasses.field(default_factory=list)
    kills_here: int = 0      # how many of them are this campaign's
    kills_from: str = ""     # when the oldest campaign that they are of began, if it is an earlier one
    benchmarks: typing.List[Benchmark] = dataclasses.field(default_factory=list)
    footprints: typing.List[Footprint] = dataclasses.field(default_factory=list)  # the last that were measured
    footprints_here: int = 0  # how many of them are this campaign's
    footprints_from: str = ""  # when the campaign that they are of began, if it is an earlier one
    footprints_note: str = ""  # what could not be measured there, and why
    former: typing.List[Former] = dataclasses.field(default_factory=list)   # the latest first
    about: typing.List[str] = dataclasses.field(default_factory=list)   # what was tested, and how it was built

    # Where it was read from, for what plots ask for in detail; None if it was read from JSON.
    history = None
    campaign_id = None

    @property
    def begun(self):
        """Jobs that had their turn. A replay of what is stored already is none: it tests nothing new."""
        return [job for job in self.jobs if job.engine != "corpus" and not job.not_started]

    @property
    def failed_phases(self):
        return [phase for phase in self.phases if phase.state == "failed"]

    @property
    def cut_off(self):
        return cut_off(self.state, self.stopped)

    @property
    def ran(self):
        """Whether all that was begun came to its end, whatever it found."""
        measured = self.command in MEASURING and (
            self.benchmarks or self.kills_here or self.footprints_here)
        return not (self.error or self.failed_phases or self.cut_off) and bool(
            self.begun or measured) and all(job.verdict != COULD_NOT_RUN for job in self.jobs)

    @property
    def verdict(self):
        statuses = [finding.status for finding in self.findings]
        if any(job.verdict == FINDING for job in self.jobs):
            statuses.append(NEW)
        return verdict_of(statuses, self.ran)

    @property
    def baseline(self):
        """The campaign before that this one is compared with, or None. One that fuzzed another planted
        bug, or none, says nothing of what is new or fixed in this."""
        return next((row for row in self.former
                     if row.command not in MEASURING and row.plant == self.plant), None)

    @property
    def exit_code(self):
        return EXIT_CODES[self.verdict]

    @property
    def executions(self):
        return sum(job.executions for job in self.jobs)

    @property
    def operations(self):
        return sum(job.operations for job in self.jobs)

    @property
    def cpu_seconds(self):
        return sum(job.cpu_seconds for job in self.jobs)

    def finding(self, name):
        """The finding of that name, or None."""
        return next((finding for finding in self.findings if finding.name == name), None)

    def of_status(self, status):
        return [finding for finding in self.findings if finding.status == status]

    def property_text(self, property_id):
        """The property in words, or ''."""
        return self.invariants.get(property_id) or next(
            (each.text for each in self.properties if each.id == family(property_id)), "")

    def cell(self, strategy, property_id):
        """The matrix's, or None."""
        return next((cell for cell in self.matrix
                     if (cell.strategy, cell.property) == (strategy, property_id)), None)

    def to_dict(self):
        document = {"schema": SCHEMA, "verdict": self.verdict, "exit_code": self.exit_code,
                    "executions": self.executions, "operations": self.operations,
                    "cpu_seconds": round(self.cpu_seconds, 3)}
        document.update(dataclasses.asdict(self))
        for job, fields in zip(self.jobs, document["jobs"]):
            fields["verdict"] = job.verdict
            fields["executions_per_second"] = round(job.rate, 1) if job.rate else None
        return document

    @classmethod
    def from_dict(cls, document):
        """What to_dict made; fields that this version does not know are ignored."""
        results = _fill(cls, document)
        for field, kind in _LISTS.items():
            setattr(results, field, [_fill(kind, fields) for fields in document.get(field, [])])
        return results

    @classmethod
    def from_history(cls, history, campaign_id, folder=None):
        """What the history says of a campaign. `folder`: where its files lie, as people type it."""
        from reports import read_history     # which fills what is declared here
        return read_history.read(cls, history, campaign_id, folder)


_LISTS = {"jobs": Job, "findings": Finding, "phases": Phase, "properties": Property,
          "strategies": Strategy, "matrix": Cell, "coverage": Coverage, "states": States,
          "kills": Kill, "benchmarks": Benchmark, "footprints": Footprint,
          "former": Former}


def _fill(cls, fields):
    names = {field.name for field in dataclasses.fields(cls)}
    return cls(**{key: value for key, value in fields.items() if key in names})
