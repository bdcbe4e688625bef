#!/usr/bin/env python3
"""A history as a few nights leave it, made up: for tests of renderers, and to look at their pages.

  python3 reports/sample_campaign.py DIR [--small]    writes DIR/history.db (and nothing else)

The same each time. Nothing in it was measured. It has what is rare in one campaign: each status of a
finding, jobs that could not run or were never begun, checks that never ran, planted bugs that
survived, and text that would break a careless renderer.
"""
import datetime
import json
import math
import os
import random
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from reports import catalogue, history  # noqa: E402

# What programs under test may print, and so what a diagnosis or a log may hold.
HOSTILE = ("<script>alert('x')</script> ]]> & \"q\" `t` ``` | {{ 7*7 }} </style> \x00\x1b[31m "
           "*a* [l](x) \u2028 \ufffe é ∞")

PROPERTIES = [
    ("alignment", "a block is not aligned as asked for"),
    ("bounds", "a block is not inside the memory that the source gave"),
    ("overlap", "a block overlaps another live block"),
    ("content", "bytes of a block changed while it lived"),
    ("zeroed", "a block that must be zero is not"),
    ("resize-prefix", "resize did not keep the block's bytes"),
    ("spurious-oom", "refused although the stated bound says that it fits"),
    ("not-pristine", "with everything released the heap is not as it was"),
    ("double-release-missed", "a second release was not detected"),
    ("touched-live-block", "the allocator accessed a live block's bytes"),
    ("invariant", "a numbered invariant of the strategy does not hold"),
    ("undefined-behaviour", "a sanitizer reported the allocator's code"),
    ("crash", "the allocator crashed"),
    ("race", "two threads access the same bytes, one writes, and nothing orders them"),
]

# Name, summary, traits, properties that do not apply, executions a second.
STRATEGIES = [
    ("bump", "an offset that only grows", "resets zeroes",
     {"resize-prefix", "not-pristine", "double-release-missed", "race"}, 9000),
    ("bump_atomic", "bump with an offset that threads claim", "resets zeroes allocates-concurrently",
     {"resize-prefix", "not-pristine", "double-release-missed"}, 5000),
    ("free_list", "first fit over one list", "releases resizes resets sizes coalesces",
     {"zeroed", "double-release-missed", "race"}, 4000),
    ("buddy", "powers of two that split and join", "releases resizes resets coalesces",
     {"zeroed", "race"}, 3500),
    ("tlsf", "two-level segregated fit", "releases resizes zeroes coalesces walks-blocks",
     {"double-release-missed", "race"}, 3000),
    ("vector", "elements of one size in one block", "collection",
     {"zeroed", "double-release-missed", "race", "resize-prefix"}, 2000),
]

JOBS = [("libfuzzer", "address"), ("afl", "none"), ("libfuzzer", "none")]

# Properties that only some builds can see.
_NEEDS = {"touched-live-block": {"address"}, "undefined-behaviour": {"address"}, "race": {"thread"}}

# Judged only now and then.
_RARE = {"spurious-oom": 0.01, "zeroed": 0.002}

# A promise that nobody tried.
_NEVER = "double-release-missed"

BUGS = [("free_list+header_size_wraps", "overlap crash", "overlap"),
        ("free_list+split_keeps_size", "overlap touched-live-block", "touched-live-block"),
        ("free_list+unlink_forgets_tail", "invariant:free_list.I2 not-pristine", ""),
        ("buddy+order_rounded_down", "overlap bounds", "bounds"),
        ("buddy+joined_pair_stays", "invariant:buddy.I2 overlap", "invariant:buddy.I2"),
        ("tlsf+zero_forgotten", "zeroed", "zeroed"),
        ("bump+alignment_of_offset", "alignment", "alignment")]

PROGRAM = """heap capacity=65536 source=buffer
allocate 0 size=16 align=16
allocate 1 size=16 align=16
release 0
allocate 2 size=24 align=16
"""

C_PROGRAM = """#include "allocators/registry.h"

int main(void) {
  /* <b>as long as the vtable is</b> & "quoted" */
  return reproduce(%s);
}
"""


def story(strategy, verdict, diagnosis):
    """As `assay repro --json` tells: the third block lies over the second."""
    def span(start, size, kind, slot=None):
        return {"start": start, "size": size, "kind": kind, "slot": slot}
    steps = [{"text": "allocate 0 size=16", "result": "done", "start": 16, "size": 16},
             {"text": "allocate 1 size=16", "result": "done", "start": 32, "size": 16},
             {"text": "release 0", "result": "done", "start": 16, "size": 16},
             {"text": "allocate 2 size=24", "result": "violated"}]
    states = [{"before": i, "end": False, "whole": True, "broken": None,
               "spans": [span(0, 16, "meta"), span(16, 48, "free")]} for i in range(4)]
    states.append({"before": 3, "end": True, "whole": True, "broken": None,
                   "spans": [span(0, 16, "meta"), span(16, 24, "block", 2)]})
    return {"schema": 1, "file": "x", "strategy": strategy, "tier": "full", "verdict": verdict,
            "property_text": dict(PROPERTIES).get(verdict.partition(":")[0], ""), "operations": 4,
            "operation": 3, "signature": "0badf00d", "diagnosis": diagnosis, "site": "allocate",
            "guilty": {"start": 32, "size": 8}, "first_visible": None,
            "replays": {"runs": 5, "same": 5}, "heap": {"source": "buffer", "capacity": 65536},
            "steps": steps, "states": states,
            "lives": [{"slot": 0, "start": 16, "size": 16, "begin": 0, "end": 2},
                      {"slot": 1, "start": 32, "size": 16, "begin": 1, "end": None}]}


# strategy, property, signature, diagnosis, file, line, function, hostile, then per night: status.
_FINDINGS = [
    ("free_list", "overlap", "0000a001",
     "operation 3: 0x10..0x28 lies over the live block of slot 1", "allocators/free_list.c", 212,
     "split", False, ("", "", "new")),
    ("buddy", "invariant:buddy.I2", "0000b002", HOSTILE, "", None, "", True, ("", "new", "new")),
    ("tlsf", "touched-live-block", "0000c003",
     "operation 17: the allocator read 8 bytes of the live block of slot 4", "allocators/tlsf.c", 388,
     "merge_right", False, ("new", "known", "known")),
    ("free_list", "content", "0000d004", "operation 9: byte 3 of slot 2 changed",
     "", None, "", False, ("", "", "flaky")),
    ("buddy", "bounds", "0000e005", "operation 1: 0xffff..0x1000f ends behind the source's memory",
     "allocators/buddy.c", 97, "order_of", False, ("new", "new", "fixed")),
]


def catalogue_document():
    """As `assay list --json` prints."""
    ids = [name for name, _ in PROPERTIES]
    return {"schema": catalogue.SCHEMA,
            "properties": [{"id": name, "text": text} for name, text in PROPERTIES],
            "strategies": [{"name": name, "summary": summary, "traits": traits.split(),
                            "source": "%s/%s.c" % ("collections" if traits == "collection" else
                                                   "allocators", name),
                            "invariants": ["spans lie one behind the other", "free ones are linked"],
                            "properties": [each for each in ids if each not in without]}
                           for name, summary, traits, without, _ in STRATEGIES]}


class _Night:
    """Writes one campaign."""

    def __init__(self, db, number, hours, sample, rng):
        self.db, self.number, self.rng = db, number, rng
        self.seconds, self.sample = hours * 3600, sample
        start = datetime.datetime(2026, 3, 1, 20, 0, tzinfo=datetime.timezone.utc)
        self.start = start + datetime.timedelta(days=number)
        self.version = ("%x" % (0xabcdef12345 + 977 * number))[:12]

    def at(self, seconds):
        return (self.start + datetime.timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")

    def write(self):
        self.campaign = self.db.insert(
            "campaigns", uuid="%08x-0000-4000-8000-%012x" % (0x1000 + self.number, self.number),
            command="overnight", started=self.at(0), ended=self.at(self.seconds + 300),
            state="ended", seconds_asked=self.seconds, cores=4, seed=7 + self.number,
            assay=self.version, machine="a processor that there is not, 4 cores, Linux",
            options='{"strategies": []}')
        catalogue.store(self.db, self.campaign, catalogue_document())
        self.runs = [self.db.insert("runs", campaign=self.campaign, started=self.at(0),
                                    seconds=self.seconds / 2, cpu_seconds=self.seconds * 0.004,
                                    judge_cpu_seconds=40, ended=None, how="killed"),
                     self.db.insert("runs", campaign=self.campaign,
                                    started=self.at(self.seconds / 2 + 60),
                                    seconds=self.seconds / 2, cpu_seconds=self.seconds * 0.004,
                                    judge_cpu_seconds=25, ended=self.at(self.seconds + 300),
                                    how="ended")]
        for name, state, share, note in (
                ("replay", "done", 0.01, ""), ("fuzz", "done", 0.9, ""), ("settle", "done", 0, ""),
                ("minimise", "done", 0.02, ""), ("coverage", "done", 0.03, ""),
                ("power", "done", 0.03, ""),
                ("benchmarks", "skipped" if self.number == 1 else "done", 0.01,
                 "no time was left" if self.number == 1 else "")):
            self.db.insert("phases", campaign=self.campaign, name=name, state=state,
                           seconds=share * self.seconds, note=note)
        self.jobs = {}
        for name, _, _, without, speed in STRATEGIES:
            version = self.db.one("SELECT id FROM versions WHERE assay = ? AND strategy = ?",
                                  self.version, name)
            version = version["id"] if version else self.db.insert(
                "versions", assay=self.version, strategy=name, source="%012x" % (hash_of(name)))
            self.db.insert("campaign_versions", campaign=self.campaign, version=version)
            engines = JOBS + [("libfuzzer", "thread")] * (name == "bump_atomic")
            for engine, sanitizer in [("corpus", "none")] + engines:
                self.job(name, engine, sanitizer, without, speed)
            self.states(name)
        self.findings()
        self.coverage()
        self.kills()
        self.benchmarks()
        self.footprints()

    def job(self, strategy, engine, sanitizer, without, speed):
        idle = strategy == "tlsf" and engine == "afl" and self.number == 2
        late = strategy == "bump" and sanitizer == "none" and engine == "libfuzzer"
        job = self.db.insert(
            "jobs", campaign=self.campaign, strategy=strategy, engine=engine, sanitizer=sanitizer,
            problem="AFL++ ended with exit code 1 after 0.1 s: " + HOSTILE if idle else "",
            not_started=int(late))
        self.jobs[strategy, engine, sanitizer] = job
        if idle or late:
            return
        if engine == "corpus":
            session = self.session(job, 0, 60, 1200, None, without, sanitizer)
            return
        speed *= {"address": 0.5, "thread": 0.2}.get(sanitizer, 1) * (1.4 if engine == "afl" else 1)
        share = self.seconds * 0.9 / 4
        ceiling = self.rng.uniform(900, 1100) * (0.6 if engine == "afl" else 1)
        for half, run in enumerate(self.runs):
            began = half * self.seconds / 2 + self.rng.uniform(0, 60)
            session = self.session(job, began, share / 2, int(speed * share / 2), run, without,
                                   sanitizer)
            self.samples(session, began, share / 2, speed, ceiling, half)

    def session(self, job, began, seconds, executions, run, without, sanitizer):
        session = self.db.insert(
            "sessions", job=job, run=run or self.runs[0], seed=self.rng.randrange(1 << 31),
            began=began, seconds=seconds, cpu_seconds=seconds * 0.97, executions=executions,
            operations=executions * 23, state="ended", how="over", exit_code=0,
            peak_memory=self.rng.randrange(80, 400) << 20)
        for name, _ in PROPERTIES:
            if name in without or sanitizer not in _NEEDS.get(name, {sanitizer}):
                continue
            times = int(executions * self.rng.uniform(2, 12) * _RARE.get(name, 1))
            if times and name != _NEVER:
                self.db.insert("exercised", session=session, property=name, times=times)
        return session

    def samples(self, session, began, seconds, speed, ceiling, half):
        """Coverage grows fast, then slowly; so do the states."""
        count = max(8, int(seconds / self.sample))
        for i in range(1, count + 1):
            cpu = seconds * i / count * 0.97
            effort = cpu * speed + half * seconds * speed
            grown = ceiling * (1 - math.exp(-math.log1p(effort / 4000) / 3))
            self.db.insert(
                "samples", session=session, at=began + seconds * i / count, cpu_seconds=cpu,
                executions=int(cpu * speed), operations=int(cpu * speed * 23), coverage=int(grown),
                features=int(grown * 3.7), corpus=int(grown * 1.3),
                states=int(40 * math.log1p(effort / 100)), memory=self.rng.randrange(60, 300) << 20)
        self.db.write("UPDATE sessions SET coverage = ?, features = ? WHERE id = ?",
                      int(grown), int(grown * 3.7), session)

    def states(self, strategy):
        """Species as in nature: a few common, many rare."""
        rows = [(self.campaign, strategy, (i * 2654435761 + hash_of(strategy)) & 0xffffffff,
                 max(1, int(self.rng.paretovariate(0.7)))) for i in range(300)]
        self.db.write_many("INSERT INTO state_hits VALUES (?, ?, ?, ?)", rows)

    def findings(self):
        for (strategy, property_id, signature, diagnosis, file, line, function, hostile,
             nights) in _FINDINGS:
            status = nights[self.number]
            if not status:
                continue
            flaky = status == "flaky"
            row = self.db.one("SELECT id FROM findings WHERE signature = ?", signature)
            name = "%s-%s-%040x" % (property_id.replace(":", "-"), signature, int(signature, 16))
            finding = row["id"] if row else self.db.insert(
                "findings", strategy=strategy, property=property_id, signature=signature, name=name,
                path="findings/%s/%s" % (strategy, name), diagnosis=diagnosis, site="allocate",
                file=file, line=line, function=function, operations=None if flaky else 4,
                build="assay_asan" if file else "assay", stored=self.at(4000), assay=self.version,
                source="%012x" % hash_of(strategy),
                text="==1==ERROR: " + HOSTILE if flaky else PROGRAM + HOSTILE * hostile,
                c_program="" if flaky else C_PROGRAM % strategy,
                explanation="" if flaky else "operation 3 is guilty\n" + diagnosis,
                story="" if flaky else json.dumps(story(strategy, property_id, diagnosis)))
            replayed = status == "fixed"
            self.db.insert(
                "campaign_findings", campaign=self.campaign, finding=finding, status=status,
                reason="accepted until the rewrite of merging: " + HOSTILE
                if status == "known" else "", expires="2026-12-31" if status == "known" else "",
                replays=5, same={"flaky": 2, "fixed": 0}.get(status, 5),
                engine="corpus" if replayed else "libfuzzer",
                sanitizer="none" if replayed else "address",
                executions=None if replayed else 51234, seconds=None if replayed else 812.5)
            if replayed:
                continue
            for engine, sanitizer, inputs in (("libfuzzer", "address", 3), ("afl", "none", 2)):
                if (strategy, engine) == ("tlsf", "afl"):
                    continue
                for i in range(inputs):
                    self.db.insert("sightings", campaign=self.campaign, finding=finding,
                                   job=self.jobs[strategy, engine, sanitizer],
                                   input="%040x" % (int(signature, 16) * 64 + i + 8 * len(engine)))

    def coverage(self):
        for i, (name, *_) in enumerate(STRATEGIES):
            lines = 180 + 60 * i
            missing = sorted(self.rng.sample(range(20, 20 + lines), 4 + 3 * i))
            self.db.insert(
                "line_coverage", campaign=self.campaign, strategy=name,
                file="allocators/%s.c" % name, lines=lines, covered=lines - len(missing),
                regions=lines * 2, regions_covered=lines * 2 - 2 * len(missing),
                missing=json.dumps(missing))

    def kills(self):
        if self.number == 1:
            return
        for bug, expected, property_id in BUGS:
            for engine in ("libfuzzer", "afl"):
                for seed in (1, 2, 3):
                    # AFL++ misses one of three now and then.
                    killed = bool(property_id) and not (engine == "afl" and seed == 3 and
                                                        bug.startswith("buddy"))
                    self.db.insert(
                        "kills", campaign=self.campaign, bug=bug, strategy=bug.partition("+")[0],
                        expected=expected, engine=engine, mutator="operations", seed=seed,
                        killed=int(killed), property=property_id if killed else "",
                        executions=int(self.rng.lognormvariate(8, 1.5)) if killed else 400000,
                        cpu_seconds=self.rng.lognormvariate(1, 1) if killed else 60,
                        assay=self.version)

    def benchmarks(self):
        if self.number == 1:
            return
        for i, name in enumerate(["bump", "free_list", "buddy", "tlsf", "glibc"]):
            for j, workload in enumerate(["lifo64", "random", "trace_sqlite"]):
                speed = (12 + 9 * i + 14 * j) * self.rng.uniform(0.97, 1.03)
                waste = (1.05 + 0.13 * ((i * 3 + j) % 5)) * self.rng.uniform(0.99, 1.01)
                for metric, unit, value in (("time", "ns", speed), ("memory", "ratio", waste)):
                    self.db.insert("benchmarks", campaign=self.campaign, strategy=name,
                                   workload=workload, metric=metric, unit=unit, value=value,
                                   low=value * 0.97, high=value * 1.05, rounds=5,
                                   assay=self.version)


    def footprints(self):
        """Not in the last night: its report tells those of the one before."""
        if self.number == 2:
            return
        for i, name in enumerate(["bump", "free_list", "buddy", "tlsf"]):
            for j, world in enumerate(["cortex_m3", "riscv32", "linux_x86_64"]):
                figures = [("", "code", 300 + 700 * i + 130 * j - 16 * self.number), ("", "data", 0)]
                for k, operation in enumerate(["create", "allocate", "release"][:3 - (i == 0)]):
                    figures.append((operation, "stack", 16 + 24 * i + 8 * k))
                    if j < 2:
                        figures.append((operation, "instructions", 20 + 90 * i * (k + 1) + 7 * j))
                for operation, metric, value in figures:
                    self.db.insert("footprints", campaign=self.campaign, subject=name, kind="strategy",
                                   world=world, operation=operation, metric=metric, value=value,
                                   calls=100 * bool(operation))
        self.db.insert("phases", campaign=self.campaign, name="footprint", state="done",
                       note="AArch64 needs gcc-aarch64-linux-gnu")


def hash_of(name):
    """The same in every process, unlike hash()."""
    return sum(ord(letter) * 131 ** i for i, letter in enumerate(name)) & 0xffffffffffff


def write(path, small=False):
    """Makes the database `path` with three nights; returns the open History. `small`: few samples."""
    db = history.History(path)
    rng = random.Random(20260301)
    with db.transaction():
        for number in range(3):
            _Night(db, number, 8, 7200 if small else 120, rng).write()
    return db


def main(arguments):
    if not arguments or arguments[0].startswith("-"):
        print(__doc__.strip())
        return 2
    os.makedirs(arguments[0], exist_ok=True)
    path = os.path.join(arguments[0], history.NAME)
    if os.path.exists(path):
        print("%s exists: choose another folder" % path, file=sys.stderr)
        return 2
    write(path, small="--small" in arguments).close()
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
