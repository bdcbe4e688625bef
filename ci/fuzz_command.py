#!/usr/bin/env python3
"""Fuzzes every strategy for its share of the time, and reports.

Sets the machine up, builds what is needed, starts from corpus/ and from what earlier runs kept in
DIR, and stores each finding once as DIR/findings/<strategy>/<property>-<signature>-<sha1>,
minimised, with its text form (.txt), a C program (.c) and what is known about it (.json). The
report is printed, and written as DIR/report.md, report.json and report.xml (JUnit).
"""
import argparse
import os
import random
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from ci import fuzzing_run, shares, workbench  # noqa: E402
from ci import status as status_line  # noqa: E402
from ci.command_line import (Interrupt, Parser, amount, names, positive, seed,  # noqa: E402
                             steady_output)
from reports import text  # noqa: E402

EPILOG = """\
examples:
  ci/fuzz --minutes 2                              all strategies, both engines, all cores
  ci/fuzz --minutes 30 --strategy free_list --engine libfuzzer
  ci/fuzz --plant free_list+header_size_wraps      what a finding looks like

Ctrl-C or SIGTERM ends the fuzzing, not the report: what was found is stored and told.

exit codes: 0 clean, 1 finding, 2 could not run (also if only one engine executed nothing)
"""

# A month.
MOST_MINUTES = 60 * 24 * 31

# What a planted bug gets unless --minutes says otherwise.
PLANT_MINUTES = 1.0


def parse_options(arguments):
    parser = Parser(prog="ci/fuzz", description=__doc__, epilog=EPILOG, allow_abbrev=False,
                    formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=amount("minutes", MOST_MINUTES, "2 or 0.5"), metavar="N",
                        help="how long to fuzz, building aside; fractions will do "
                             "(required, unless --plant: %g)" % PLANT_MINUTES)
    parser.add_argument("--strategy", type=names, action="extend", default=[], metavar="X,Y",
                        help="only these, collections included; may be repeated (all that `assay list` "
                             "shows)")
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


class Run(fuzzing_run.FuzzingRun):
    """Equal shares for all jobs; what is stored is replayed first."""

    COMMAND = "fuzz"

    def choose(self):
        options = self.options
        if options.plant:
            self.plant = workbench.choose_plant(options.plant, self.bench.plants())
            self.strategies, self.engines = [self.plant], ["libfuzzer"]
        else:
            self.strategies = workbench.choose(
                options.strategy, self.bench.strategies(), "strategy")
            self.engines = workbench.choose(options.engine, workbench.ENGINES, "engine")

    def plan(self):
        options = self.options
        share, self._slots = shares.plan(list(self.jobs), options.jobs, self.seconds_asked())
        for job in self.jobs.values():
            job.share = share
        self._share = share

    def seconds_asked(self):
        return self.options.minutes * 60

    def options_to_resume(self):
        return {"minutes": self.options.minutes}

    def phases(self):
        options = self.options
        # A planted bug is to be found by the engine, not by what is known already.
        if not self.plant:
            self.phase("replay", self.replay)
        self.phase("fuzz", lambda: self.chief.run(
            shares.Fixed(self._slots, self.seconds_asked()), options.jobs, self.seconds_asked()))
        self.phase("settle", self.settle)

    def fuzz(self):
        self.status.say("%s x %s on %s for %g min: %.0f s of a core each" % (
            ", ".join(self.strategies), ", ".join(map(text.engine, self.engines)),
            text.count(self.options.jobs, "core"), self.options.minutes, self._share))
        outcome = super().fuzz()
        self.explanation = ""
        if self.plant and outcome.findings and not outcome.findings[0].flaky:
            first = outcome.findings[0]
            self.explanation = self.assay.explanation(self.plant, first.path, first.build)
        return outcome

    def epilogue(self, outcome):
        if self.explanation:
            print("\n" + text.printable(self.explanation).rstrip())
            print("\nReproduce it:  " + outcome.findings[0].commands["repro"])


def main(arguments=None):
    steady_output()
    options = parse_options(arguments)
    return Run(options, status_line.Status(), Interrupt(
        "ci/fuzz", "findings may be missing in the report")).carry_out()


if __name__ == "__main__":
    sys.exit(main())
