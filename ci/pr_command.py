#!/usr/bin/env python3
"""Judges a change in a few minutes, for a pull request.

Four steps share the time, and one that fails does not hide the others:

  tests          all of bazel test, what is below apart; Bazel's caches know what did not change
  regressions    every stored input on every fuzz target, under all sanitizers
  planted bugs   each must be found within a bounded number of executions
  fuzzing        a short campaign (ci/overnight) of the strategies that the change affects: those
                 whose sources or headers differ from --base, or all if the harness does

The verdict is printed, and written as DIR/summary.md (also to $GITHUB_STEP_SUMMARY),
DIR/summary.json and DIR/report.sarif. DIR/fuzz is the campaign's folder, with the findings;
DIR/logs has what the steps said.
"""
import argparse
import contextlib
import dataclasses
import json
import os
import random
import shutil
import sqlite3
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from ci import changes, pr_steps, pr_summary, run_folder, workbench  # noqa: E402
from ci import status as status_line  # noqa: E402
from ci.command_line import Interrupt, Parser, amount  # noqa: E402
from ci.workbench import ROOT, CannotRun, shown  # noqa: E402
from reports import files  # noqa: E402

EPILOG = """\
examples:
  ci/pr                                   against the merge base with origin/main, or main
  ci/pr --base HEAD~3 --minutes 20
  ci/pr --only fuzzing --minutes 2

From nothing, a build alone takes longer than this command has: use a cache (--disk-cache,
--remote-cache).

exit codes: 0 clean, 1 new finding or failed test, 2 something could not run, or not in this time;
3 only known findings
"""

# Parts of the time. What a step leaves over, the later ones have.
_PARTS = {"tests": 0.4, "regressions": 0.15, "planted bugs": 0.15, "fuzzing": 0.3}

# Seconds: what is kept for a campaign's last findings and its report, and the least that an engine can
# do anything in.
_REPORT, _LEAST = 15, 6

# Of the campaign's reports, those that are handed on, by the ends of their names.
_REPORTS = {"md": "markdown", "sarif": "sarif"}
_REPORT_SECONDS = 60

_TAGS = {
    "tests": ["--test_tag_filters=-regression,-kill"],
    "regressions": ["--test_tag_filters=regression"],
    "planted bugs": ["--test_tag_filters=kill"],
}


def parse_options(arguments):
    parser = Parser(prog="ci/pr", description=__doc__, epilog=EPILOG, allow_abbrev=False,
                    formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=amount("minutes", 24 * 60, "10"), default=10, metavar="N",
                        help="for all steps, setting up aside (%(default)s)")
    parser.add_argument("--base", metavar="REF",
                        help="what the change is counted from: the merge base with it "
                             "($GITHUB_BASE_REF, else origin/main, else main)")
    parser.add_argument("--only", action="append", default=[], choices=list(_PARTS),
                        metavar="STEP", help="only this step; may be repeated")
    parser.add_argument("--disk-cache", metavar="DIR",
                        help="where Bazel keeps what it built and tested, and looks for it")
    parser.add_argument("--remote-cache", metavar="URL",
                        help="the same for several machines (ci/remote_cache)")
    parser.add_argument("--known", metavar="FILE",
                        help="findings that are accepted (ci/known_findings.toml)")
    parser.add_argument("--out", metavar="DIR", default=os.path.join(ROOT, "out", "pr"),
                        help="folder for the reports (out/pr in the checkout)")
    # For tests: a folder with the commands `overnight` and `report`; nothing is set up.
    parser.add_argument("--commands", metavar="DIR", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    options.only = options.only or list(_PARTS)
    options.caches = []
    if options.disk_cache:
        options.caches.append("--disk_cache=" + os.path.abspath(options.disk_cache))
    if options.remote_cache:
        options.caches.append("--remote_cache=" + options.remote_cache)
    return options


@dataclasses.dataclass
class Change:
    """What is judged."""
    base: str
    files: list
    strategies: list
    why: str


def find_change(options):
    base = changes.base_of(options.base)
    touched = changes.changed_files(base)
    return Change(base, touched, *changes.affected(touched, base))


def last_campaign(folder):
    """Its number, or None."""
    path = os.path.join(folder, "history.db")
    if not os.path.exists(path):
        return None
    try:
        with contextlib.closing(sqlite3.connect(path)) as history:
            return history.execute("SELECT max(id) FROM campaigns").fetchone()[0]
    except sqlite3.Error:
        return None


class Judgement:
    """The steps, from options to a verdict."""

    def __init__(self, options, status):
        self._options, self._status = options, status
        self._interrupt = Interrupt("ci/pr", "the summary is missing")
        self._folder = os.path.abspath(options.out)
        self._end = 0.0

    def run(self):
        options = self._options
        if not options.commands:
            try:
                workbench.set_up("--test")
            except CannotRun as error:
                self._status.say(str(error))    # what needs it will say so
        change = find_change(options)
        self._say("%d files differ from %s; to be fuzzed: %s (%s)" % (
            len(change.files), change.base[:12], " ".join(change.strategies) or "nothing", change.why))
        shutil.rmtree(os.path.join(self._folder, "logs"), ignore_errors=True)
        self._runner = pr_steps.Runner(os.path.join(self._folder, "logs"), self._say,
                                       lambda: self._interrupt.name)
        self._interrupt.install()
        begin = time.monotonic()
        self._end = begin + options.minutes * 60
        outcomes = []
        for name in options.only:
            outcome = self._step(name, change)
            outcomes.append(outcome)
            self._say("%s: %s: %s" % (name, outcome.state, outcome.says))
        self._write(change, outcomes, time.monotonic() - begin)
        return pr_steps.exit_code(outcomes)

    def _say(self, line):
        self._status.say(line)

    def _share(self, name):
        """Seconds of a step: its part of what is left to it and to those behind it."""
        only = self._options.only
        left = sum(_PARTS[other] for other in only[only.index(name):])
        return max(0.0, self._end - time.monotonic()) * _PARTS[name] / left

    def _step(self, name, change):
        seconds = self._share(name)
        if self._interrupt.name:
            return pr_steps.Outcome(name, pr_steps.UNFINISHED, "stopped by " + self._interrupt.name)
        try:
            if name == "fuzzing":
                return self._fuzz(change, seconds)
            return pr_steps.tests(self._runner, name, _TAGS[name] + self._options.caches, ["//..."],
                                  seconds, ROOT, os.path.join(self._folder, "logs", "events.json"))
        except OSError as error:
            return pr_steps.Outcome(name, pr_steps.BROKEN, "%s: %s" % (
                error.filename or name, error.strerror or error))

    def _fuzz(self, change, seconds):
        name = "fuzzing"
        if not change.strategies:
            return pr_steps.Outcome(name, pr_steps.SKIPPED, change.why)
        end = time.monotonic() + seconds
        code, log = self._runner.run("fuzzing build", self._build_command(change.strategies), seconds,
                                     ROOT)
        left = end - time.monotonic() - _REPORT
        if code is None:
            return pr_steps.Outcome(name, pr_steps.UNFINISHED, "the build: " + self._runner.why,
                                    seconds=seconds, log=log)
        # A target that cannot be built is the campaign's to tell.
        strategies, engines, note = self._fitting(change.strategies, left)
        if not strategies:
            return pr_steps.Outcome(name, pr_steps.UNFINISHED, "the build left no time to fuzz",
                                    seconds=seconds, log=log)
        out = os.path.join(self._folder, "fuzz")
        command = [self._command("overnight"), "--hours", "%.5f" % (left / 3600),
                   "--strategies", ",".join(strategies), "--engines", ",".join(engines),
                   "--without", "coverage,power,benchmarks",
                   "--out", out]
        if self._options.known:
            command += ["--known", os.path.abspath(self._options.known)]
        # A campaign that is told to stop still reports: it may take longer than it was given.
        outcome = pr_steps.campaign(self._runner, name, command, left + 60, ROOT,
                                    [os.path.join(out, "report." + kind) for kind in _REPORTS],
                                    self._recovery(out))
        outcome.says += note
        return outcome

    def _command(self, name):
        return os.path.join(self._options.commands or os.path.join(ROOT, "ci"), name)

    def _recovery(self, folder):
        """A function that writes the reports of a campaign which could not do so itself, and returns
        its exit code; None if no campaign began since now."""
        before = last_campaign(folder)

        def recover():
            code = None
            if last_campaign(folder) != before:
                for kind, form in _REPORTS.items():
                    code, _ = self._runner.run("fuzzing report", [
                        self._command("report"), folder, "--format", form,
                        "--output", os.path.join(folder, "report." + kind)], _REPORT_SECONDS, ROOT)
            return code
        return recover

    def _build_command(self, strategies):
        paths = [workbench.target_path(strategy, engine)
                 for strategy in strategies for engine in workbench.ENGINES]
        labels = [workbench.label_of(path) for path in paths + [workbench.MUTATOR]]
        return ["bazel", "build", "--config=ci", *self._options.caches, "--", "//:assay",
                "//:assay_asan", *labels]

    @staticmethod
    def _fitting(strategies, seconds):
        """What can be fuzzed in the time: fewer engines first, then a random choice of strategies,
        another one each time. Returns them with engines, and what was left out."""
        slots = int(seconds * len(os.sched_getaffinity(0)) / _LEAST)
        if slots >= len(strategies) * len(workbench.ENGINES):
            return strategies, list(workbench.ENGINES), ""
        if slots >= len(strategies):
            return strategies, ["libfuzzer"], " (no time for AFL++)"
        if slots < 1:
            return [], [], ""
        chosen = set(random.SystemRandom().sample(strategies, slots))
        return [s for s in strategies if s in chosen], ["libfuzzer"], (
            " (no time for AFL++, nor for %s)" % " ".join(s for s in strategies if s not in chosen))

    def _write(self, change, outcomes, seconds):
        campaign = os.path.join(self._folder, "fuzz")
        # Without a campaign the reports in its folder are those of another one.
        fuzzed = any(os.path.basename(o.log) == "fuzzing.log" for o in outcomes)
        report = sarif = None
        if fuzzed:
            report = pr_summary.read(os.path.join(campaign, "report.md"))
            sarif = pr_summary.read(os.path.join(campaign, "report.sarif"))
        text = pr_summary.render(change, outcomes, seconds, report)
        code = pr_steps.exit_code(outcomes)
        files.write_whole(os.path.join(self._folder, "summary.md"), text)
        files.write_json({
            "exit_code": code, "seconds": round(seconds, 1), "base": change.base,
            "changed": change.files, "fuzzed": change.strategies, "why": change.why,
            "steps": [{"name": o.name, "state": o.state, "says": o.says,
                       "seconds": round(o.seconds, 1), "failed": [name for name, _ in o.details]}
                      for o in outcomes],
        }, os.path.join(self._folder, "summary.json"))
        # Whoever uploads it needs one, also if nothing was fuzzed.
        files.write_whole(os.path.join(self._folder, "report.sarif"),
                          sarif or json.dumps(pr_summary.EMPTY_SARIF, indent=1) + "\n")
        self._status.clear()
        summary = os.environ.get("GITHUB_STEP_SUMMARY")
        if summary:
            with open(summary, "a", encoding="utf-8") as file:
                file.write(text)
        print(pr_summary.plain(outcomes, code, seconds))
        print("report: " + shown(os.path.join(self._folder, "summary.md")))


def main(arguments=None):
    options = parse_options(arguments)
    status = status_line.Status()
    try:
        return Judgement(options, status).run()
    except CannotRun as error:
        status.clear()
        print("ci/pr: %s" % error, file=sys.stderr)
    except OSError as error:
        status.clear()
        print("ci/pr: %s" % run_folder.explain(error, options.out), file=sys.stderr)
    except KeyboardInterrupt:
        print("ci/pr: interrupted before the first step", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
