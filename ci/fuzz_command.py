#!/usr/bin/env python3
"""Fuzzes every strategy for its share of the time, and reports.

Sets the machine up, builds what is needed, starts from corpus/ and from what earlier runs kept in
DIR, and stores each finding once as DIR/findings/<strategy>/<property>-<signature>-<sha1>,
minimised, with its text form (.txt), a C program (.c) and what is known about it (.json). The
report is printed, and written as DIR/report.md, report.json and report.xml (JUnit).
"""
import argparse
import datetime
import math
import os
import random
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from ci import detective, finding_store, judge, run_folder, shares  # noqa: E402
from ci import status as status_line  # noqa: E402
from ci import supervisor, workbench  # noqa: E402
from ci.command_line import Interrupt, Parser, positive  # noqa: E402
from ci.workbench import CannotRun, shown  # noqa: E402
from reports import files, results, terminal, text  # noqa: E402

EPILOG = """\
examples:
  ci/fuzz --minutes 2                              all strategies, both engines, all cores
  ci/fuzz --minutes 30 --strategy free_list --engine libfuzzer
  ci/fuzz --plant free_list+header_size_wraps      what a finding looks like

Ctrl-C or SIGTERM ends the fuzzing, not the report: what was found is stored and told.

exit codes: 0 clean, 1 finding, 2 could not run (also if only one engine executed nothing)
"""

# A month. Whoever wants more has mistyped.
MOST_MINUTES = 60 * 24 * 31

# What a planted bug gets unless --minutes says otherwise.
PLANT_MINUTES = 1.0


def minutes(value):
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not 0 < number <= MOST_MINUTES:
        raise argparse.ArgumentTypeError(
            "'%s' is no number of minutes; give one above 0, such as 2 or 0.5" % value)
    return number


def seed(value):
    try:
        number = int(value)
    except ValueError:
        number = -1
    if not 0 <= number <= 0x7fffffff:
        raise argparse.ArgumentTypeError("'%s' is no number from 0 to 2147483647" % value)
    return number


def parse_options(arguments):
    parser = Parser(prog="ci/fuzz", description=__doc__, epilog=EPILOG, allow_abbrev=False,
                    formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=minutes, metavar="N",
                        help="how long to fuzz, building aside; fractions will do "
                             "(required, unless --plant: %g)" % PLANT_MINUTES)
    parser.add_argument("--strategy", action="append", default=[], metavar="X",
                        help="only this one; may be repeated (all that `assay list` shows)")
    parser.add_argument("--engine", action="append", default=[], choices=workbench.ENGINES,
                        help="only this one; may be repeated (both)")
    parser.add_argument("--plant", metavar="BUG",
                        help="fuzz a planted bug until it is found, and explain the finding; an "
                             "unknown name lists them")
    parser.add_argument("--out", metavar="DIR",
                        help="folder for corpus, findings and report (out/fuzz in the checkout; "
                             "with --plant out/plant)")
    parser.add_argument("--jobs", type=positive, metavar="N",
                        help="engines at the same time (one per core)")
    parser.add_argument("--seed", type=seed, metavar="N",
                        help="of the engines' random numbers (another one each time)")
    # For tests: a folder like bazel-bin with everything built. Nothing is set up or built then.
    parser.add_argument("--prebuilt", metavar="DIR", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.plant and options.strategy:
        parser.error("--plant names its strategy: leave --strategy out")
    if options.plant and "afl" in options.engine:
        parser.error("planted bugs are built for libFuzzer only: leave --engine out")
    if options.minutes is None:
        if not options.plant:
            parser.error("say how long: --minutes N")
        options.minutes = PLANT_MINUTES
    if not options.out:
        options.out = os.path.join(workbench.ROOT, "out", "plant" if options.plant else "fuzz")
    if not options.jobs:
        options.jobs = len(os.sched_getaffinity(0))
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(1 << 31)
    return options


class Run:
    """One run, from options to results."""

    def __init__(self, options, status):
        self._options = options
        self._status = status
        self._interrupt = Interrupt("ci/fuzz", "findings may be missing in the report")
        self._bench = workbench.Workbench(options.prebuilt)
        self._found = []

    def prepare(self):
        """Builds, and knows then what there is to fuzz."""
        options = self._options
        if not options.prebuilt:
            try:
                workbench.set_up()
            except CannotRun as error:
                self._status.say(str(error))    # what needs it will say so
            self._status.say("building (from nothing this takes a minute or two)")
        self._bench.build(["//:assay", "//:assay_asan"])
        if options.plant:
            self.plant = workbench.choose_plant(options.plant, self._bench.plants())
            self.strategies, self.engines = [self.plant], ["libfuzzer"]
        else:
            self.plant = ""
            self.strategies = workbench.choose(
                options.strategy, self._bench.strategies(), "strategy")
            self.engines = workbench.choose(options.engine, workbench.ENGINES, "engine")
        self._jobs = [results.Job(strategy, engine)
                      for strategy in self.strategies for engine in self.engines]
        share, self._slots = shares.plan(
            [(job.strategy, job.engine) for job in self._jobs], options.jobs,
            options.minutes * 60)
        for job in self._jobs:
            job.share = share
        self._build_targets()
        self._status.say("%s x %s on %s for %g min: %.0f s of a core each" % (
            ", ".join(self.strategies), ", ".join(map(text.engine, self.engines)),
            text.count(options.jobs, "core"), options.minutes, share))

    def _build_targets(self):
        """Without a compiler for one engine, the others go on."""
        wanted = workbench.targets(self.strategies, self.engines, bool(self.plant))
        failed, said = self._bench.build_what_can(wanted)
        if said:
            sys.stderr.write(said)
        lost = {wanted[label] for label in failed}
        self._paths = {}
        for job in self._jobs:
            path = workbench.target_path(job.strategy, job.engine, bool(self.plant))
            if path not in lost and (job.engine != "afl" or workbench.MUTATOR not in lost):
                self._paths[job.strategy, job.engine] = path
        if not self._paths:
            raise CannotRun("%s: the build did not make %s" % (
                ", ".join(failed), "it" if len(failed) == 1 else "them"))

    def fuzz(self):
        """Returns the results."""
        folder = run_folder.RunFolder(self._options.out)
        self._interrupt.install()
        try:
            return self._fuzz_in(folder)
        except OSError as error:
            raise CannotRun(run_folder.explain(error, folder.path)) from error
        finally:
            folder.release()

    def _stopped(self):
        return bool(self._interrupt.name) or bool(self.plant and self._found)

    def _on_finding(self, finding):
        self._found.append(finding)
        self._status.say("%s: %s: %s%s\n    %s" % (
            "known finding" if finding.known else "finding", finding.strategy, finding.property,
            ", flaky" if finding.flaky else "", shown(finding.path)))

    def _fuzz_in(self, folder):
        options = self._options
        wanted = set(self._paths.values()) | {"assay.elf", "assay_asan.elf"}
        if any(engine == "afl" for _, engine in self._paths):
            wanted.add(workbench.MUTATOR)
        copies = self._bench.copy(sorted(wanted), folder.join("tmp", "programs"))
        assay = judge.Judge({judge.PLAIN: copies["assay.elf"],
                             judge.ASAN: copies["assay_asan.elf"]})
        # Whatever the user's own environment says: verdicts are made in this tier.
        environments = {strategy: {"ASSAY_STRATEGY": strategy, "ASSAY_TIER": judge.TIER}
                        for strategy in self.strategies}
        os.makedirs(folder.join("tmp", "suspects"))
        started = datetime.datetime.now(datetime.timezone.utc)
        clock = time.monotonic()
        sleuth = detective.Detective(
            assay, finding_store.FindingStore(folder.join("findings")),
            folder.join("tmp", "suspects"), environments, self._on_finding)
        chief = supervisor.Supervisor(
            folder, self._jobs, {key: copies[path] for key, path in self._paths.items()}, sleuth,
            self._status, seed=options.seed, environments=environments,
            mutator=copies.get(workbench.MUTATOR, ""), stop=self._stopped,
            seeds=[os.path.join(workbench.ROOT, "corpus", name)
                   for name in ("seeds", "regression")])
        # A planted bug is to be found by the engine, not by what is known already.
        replayed = [] if self.plant else chief.replay(assay)
        error = None
        try:
            chief.run(self._slots, options.minutes * 60)
        except OSError as failure:
            error = failure
        self._status.clear()
        if sleuth.waiting:
            self._status.say("minimising what was found last")
        sleuth.finish()
        outcome = results.Results(
            started=started.strftime("%Y-%m-%dT%H:%M:%SZ"), seconds=time.monotonic() - clock,
            minutes=options.minutes, cores=options.jobs, seed=options.seed,
            version=workbench.source_version(), plant=self.plant, stopped=self._interrupt.name,
            folder=shown(folder.path), jobs=replayed + self._jobs, findings=sleuth.findings)
        error = error or sleuth.error
        if error:
            outcome.error = run_folder.explain(error, folder.path)
        elif sleuth.problems:
            outcome.error = "a finding could not be judged: %s" % sleuth.problems[0]
        self._attribute(outcome)
        self._explanation = ""
        if self.plant and outcome.findings and not outcome.findings[0].flaky:
            first = outcome.findings[0]
            self._explanation = assay.explanation(self.plant, first.path, first.build)
        self._report = []
        try:
            self._report = [shown(path) for path in files.write_all(outcome, folder.path)]
        except OSError as failure:
            # The terminal still gets it.
            outcome.error = outcome.error or run_folder.explain(failure, folder.path)
        return outcome

    @staticmethod
    def _attribute(outcome):
        """Enters each finding with every job that hit it."""
        for finding in outcome.findings:
            finding.path = shown(finding.path)
            finding.commands = finding_store.commands(finding.path)
            for job in outcome.jobs:
                if job.strategy == finding.strategy and finding.inputs.get(job.engine):
                    job.findings.append(finding.name)

    def tell(self, outcome):
        """Prints the report."""
        print(terminal.render(outcome))
        if self._explanation:
            print("\n" + text.printable(self._explanation).rstrip())
            print("\nReproduce it:  " + outcome.findings[0].commands["repro"])
        if self._report:
            print("report: " + " ".join(self._report))


def main(arguments=None):
    options = parse_options(arguments)
    status = status_line.Status()
    try:
        run = Run(options, status)
        run.prepare()
        outcome = run.fuzz()
        run.tell(outcome)
        return outcome.exit_code
    except (CannotRun, shares.TooShort) as error:
        status.clear()
        print("ci/fuzz: %s" % error, file=sys.stderr)
    except KeyboardInterrupt:
        print("ci/fuzz: interrupted before the fuzzing began", file=sys.stderr)
    return results.EXIT_CODES[results.COULD_NOT_RUN]


if __name__ == "__main__":
    sys.exit(main())
