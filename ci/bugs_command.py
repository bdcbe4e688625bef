#!/usr/bin/env python3
"""Runs fuzzers against known bugs, and tells how soon each is killed.

The bugs are those of fuzz/bugs/, historical defects of allocators, or fuzz/plants/. Each is run with
each engine and mutator for each seed, until a property fails or the CPU time is used up; the clean
strategies are run in the same session as control, and must stay clean. The report goes to standard
output: kill rates, executions and CPU seconds to kill (medians with 95 % intervals), by which
property, false alarms; with --compare, Mann-Whitney's U and Vargha and Delaney's A12 as well. It is
also written as DIR/report.md, with DIR/runs.csv, DIR/results.json and a survival plot
(survival.svg, .png). DIR/inputs/ has the inputs of false alarms and unexpected kills. With --history
the runs on bugs become a campaign of that folder's history.db as well: what a campaign's report says
of its power.
"""
import argparse
import datetime
import json
import os
import shutil
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from ci import bug_catalogue, bug_runs, campaign, plotting, power  # noqa: E402
from ci import run_folder, workbench  # noqa: E402
from ci import status as status_line  # noqa: E402
from ci.command_line import Interrupt, Parser, names, numbers, positive, report_folder  # noqa: E402
from ci.workbench import CannotRun, shown  # noqa: E402
from reports import bugs_markdown, bugs_results, files, rebuild, survival, text  # noqa: E402

EPILOG = """\
examples:
  ci/bugs                                            libFuzzer on all historical bugs, seeds 1 to 10
  ci/bugs --list                                     the bugs, and what each is; 2 if one is unusable
  ci/bugs --bugs AB-017 --bugs 'tlsf+*' --seconds 20
  ci/bugs --compare operations,bytes --no-control    is the mutator worth it?
  ci/bugs --compare engines --jobs 2 --out out/engines
  ci/bugs --set plants --seeds 1 --no-control --history out/overnight

After an interruption the same command with the same --out DIR goes on where it was.

exit codes: 0 every run killed its bug, and the control is clean; 1 something survived, was killed by
a property that was not expected, or is a false alarm; 2 something could not be run (named at the end;
everything else was), or the session was interrupted
"""

ENGINES = ("libfuzzer", "afl", "replay")
MUTATORS = bug_catalogue.MUTATORS

# In the order of the words in --compare.
_COMPARED = {"engines": ["libfuzzer", "afl"], "mutators": list(MUTATORS)}

_NO_SCIPY = "scipy is not installed (ci/setup installs Debian's python3-scipy)"


def parse_options(arguments):
    parser = Parser(prog="ci/bugs", description=__doc__, epilog=EPILOG, allow_abbrev=False,
                    formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", choices=sorted(bug_catalogue.SETS), default="bugs",
                        help="bugs: fuzz/bugs/; plants: fuzz/plants/; or all (%(default)s)")
    parser.add_argument("--bugs", type=names, action="append", default=[], metavar="PATTERN",
                        help="only those with such an id, name or strategy; may be repeated")
    parser.add_argument("--engines", type=names, metavar="X,Y",
                        help="of %s; replay: the start corpus and no more (libfuzzer)"
                             % ", ".join(ENGINES))
    parser.add_argument("--mutators", type=names, metavar="X,Y",
                        help="of %s (operations)" % ", ".join(MUTATORS))
    parser.add_argument("--compare", type=names, metavar="A,B",
                        help="two engines or two mutators side by side; also `engines`, `mutators`")
    parser.add_argument("--seeds", type=numbers, default="1-10", metavar="N-M",
                        help="of the random numbers: a run for each (%(default)s)")
    parser.add_argument("--seconds", type=positive, default=60, metavar="S",
                        help="CPU time of each run, at most (%(default)s)")
    parser.add_argument("--control-seconds", type=positive, metavar="S",
                        help="CPU time of each run on a clean strategy (as --seconds)")
    parser.add_argument("--no-control", action="store_true", help="run no clean strategies")
    parser.add_argument("--corpus", choices=("seeds", "empty"), default="seeds",
                        help="what to start from: corpus/seeds/ (collections: corpus/collections/), or one "
                             "byte (%(default)s)")
    parser.add_argument("--jobs", type=positive, default=os.cpu_count() or 1, metavar="N",
                        help="runs at a time; each takes one core (%(default)s)")
    parser.add_outputs("bugs", "runs")
    parser.add_argument("--json", action="store_true",
                        help="print results.json instead of the report")
    parser.add_argument("--list", action="store_true", help="only list the bugs")
    # For tests: a folder like a checkout.
    parser.add_argument("--tree", metavar="DIR", default=workbench.ROOT, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    options.bugs = sum(options.bugs, [])
    _compare(parser, options)
    for wanted, known, noun in ((options.engines, ENGINES, "engine"),
                                (options.mutators, MUTATORS, "mutator")):
        for name in wanted:
            if name not in known:
                parser.error("unknown %s '%s'; there is: %s" % (noun, name, " ".join(known)))
    options.control_seconds = options.control_seconds or options.seconds
    options.out = options.out or report_folder(workbench.ROOT, "bugs")
    return options


def _compare(parser, options):
    """Engines and mutators, given those that are to be compared."""
    pair = options.compare or []
    if len(pair) == 1:
        pair = _COMPARED.get(pair[0], pair)
    if pair and len(set(pair)) != 2:
        parser.error("--compare: name two engines or two mutators")
    kinds = [known for known in (ENGINES, MUTATORS) if set(pair) <= set(known)]
    if not kinds:
        parser.error("--compare: '%s' are neither two engines (%s) nor two mutators (%s)" % (
            ",".join(pair), " ".join(ENGINES), " ".join(MUTATORS)))
    given = "engines" if kinds[0] is ENGINES else "mutators"
    if pair and getattr(options, given):
        parser.error("--compare chooses the %s: leave --%s away" % (given, given))
    if pair:
        setattr(options, given, pair)
    options.compare = pair
    options.engines = list(dict.fromkeys(options.engines or ["libfuzzer"]))
    options.mutators = list(dict.fromkeys(options.mutators or ["operations"]))


def fuzzers_of(options):
    """(engine, mutator) of all that is run."""
    found = []
    for engine in options.engines:
        found += [(engine, mutator) for mutator in ([""] if engine == "replay"
                                                    else options.mutators)]
    return list(dict.fromkeys(found))


def comparisons_of(options, fuzzers):
    """Pairs of fuzzers that differ in what --compare names alone."""
    if not options.compare:
        return []
    first, second = options.compare
    if first in MUTATORS:
        return [((e, first), (e, second)) for e in options.engines if (e, first) in fuzzers]
    pairs = []
    for mutator in options.mutators:
        pairs.append(tuple((e, "" if e == "replay" else mutator) for e in (first, second)))
    return pairs


def plan(bugs, options, fuzzers):
    """All runs. Seed by seed, so that what an interruption leaves is about all bugs."""
    planned = []
    strategies = list(dict.fromkeys(bug.strategy for bug in bugs))
    subjects = [(bug.name, False, options.seconds) for bug in bugs]
    if not options.no_control:
        subjects += [(name, True, options.control_seconds) for name in strategies]
    for seed in options.seeds:
        for subject, control, seconds in subjects:
            for engine, mutator in fuzzers:
                # Nothing in it is random.
                if engine != "replay" or seed == options.seeds[0]:
                    planned.append(bug_runs.Planned(subject, control, engine, mutator, seed, seconds))
    return planned


def show_list(bugs):
    for bug in bugs:
        print("%-8s %s\n         %s" % (bug.id if bug.id != bug.name else "-", bug.name, bug.bug))
        if bug.reported:
            print("         reported: %s" % bug.reported)
        print("         expected: %s" % " ".join(bug.expect))
        if bug.problem:
            print("         CANNOT RUN: %s" % bug.problem)


def store(folder, bugs, told):
    """Adds a campaign to the history of a RunFolder; returns how many runs are in it."""
    by_name = {bug.name: bug for bug in bugs}
    runs = [run for run in told["runs"] if not run["control"]]
    try:
        history = rebuild.open_folder(folder.path, lambda line: print(line, file=sys.stderr))
        mine = campaign.Campaign.begin(history, folder, "bugs", assay=told["version"], options={
            "set": told["set"], "seeds": told["seeds"], "seconds": told["seconds"]})
        with mine.writing():
            history.write("UPDATE campaigns SET started = ? WHERE id = ?", told["started"], mine.id)
            for run in runs:
                power.store(history, mine.id, by_name[run["subject"]], run, told["version"])
        mine.set_phase("power", "done", told["elapsed"])
        mine.end(told["stopped"], "")
        history.close()
    except OSError as error:
        raise CannotRun(run_folder.explain(error, folder.path)) from error
    return len(runs)


def program_of(planned):
    """The fuzz target, below bazel-bin."""
    return workbench.target_path(planned.subject.replace("+", "."),
                                 "afl" if planned.engine == "afl" else "libfuzzer")


class Session:
    """One run of the command, from options to report."""

    def __init__(self, options, status):
        self._options, self._status = options, status
        self._interrupt = Interrupt("ci/bugs", "the same command with --out goes on from there")
        self._bench = workbench.Workbench(options.prebuilt)
        self._folder = os.path.abspath(options.out)
        self._problems = []
        self._claim = self._history = None
        if options.history:
            # Now, so that nobody measures for hours and hears then that it is in use.
            self._history = run_folder.RunFolder(options.history, folders=("campaigns",))

    def run(self):
        """Returns what is told, and the exit code."""
        options = self._options
        self._bugs = bug_catalogue.choose(bug_catalogue.read(options.tree, options.set),
                                          options.bugs)
        self._problems += [bug.problem for bug in self._bugs if bug.problem]
        self._fuzzers = fuzzers_of(options)
        started = datetime.datetime.now(datetime.timezone.utc)
        clock = time.monotonic()
        self._claim = run_folder.RunFolder(self._folder, folders=("inputs",))
        self._interrupt.install()
        planned = self._prepare()
        journal = bug_runs.Journal(os.path.join(self._folder, "runs.jsonl"), self._settings())
        runner = bug_runs.Runner(journal, self._job, self._wants, self._claim.join("tmp"),
                                 options.jobs)
        self._status.say("%s on %s: %s" % (
            text.count(len(self._fuzzers), "fuzzer"), text.count(len(self._bugs), "bug"),
            text.count(len(planned), "run") + (", %d of them done before" % len(journal.runs)
                                               if journal.runs else "")))
        try:
            runner.run(planned, lambda done, running: self._progress(
                journal, done, len(planned), running), lambda: bool(self._interrupt.name))
        finally:
            journal.close()
            self._status.clear()
        self._problems += ["%s (%s)" % (problem, text.count(count, "run"))
                           for problem, count in runner.problems.items()]
        told = dict(self._settings(), schema=1, kind="bugs",
                    started=started.strftime("%Y-%m-%dT%H:%M:%SZ"),
                    elapsed=round(time.monotonic() - clock, 1), stopped=self._interrupt.name,
                    planned=len(planned), jobs=options.jobs, problems=self._problems,
                    no_statistics="" if survival.statistics() else _NO_SCIPY,
                    bugs=[vars(bug) for bug in self._bugs], runs=self._wanted(journal, planned))
        bugs_results.summarise(told, comparisons_of(options, self._fuzzers))
        return told, self._code(told)

    def _settings(self):
        """What runs must have in common to be told together."""
        options = self._options
        seeds = options.seeds
        whole = seeds == list(range(seeds[0], seeds[-1] + 1)) and len(seeds) > 1
        return {"version": workbench.source_version(), "set": options.set, "corpus": options.corpus,
                "seconds": options.seconds, "control_seconds": options.control_seconds,
                "seeds": "%d-%d" % (seeds[0], seeds[-1]) if whole else ",".join(map(str, seeds))}

    @staticmethod
    def _wanted(journal, planned):
        """Of the runs that the journal has, those that are planned."""
        keys = {p.key for p in planned}
        return [run for run in journal.runs
                if (run["subject"], run["engine"], run["mutator"], run["seed"]) in keys]

    def _prepare(self):
        """Builds what can be built; returns the runs that are possible."""
        options = self._options
        if not options.prebuilt:
            try:
                workbench.set_up()
            except CannotRun as error:
                self._status.say(str(error))    # what needs it will say so
        if any(engine == "afl" for engine, _ in self._fuzzers) and not shutil.which("afl-fuzz"):
            self._problems.append("AFL++: afl-fuzz is not installed: run ci/setup")
            self._fuzzers = [fuzzer for fuzzer in self._fuzzers if fuzzer[0] != "afl"]
        planned = plan([bug for bug in self._bugs if not bug.problem], options, self._fuzzers)
        if not planned:
            raise CannotRun("nothing can be run: " + "; ".join(self._problems))
        programs = {workbench.label_of(program_of(p)): program_of(p) for p in planned}
        if any(p.engine == "afl" for p in planned):
            programs[workbench.label_of(workbench.MUTATOR)] = workbench.MUTATOR
        self._status.say("building %s" % text.count(len(programs), "program"))
        failed, said = self._bench.build_what_can(programs)
        if said:
            sys.stderr.write(said)
        lost = {programs[label] for label in failed}
        self._problems += ["%s: the build did not make it" % label for label in failed]
        if workbench.MUTATOR in lost:
            planned = [p for p in planned if p.engine != "afl" or p.mutator != "operations"]
        planned = [p for p in planned if program_of(p) not in lost]
        if not planned:
            raise CannotRun("nothing could be built (see above)")
        wanted = [path for path in programs.values() if path not in lost]
        try:
            self._programs = self._bench.copy(wanted, self._claim.join("tmp", "programs"))
        except OSError as error:
            raise CannotRun(run_folder.explain(error, self._folder)) from error
        return planned

    def _seeds(self, subject):
        if self._options.corpus != "seeds":
            return []
        return workbench.inputs_of(workbench.seed_folder(subject, self._options.tree))

    def _input(self, engine, mutator, subject, seed):
        return self._claim.join("inputs", "-".join(
            word for word in (subject, engine, mutator, str(seed)) if word))

    def _job(self, planned):
        return {"engine": planned.engine, "program": self._programs[program_of(planned)],
                "seed": planned.seed, "seeds": self._seeds(planned.subject), "cpu_seconds": planned.seconds,
                "mutator": planned.mutator or "operations",
                "afl_mutator": self._programs.get(workbench.MUTATOR, ""),
                "keep": self._input(planned.engine, planned.mutator, planned.subject, planned.seed)}

    def _wants(self, run):
        bugs = {bug.name: vars(bug) for bug in self._bugs}
        return run["control"] or not bugs_results.expected(run, bugs[run["subject"]])

    def _progress(self, journal, done, planned, running):
        if not self._status.due():
            return
        kills = sum(run["end"] == "killed" and not run["control"] for run in journal.runs)
        alarms = sum(run["end"] in ("killed", "unnamed") and run["control"] for run in journal.runs)
        line = "%d of %d runs | %d killed | %s" % (done, planned, kills,
                                                   text.count(alarms, "false alarm"))
        for p in running:
            line += " | %s, %s, seed %d" % (p.subject, bugs_results.fuzzer_name(p.engine, p.mutator),
                                            p.seed)
        self._status.progress(line)

    def _code(self, told):
        if self._problems or told["stopped"] or len(told["runs"]) < told["planned"]:
            return 2
        return 0 if bugs_results.all_killed(told) else 1

    def write(self, told):
        """Writes the files; returns the names of the plots."""
        path = os.path.join(self._folder, "results.json")
        try:
            files.write_json(told, path)
            files.write_whole(os.path.join(self._folder, "runs.csv"), bugs_results.to_csv(told))
            plots, problem = plotting.draw("bugs_plot.py", path, self._folder)
            if problem:
                self._status.say(problem)
            svg = [name for name in plots if name.endswith(".svg")]
            files.write_whole(os.path.join(self._folder, "report.md"),
                              bugs_markdown.render(told, svg))
        except OSError as error:
            raise CannotRun(run_folder.explain(error, self._folder)) from error
        return plots

    def store(self, told):
        if not self._history:
            return
        count = store(self._history, self._bugs, told)
        self._status.say("history: %s in %s" % (
            text.count(count, "run"), shown(os.path.join(self._options.history, "history.db"))))

    def close(self):
        for folder in (self._claim, self._history):
            if folder:
                folder.release()


def main(arguments=None):
    options = parse_options(arguments)
    status = status_line.Status(sys.stderr)
    session = None
    try:
        if options.list:
            bugs = bug_catalogue.choose(bug_catalogue.read(options.tree, options.set), options.bugs)
            show_list(bugs)
            return 2 if any(bug.problem for bug in bugs) else 0
        session = Session(options, status)
        told, code = session.run()
        plots = session.write(told)
        print(json.dumps(told, indent=1) if options.json else bugs_markdown.render(told))
        status.say("report: %s runs.csv results.json %s" % (
            shown(os.path.join(os.path.abspath(options.out), "report.md")), " ".join(plots)))
        session.store(told)
        for problem in told["problems"]:
            print("ci/bugs: %s" % text.one_line(problem, 400), file=sys.stderr)
        return code
    except CannotRun as error:
        status.clear()
        print("ci/bugs: %s" % error, file=sys.stderr)
    except KeyboardInterrupt:
        print("ci/bugs: interrupted before the first run", file=sys.stderr)
    finally:
        if session:
            session.close()
    return 2


if __name__ == "__main__":
    sys.exit(main())
