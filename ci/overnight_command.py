#!/usr/bin/env python3
"""Fuzzes for hours, and reports in the morning.

Shares the cores among strategies, engines and sanitizers, with more time where something new comes.
Findings are confirmed, minimised and compared with those that are known while the fuzzing goes on.
Then, as far as there is time: corpora are minimised, lines that they cover are counted, planted bugs
are hunted, and speed is measured. Everything is kept in DIR; DIR/history.db says all that the
reports say. A campaign that was killed goes on with --resume.
"""
import argparse
import os
import random
import sys
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from ci import campaign as campaigns  # noqa: E402
from ci import bench_command, corpora, corpus_cover, fuzzing_run, known_findings  # noqa: E402
from ci import line_coverage, phases, power, quotas, scheduler, workbench  # noqa: E402
from ci import status as status_line  # noqa: E402
from ci.command_line import (Interrupt, Parser, amount, names, positive, seed,  # noqa: E402
                             steady_output)
from ci.workbench import CannotRun, shown  # noqa: E402
from reports import files, html_page, text  # noqa: E402

EPILOG = """\
examples:
  ci/overnight --hours 8                              all strategies, all engines, all cores
  ci/overnight --hours 0.5 --strategies buddy,tlsf --engines libfuzzer
  ci/overnight --resume                               after a reboot, with the same options

Ctrl-C or SIGTERM ends the fuzzing, not the report; the campaign can be resumed. A second one ends at
once, and what was stored is kept. In place of ci/overnight: bazel run //ci:overnight --

exit codes: 0 clean, 1 new or flaky finding, 2 could not run, 3 only known findings
"""

# A month.
MOST_HOURS = 24 * 31


def size(value):
    try:
        return quotas.size(value)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def parse_options(arguments):
    parser = Parser(prog="ci/overnight", description=__doc__, epilog=EPILOG, allow_abbrev=False,
                    formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=amount("hours", MOST_HOURS, "8 or 0.5"), metavar="H",
                        help="how long in all, building aside; fractions will do (required, "
                             "unless --resume)")
    parser.add_argument("--strategies", type=names, metavar="A,B",
                        help="only these (all that `assay list` shows)")
    parser.add_argument("--engines", type=names, metavar="A,B",
                        help="only these (%s)" % ",".join(workbench.ENGINES))
    parser.add_argument("--sanitizers", type=names, metavar="A,B",
                        help="only these: %s (address on libFuzzer, none on AFL++)" %
                             ",".join(workbench.SANITIZERS))
    parser.add_argument("--out", metavar="DIR",
                        help="folder of the campaigns (out/overnight in the checkout)")
    parser.add_argument("--resume", action="store_true",
                        help="go on with DIR's last campaign, which was killed or stopped")
    parser.add_argument("--jobs", type=positive, metavar="N",
                        help="engines at the same time (one per core)")
    limits = quotas.Limits
    parser.add_argument("--disk", type=size, metavar="SIZE",
                        help="that DIR may hold (%s)" % text.size(limits.disk))
    parser.add_argument("--free", type=size, metavar="SIZE",
                        help="that must stay free on its disk (%s)" % text.size(limits.free))
    parser.add_argument("--memory", type=size, metavar="SIZE",
                        help="of all engines (three quarters of what is available at the start)")
    parser.add_argument("--process-memory", type=size, metavar="SIZE",
                        help="of one process (%s)" % text.size(limits.process))
    parser.add_argument("--known", metavar="FILE",
                        help="findings that are accepted, each with a reason and an expiry date "
                             "(ci/known_findings.toml)")
    parser.add_argument("--without", type=names, metavar="A,B", default=None,
                        help="leave out phases: " + ", ".join(phases.OPTIONAL))
    parser.add_argument("--seed", type=seed, metavar="N",
                        help="of all random numbers (another one each time)")
    # For tests: a folder like bazel-bin with everything built. Nothing is set up or built then.
    parser.add_argument("--prebuilt", metavar="DIR", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    options.plant = ""
    check_options(parser, options)
    if not options.out:
        options.out = os.path.join(workbench.ROOT, "out", "overnight")
    return options


# The part of the fuzzing's time that replaying what is stored may take.
_REPLAY = 0.25

# Seconds in which the detective ends what it is at, when a campaign is stopped; and seconds that it
# may take beyond the campaign's time to judge what was found last.
_AT_ONCE, _OVERTIME = 10.0, 60.0

# What a resumed campaign goes on with.
KEPT = ("hours", "strategies", "engines", "sanitizers", "jobs", "known", "without", "seed", "disk",
        "free", "memory", "process_memory")


def check_options(parser, options):
    if options.resume:
        for name in KEPT:
            if getattr(options, name) is not None:
                parser.error("--resume goes on with the campaign's own options: leave --%s out" %
                             name.replace("_", "-"))
        return
    if options.hours is None:
        parser.error("say how long: --hours H, or --resume")
    for name in options.without or ():
        if name not in phases.OPTIONAL:
            parser.error("--without: unknown phase '%s'; there is: %s" % (
                name, " ".join(phases.OPTIONAL)))
    if options.known:
        options.known = os.path.abspath(options.known)
    if not options.jobs:
        options.jobs = len(os.sched_getaffinity(0))
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(1 << 31)


class Run(fuzzing_run.FuzzingRun):
    """One process's run of a campaign."""

    COMMAND = "overnight"

    def __init__(self, options, status, interrupt):
        super().__init__(options, status, interrupt)
        self._resumed = None     # the campaign's row

    def before_building(self):
        if self.options.resume:
            self._take_up()
        # A slip of the pen is told before minutes are spent on building.
        options = self.options
        self.known = known_findings.load(*filter(None, (options.known,)))
        self.engines = workbench.choose(options.engines or [], workbench.ENGINES, "engine")
        workbench.choose(options.sanitizers or [], workbench.SANITIZERS, "sanitizer")

    def _take_up(self):
        row = campaigns.last(self.history)
        if row is None:
            raise CannotRun("%s has no campaign to resume: start one with --hours" %
                            shown(self.folder.path))
        if row["command"] != self.COMMAND:
            raise CannotRun("the last campaign in %s is one of ci/%s, which is not resumed: start "
                            "one with --hours" % (shown(self.folder.path), row["command"]))
        if row["state"] == "ended":
            raise CannotRun("the last campaign in %s came to its end: start another with --hours, or "
                            "see what it found with ci/report %s" % ((shown(self.folder.path),) * 2))
        self._resumed = row
        stored = campaigns.options_of(row)
        for name in KEPT:
            setattr(self.options, name, stored.get(name))

    def choose(self):
        self.strategies = workbench.choose(
            self.options.strategies or [], self.bench.strategies(), "strategy")

    def keys(self):
        wanted = self.options.sanitizers or []
        keys = workbench.jobs(self.strategies, self.engines, wanted,
                              self.bench.threaded() if "thread" in wanted else ())
        if not keys:
            raise CannotRun("no target of %s on %s has a sanitizer of %s" % (
                " ".join(self.strategies), " ".join(self.engines), " ".join(wanted)))
        return keys

    def seconds_asked(self):
        return self.options.hours * 3600

    def plan(self):
        self._plan = phases.Plan(self.seconds_asked(), self.options.without or ())
        try:
            # Before anything is built: is there time for so many jobs?
            scheduler.Scheduler(list(self.jobs), self.options.jobs, self.options.seed,
                                self._plan.until("fuzz"))
        except scheduler.TooShort as error:
            if not self._resumed:
                least = error.seconds / self._plan.until("fuzz") * self.options.hours
                raise CannotRun("%s: give at least --hours %.3f, or choose fewer with "
                                "--strategies or --engines" % (error, least + 0.001)) from error

    def options_to_resume(self):
        return {name: getattr(self.options, name) for name in KEPT}

    def begin(self):
        if self._resumed is None:
            super().begin()
            return
        self.campaign = campaigns.Campaign.resume(self.history, self.folder, self._resumed)
        self.campaign.reopen_phases(phases.NAMES)
        if self._resumed["assay"] != self.version():
            self.status.say("the sources are others than when it began (%s, now %s): its numbers are "
                            "of both" % (self._resumed["assay"], self.version()))
        self.status.say("the campaign goes on, %s before its end" % text.duration(
            max(0.0, self._plan.seconds - self.campaign.clock())))

    def limits(self):
        options = self.options
        return quotas.Limits(**{field: value for field, value in (
            ("disk", options.disk), ("free", options.free), ("memory", options.memory),
            ("process", options.process_memory)) if value})

    def fuzz(self):
        plan = self._plan
        self.status.say("%s on %s for %s, of which %s for fuzzing" % (
            text.count(len(self.jobs), "job"), text.count(self.options.jobs, "core"),
            text.duration(plan.seconds), text.duration(plan.until("fuzz"))))
        self.status.say(str(self.limits()))
        return super().fuzz()

    # The phases.

    def phases(self):
        self.phase("replay", self.replay)
        self.phase("fuzz", self._fuzz_on)
        self.phase("settle", lambda: self.settle(self._plan.until("settle")))
        for name, work in self._later().items():
            self._optional(name, work)

    def _later(self):
        return {"minimise": self._minimise, "coverage": self._coverage, "power": self._power,
                "benchmarks": self._benchmarks}

    def programs_of_phases(self):
        programs = {}
        if "coverage" in self._plan.reserved:
            paths = map(line_coverage.target_path, self.strategies)
            programs.update((workbench.label_of(path), path) for path in paths)
        if "power" in self._plan.reserved:
            programs[workbench.label_of(power.PROGRAM)] = power.PROGRAM
        if "benchmarks" in self._plan.reserved:
            programs.update((label, label) for label in bench_command.TARGETS)
        return programs

    def replay(self):
        end = _REPLAY * self._plan.until("fuzz")

        def stop():
            return self.stopped() or self.campaign.clock() > end
        corpora.replay(self.campaign, self.corpora, self.sleuth, self.assay, stop)
        self.sleuth.replay_stored(self.strategies, stop)
        return "" if self.campaign.clock() <= end else "not all: there was no more time for it"

    def _fuzz_on(self):
        left = self._plan.until("fuzz") - self.campaign.clock()
        if left < scheduler.SHORTEST:
            if not self.history.one("SELECT 1 FROM sessions JOIN jobs ON jobs.id = job WHERE "
                                    "campaign = ? AND engine != 'corpus'", self.campaign.id):
                self.chief.did_not_fuzz("no time was left to fuzz: give more --hours")
            return
        now = time.monotonic()
        try:
            chooser = scheduler.Scheduler(
                list(self.jobs), self.options.jobs, self.options.seed, end=now + left, begin=now)
        except scheduler.TooShort:
            return               # resumed so late that nobody gets a turn
        gains = scheduler.Gains()
        scheduler.recall(chooser, gains, self.history.query(scheduler.EVENTS, self.campaign.id))
        self.chief.run(chooser, self.options.jobs, left, gains)

    def _minimise(self, seconds):
        """Corpora of strategies that have a libFuzzer target."""
        work = corpus_cover.work_of(self.programs, self.folder.join("corpus"))
        left = set(self.strategies) - {strategy for strategy, _, _ in work}
        notes = ["%s: no libFuzzer target, which it takes" % strategy for strategy in sorted(left)]
        for outcome in corpus_cover.minimise_all(
                work, self.folder.join("cover"), seconds, self.environments, self.stopped,
                self.status.progress, lambda *found: self.sleuth.report(
                    corpus_cover.suspect(self.campaign, *found))):
            notes.append(str(outcome))
        return "; ".join(notes)

    def _coverage(self, seconds):
        return line_coverage.measure(
            self.bench, self.history, self.campaign.id,
            {strategy: self.folder.join("corpus", strategy) for strategy in self.strategies},
            seconds, self.stopped, self.status.progress, self.folder.join("tmp"))

    def _power(self, seconds):
        return power.measure(
            self.bench, self.history, self.campaign.id, self.strategies, seconds, self.stopped,
            self.status.progress, self.folder.join("tmp"), at_once=self.options.jobs)

    def _benchmarks(self, seconds):
        return bench_command.measure_into_history(
            self.bench, self.history, self.campaign.id, self.strategies, seconds, self.stopped,
            self.status.progress, self.folder.join("tmp"))

    def patience(self):
        return _AT_ONCE if self.stopped() else max(
            _OVERTIME, self._plan.seconds - self.campaign.clock())

    def write_reports(self, outcome):
        paths = super().write_reports(outcome)
        page = os.path.join(self.campaign.path, "report.html")
        problem = html_page.write(outcome, page)
        if problem:
            self.status.say("report.html: " + problem)
            return paths
        with open(page, "rb") as f:
            files.write_whole(self.folder.join("report.html"), f.read())
        return [self.folder.join("report.html"), *paths]

    def _optional(self, name, work):
        """A phase that a campaign can do without, and whose failure leaves the others alone."""
        if self.campaign.phase(name) in ("done", "skipped"):
            return
        why = self._plan.skipped.get(name)
        why = why or self.broken()
        seconds = self._plan.until(name) - self.campaign.clock()
        if not why and seconds < 1:
            why = "the time was over"
        if why:
            self.campaign.set_phase(name, "skipped", note=why)
            self.status.say("%s: skipped: %s" % (name, why))
            return
        try:
            self.phase(name, lambda: work(max(1.0, seconds)))
        except OSError:
            raise
        except Exception as error:  # pylint: disable=broad-except
            # The report in the morning must not hang on it.
            if not isinstance(error, CannotRun):
                traceback.print_exc()
            self.campaign.set_phase(name, "failed", note=text.one_line(str(error) or repr(error), 300))
            self.status.say("%s: failed: %s" % (name, error))

    def prologue(self):
        for complaint in self.known.complaints(self.strategies):
            print(complaint)


def main(arguments=None):
    steady_output()
    options = parse_options(arguments)
    return Run(options, status_line.Status(), Interrupt(
        "ci/overnight", "what is stored is kept, and --resume goes on with it")).carry_out()


if __name__ == "__main__":
    sys.exit(main())
