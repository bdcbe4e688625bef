#!/usr/bin/env python3
"""Which lines of the strategies' own sources the inputs of their corpora run.

    ci/line_coverage.py STRATEGY=FOLDER...     replays the inputs, prints the lines that never ran

Inputs are replayed in batches by a build of the fuzz target that counts lines and branches (Clang's
source-based coverage). The counters lie in a file that the process maps: an input that crashes, hangs
or is killed leaves what ran until then, and those behind it get a process of their own.
"""
import argparse
import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import typing

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from ci import provenance, workbench  # noqa: E402
from ci.workbench import ROOT, CannotRun  # noqa: E402
from fuzz import engines  # noqa: E402
from reports import text  # noqa: E402

# Inputs per process: what their names take must fit on a command line.
_BATCH = 500

# Seconds without a new input, after which the one in progress is given up.
_STUCK = 20.0

_POLL = 0.05

# The exit code of a fuzz target that could not replay.
_COULD_NOT_RUN = 2


@dataclasses.dataclass
class FileCoverage:
    file: str                # from the sources' root
    lines: int = 0
    covered: int = 0
    regions: int = 0
    regions_covered: int = 0
    missing: typing.List[int] = dataclasses.field(default_factory=list)   # lines that never ran


@dataclasses.dataclass
class Coverage:
    strategy: str
    files: typing.List[FileCoverage]
    inputs: int = 0          # replayed
    of: int = 0              # in the corpus
    crashed: int = 0         # of the replayed, ended their process


def target_path(strategy):
    """The program below bazel-bin."""
    return "fuzz/%s_coverage.elf" % strategy


def ranges(lines):
    """[1, 2, 3, 7] -> "1-3, 7"."""
    found = []
    for line in lines:
        if found and line == found[-1][1] + 1:
            found[-1][1] = line
        else:
            found.append([line, line])
    return ", ".join("%d" % a if a == b else "%d-%d" % (a, b) for a, b in found)


def _tool(name):
    """Clang's versions read profiles of their own and of older ones: the newest that there is."""
    for candidate in ["%s-%d" % (name, version) for version in range(24, 13, -1)] + [name]:
        if shutil.which(candidate):
            return candidate
    raise CannotRun("%s is not installed: run ci/setup" % name)


def _call(*command):
    try:
        result = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True,
                                text=True, errors="replace", check=False)
    except OSError as error:
        raise CannotRun("%s: %s" % (command[0], error.strerror)) from error
    if result.returncode != 0:
        raise CannotRun("%s %s failed: %s" % (command[0], command[1],
                                              text.one_line(result.stderr.strip(), 300)))
    return result.stdout


class _Replay:
    """The inputs of one strategy, until `late()`."""

    def __init__(self, program, folder, late):
        self._program, self._folder, self._late = program, folder, late
        self._processes = 0
        self.crashed = 0

    def run(self, inputs):
        """Returns how many were replayed."""
        done = 0
        while done < len(inputs) and not self._late():
            code = self._batch(inputs[done:done + _BATCH])
            begun = self._begun()
            if self._late():
                return done + begun
            if begun == 0 and code is None:
                begun = 1       # it is stuck before it could say what it begins with
            if begun == 0:
                raise CannotRun("%s replays nothing: %s" % (
                    os.path.basename(self._program), self._last_word()))
            self.crashed += code != 0
            done += begun
        return done

    def _log(self):
        return os.path.join(self._folder, "replay.log")

    def _last_word(self):
        with open(self._log(), encoding="utf-8", errors="replace") as f:
            return text.one_line(f.read()[-300:].strip() or "no word", 200)

    def _begun(self):
        with open(self._log(), "rb") as f:
            return len(re.findall(rb"^Running: ", f.read(), re.MULTILINE))

    def _batch(self, inputs):
        """The exit code; None if it had to be ended."""
        self._processes += 1
        profile = os.path.join(self._folder, "%d-%%c.profraw" % self._processes)
        environment = engines.environment(LLVM_PROFILE_FILE=profile)
        environment.pop("ASSAY_COUNTERS", None)     # these executions search for nothing
        with open(self._log(), "wb") as log:
            try:
                child = subprocess.Popen([self._program, *inputs], stdin=subprocess.DEVNULL,
                                         stdout=log, stderr=log, env=environment,
                                         cwd=self._folder)
            except OSError as error:
                raise CannotRun("%s: %s" % (self._program, error.strerror)) from error
        try:
            code = self._wait(child)
        finally:
            child.kill()
            child.wait()
        if code == _COULD_NOT_RUN:
            raise CannotRun("%s: %s" % (os.path.basename(self._program), self._last_word()))
        return code

    def _wait(self, child):
        begun, since = 0, time.monotonic()
        while True:
            try:
                return child.wait(_POLL)
            except subprocess.TimeoutExpired:
                pass
            if self._late():
                return None
            if self._begun() != begun:
                begun, since = self._begun(), time.monotonic()
            elif time.monotonic() - since > _STUCK:
                return None


def _read(program, folder, strategy):
    """[FileCoverage] of all profiles in the folder."""
    merged = os.path.join(folder, "all.profdata")
    profiles = [os.path.join(folder, name) for name in sorted(os.listdir(folder))
                if name.endswith(".profraw")]
    _call(_tool("llvm-profdata"), "merge", "-sparse", "-o", merged, *profiles)
    cov = _tool("llvm-cov")
    arguments = ["-instr-profile=" + merged, program]
    summary = json.loads(_call(cov, "export", "-summary-only", *arguments))
    own = set(provenance.files_of(strategy))
    found = {}
    for entry in summary["data"][0]["files"]:
        name = os.path.normpath(entry["filename"])
        if name in own and entry["summary"]["lines"]["count"]:
            lines, regions = entry["summary"]["lines"], entry["summary"]["regions"]
            found[name] = FileCoverage(name, lines["count"], lines["covered"], regions["count"],
                                       regions["covered"])
    current = None
    for line in _call(cov, "export", "-format=lcov", *arguments).splitlines():
        if line.startswith("SF:"):
            current = found.get(os.path.normpath(line[3:]))
        elif line.startswith("DA:") and current:
            number, _, count = line[3:].partition(",")
            if count == "0":
                current.missing.append(int(number))
    return [found[name] for name in sorted(found)]


def replay(program, strategy, corpus, late, folder=None):
    """The Coverage of a corpus by the program, or of what of it was replayed until `late()`."""
    names = sorted(name for name in os.listdir(corpus) if not name.startswith("."))
    inputs = [os.path.abspath(os.path.join(corpus, name)) for name in names]
    with tempfile.TemporaryDirectory(dir=folder, prefix="coverage-") as scratch:
        session = _Replay(os.path.abspath(program), scratch, late)
        done = session.run(inputs)
        if not done:
            return Coverage(strategy, [], 0, len(inputs))
        return Coverage(strategy, _read(program, scratch, strategy), done, len(inputs),
                        session.crashed)


def store(history, campaign, coverage):
    """Replaces the strategy's rows."""
    with history.transaction():
        history.write("DELETE FROM line_coverage WHERE campaign = ? AND strategy = ?",
                      campaign, coverage.strategy)
        for entry in coverage.files:
            history.insert("line_coverage", campaign=campaign, strategy=coverage.strategy,
                           file=entry.file, lines=entry.lines, covered=entry.covered,
                           regions=entry.regions, regions_covered=entry.regions_covered,
                           missing=json.dumps(entry.missing))


def measure(bench, history, campaign, corpora, seconds, stop, say=lambda line: None, folder=None):
    """The phase of a campaign: coverage of {strategy: its corpus' folder}, in about `seconds` or until
    `stop()`. `bench`: a Workbench, which builds what it takes; `folder`: for scratch. What an earlier
    process stored of this campaign is not measured again. Returns what was left out, or "". CannotRun
    if nothing was measured."""
    end = time.monotonic() + seconds
    measured = {row["strategy"] for row in history.query(
        "SELECT DISTINCT strategy FROM line_coverage WHERE campaign = ?", campaign)}
    waiting = [strategy for strategy in corpora
               if strategy not in measured and os.path.isdir(corpora[strategy])]
    if not waiting:
        return ""
    say("coverage: building %s" % text.count(len(waiting), "program"))
    labels = {workbench.label_of(target_path(strategy)): strategy for strategy in waiting}
    failed, said = bench.build_what_can({label: target_path(labels[label]) for label in labels})
    left_out = ["%s: its program could not be built" % labels[label] for label in failed]
    waiting = [strategy for strategy in waiting
               if workbench.label_of(target_path(strategy)) not in failed]
    for count, strategy in enumerate(waiting):
        # Equal parts of the time; what one does not need is for the others.
        until = time.monotonic() + (end - time.monotonic()) / (len(waiting) - count)
        if stop() or time.monotonic() >= end:
            left_out.append("no time for " + " ".join(waiting[count:]))
            break
        say("coverage: %s" % strategy)
        told = replay(bench.program(target_path(strategy)), strategy, corpora[strategy],
                      lambda until=until: stop() or time.monotonic() >= until, folder)
        if told.files:
            store(history, campaign, told)
            measured.add(strategy)
        if told.inputs < told.of:
            left_out.append("%s: %d of %d inputs" % (strategy, told.inputs, told.of))
    if not measured:
        raise CannotRun("nothing was measured: %s" % text.one_line(
            "; ".join(left_out) + (": " + said.strip()[-300:] if said else ""), 400))
    return "; ".join(left_out)


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="ci/line_coverage.py", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpora", nargs="+", metavar="STRATEGY=FOLDER")
    options = parser.parse_args(arguments)
    bench = workbench.Workbench()
    try:
        for word in options.corpora:
            strategy, separator, folder = word.partition("=")
            if not separator or not os.path.isdir(folder):
                parser.error("'%s': say STRATEGY=FOLDER, of a folder that there is" % word)
            bench.build([workbench.label_of(target_path(strategy))])
            told = replay(bench.program(target_path(strategy)), strategy, folder, lambda: False)
            for entry in told.files:
                print("%s: %d of %d lines, %d of %d regions, by %s; never: %s" % (
                    entry.file, entry.covered, entry.lines, entry.regions_covered, entry.regions,
                    text.count(told.inputs, "input"), ranges(entry.missing) or "none"))
    except CannotRun as error:
        print("ci/line_coverage.py: %s" % error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
