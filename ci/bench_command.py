#!/usr/bin/env python3
"""Measures every strategy beside the allocators that people use, and reports.

Sets the machine up, builds what is needed, records two small traces of real programs, and runs every
workload on every strategy, on glibc, jemalloc, mimalloc and tcmalloc (each in a fresh process,
interleaved round by round, CPU time). The report goes to standard output: each bound that the
project holds itself to, with its ratio, spread and verdict; speed and fragmentation of all; the worst
single operations, and the tails of all; the machine. It is also written as DIR/report.md and as a page,
DIR/report.html, with DIR/results.json (all figures of all rounds), DIR/figures.csv and
DIR/curves.csv (footprint over time) and plots (SVG). With --history the figures become a campaign of that
folder's history.db as well, for reports to tell trends.
"""
import argparse
import datetime
import os
import shutil
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from bench import bounds, machine, rounds, subjects, trace_recorder, workloads  # noqa: E402
from bench.results import Results  # noqa: E402
from ci import campaign, plotting, run_folder, workbench  # noqa: E402
from ci import status as status_line  # noqa: E402
from ci.command_line import Interrupt, Parser, names, positive, report_folder  # noqa: E402
from ci.workbench import CannotRun, shown  # noqa: E402
from reports import bench_csv, bench_markdown, benchmark_rows, files, rebuild, record, text  # noqa: E402

EPILOG = """\
examples:
  ci/bench                                         all there is, some minutes
  ci/bench --strategies tlsf,buddy --workloads churn,pow2
  ci/bench --trace out/my.trace --rounds 9         also .rep, memory_replay, heaptrack, mtrace
  ci/bench --history out/overnight                 to be compared with former campaigns

Ctrl-C or SIGTERM ends the measuring, not the report: what was measured is told.

exit codes: 0 measured, whether the bounds hold or not (1 with --strict if one does not), 2 could
not run
"""

# CPU milliseconds of a workload that could go on for ever; CPU seconds of any run; free blocks among
# which single operations are measured; rounds in which each operation of a workload is.
_FULL = (100, 30, (100, 1000, 10000, 100000, 1000000), rounds.MEMORY_ROUNDS)
_QUICK = (5, 5, (100, 1000, 10000), 1)

# Of a campaign, which must end in time: from so many seconds on it measures like ci/bench, else like
# --quick, round after round, and neither recorded traces nor single operations.
_ENOUGH = 600
_BRIEF = (5, 5, (), 0)
_MOST_ROUNDS = 5

MEASURE, ASSAY, PRELOAD = "bench/measure.elf", "assay.elf", "harness/record_preload.so"

TARGETS = ("//:assay", "//bench:measure", "//" + PRELOAD.replace("/", ":"))


def parse_options(arguments):
    parser = Parser(prog="ci/bench", description=__doc__, epilog=EPILOG, allow_abbrev=False,
                    formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=positive, metavar="N",
                        help="how often everything is measured (5; with --quick 1)")
    parser.add_argument("--strategies", type=names, action="append", default=[], metavar="X,Y",
                        help="only these; may be repeated; X:VARIANT is one of its variants (all "
                             "that `assay list` shows)")
    parser.add_argument("--workloads", type=names, action="append", default=[], metavar="X,Y",
                        help="only these of %s, compile, python, beside the traces given; may be "
                             "repeated (all)" % ", ".join(w.name for w in workloads.BUILT_IN))
    parser.add_argument("--trace", action="append", default=[], metavar="FILE",
                        help="a workload more: any file that `assay replay` reads; may be repeated")
    parser.add_argument("--quick", action="store_true",
                        help="a look, no measurement: short runs, one round")
    parser.add_argument("--strict", action="store_true",
                        help="exit with 1 if a bound does not hold or could not be measured")
    parser.add_outputs("bench", "figures")
    options = parser.parse_args(arguments)
    options.strategies = sum(options.strategies, [])
    options.workloads = sum(options.workloads, [])
    options.rounds = options.rounds or (1 if options.quick else 5)
    options.out = options.out or report_folder(workbench.ROOT, "bench")
    return options


def trace_name(path, taken):
    """A trace's short name, which no other workload has."""
    stem = os.path.splitext(os.path.basename(path))[0] or "trace"
    name, n = stem, 2
    while name in taken:
        name, n = "%s-%d" % (stem, n), n + 1
    return name


class Deadline:
    """In the place of Interrupt, where someone else decides how long it may take."""

    def __init__(self, seconds, stop):
        self._end, self._stop = time.monotonic() + seconds, stop

    def install(self):
        """Signals are that someone's."""

    @property
    def name(self):
        return "request" if self._stop() else "time" if time.monotonic() >= self._end else ""


class Bench:
    """One run, from options to report."""

    def __init__(self, options, status, interrupt, bench, scale):
        """`interrupt` says when it is over, by its name; `scale` is _FULL or the like."""
        self._options, self._status = options, status
        self._interrupt = interrupt
        self._bench = bench
        self._folder = os.path.abspath(options.out)
        self._budget, self._seconds, self._sizes, self._latency_rounds = scale

    def prepare(self):
        """Builds, and knows then what there is to measure."""
        options = self._options
        for path in options.trace:
            if not os.path.isfile(path):
                raise CannotRun("%s: no such file" % path)
        self._bench.build(TARGETS)
        self._strategies = self._choose_strategies()
        traces = []
        for path in options.trace:
            name = trace_name(path, [w.name for w in workloads.BUILT_IN] + traces
                              + list(workloads.RECORDED))
            traces.append(name)
        self._traces = dict(zip(traces, options.trace))
        known = [w.name for w in workloads.BUILT_IN] + list(workloads.RECORDED) + traces
        self._wanted = workbench.choose(options.workloads, known, "workload")
        self._wanted += [name for name in traces if name not in self._wanted]
        try:
            os.makedirs(self._folder, exist_ok=True)
            self._programs = self._bench.copy([MEASURE, ASSAY, PRELOAD],
                                              os.path.join(self._folder, "tmp"))
        except OSError as error:
            raise CannotRun(run_folder.explain(error, self._folder)) from error

    def _choose_strategies(self):
        """Names, and behind each the variants that have a bound."""
        known = self._bench.allocators()
        wanted = self._options.strategies
        workbench.choose([name.partition(":")[0] for name in wanted], known, "strategy")
        chosen = []
        for name in wanted or known:
            chosen += [name] + bounds.variants_of(name)
        return list(dict.fromkeys(chosen))

    def _record(self, results):
        """The recorded traces, as workloads."""
        wanted = [name for name in workloads.RECORDED if name in self._wanted]
        folder = os.path.join(self._folder, "traces")
        scratch = os.path.join(self._folder, "tmp")
        os.makedirs(folder, exist_ok=True)
        found = []
        commands = trace_recorder.commands(scratch) if wanted else {}
        for name in wanted:
            if self._interrupt.name:
                break
            if name not in commands:
                results.notes.append("%s: no program to record it from" % name)
                continue
            self._status.say("recording %s" % workloads.RECORDED[name])
            path, reason = trace_recorder.record(
                self._programs[ASSAY], self._programs[PRELOAD], folder, name, *commands[name])
            if path:
                found.append(workloads.trace(name, workloads.RECORDED[name], path))
            else:
                results.notes.append("%s could not be recorded: %s" % (name, reason))
        return found

    def _workloads(self, results, measure):
        found = [w for w in workloads.BUILT_IN if w.name in self._wanted]
        found += self._record(results)
        found += [workloads.trace(name, shown(path), os.path.abspath(path))
                  for name, path in self._traces.items() if name in self._wanted]
        for workload in found:
            told, reason = measure.describe(workload.path or workload.name)
            if told is None:
                raise CannotRun(reason.replace("measure: ", "", 1))
            results.described[workload.name] = told
        return found

    def measure(self):
        """Returns the results."""
        options = self._options
        started = datetime.datetime.now(datetime.timezone.utc)
        clock = time.monotonic()
        results = Results(
            started=started.strftime("%Y-%m-%dT%H:%M:%SZ"), version=workbench.source_version(),
            restricted=[key for key in ("strategies", "workloads") if getattr(options, key)],
            rounds=options.rounds, budget=self._budget, load=[machine.load()],
            machine=machine.facts(machine.compiler(self._programs[MEASURE])))
        measure = rounds.Measure(self._programs[MEASURE], self._seconds,
                                 lambda: bool(self._interrupt.name))
        self._interrupt.install()
        for name in self._strategies:
            _, reason = measure.describe("lifo64", "--on", name)
            if reason:
                raise CannotRun(reason.partition(";")[0].replace("measure: ", "", 1))
        results.workloads = self._workloads(results, measure)
        results.subjects = [subjects.strategy(name) for name in self._strategies]
        results.subjects += subjects.peers()
        if any(w.made_for == "page_bump" for w in results.workloads):
            results.subjects.append(subjects.raw())
        for subject in results.subjects:
            if subject.missing:
                self._status.say("%s is %s" % (subject.name, subject.missing))
        run = rounds.Rounds(measure, results, self._progress, lambda: bool(self._interrupt.name),
                            latency_rounds=self._latency_rounds)
        run.prepare(self._worst_subjects(results), self._sizes)
        self._status.say("%d subjects, %d workloads, %d rounds" % (
            len(results.subjects), len(results.workloads), results.rounds))
        run.run()
        results.stopped = self._interrupt.name
        results.seconds = time.monotonic() - clock
        results.load.append(machine.load())
        return results

    def _worst_subjects(self, results):
        """Whose single operations are measured: those with a bound, and some beside them."""
        there = [subject.name for subject in results.subjects]
        bound = [b.strategy for b in bounds.BOUNDS if b.of == "flat" and b.strategy in there]
        # Whoever asks for other strategies and workloads does not want to wait for these.
        if not bound and (self._options.strategies or self._options.workloads):
            return []
        return bound + [name for name in bounds.WORST_BESIDE if name in there]

    def _progress(self, line):
        self._status.progress(line)

    def write(self, results):
        """Writes the report; returns it as Markdown."""
        told = results.to_dict()
        path = os.path.join(self._folder, "results.json")
        try:
            files.write_json(told, path)
            plots, problem = plotting.draw("bench_plots.py", path, self._folder)
            if problem:
                self._status.say(problem)
            pages = [name for name in plots if name.endswith(".html")]
            plots = [name for name in plots if name not in pages]
            if plots and not pages:
                self._status.say("no page: apt-get install python3-jinja2")
            for name, render in (("figures.csv", bench_csv.figures), ("curves.csv", bench_csv.curves)):
                files.write_whole(os.path.join(self._folder, name), render(told))
            report = bench_markdown.render(told, plots)
            files.write_whole(os.path.join(self._folder, "report.md"), report)
        except OSError as error:
            raise CannotRun(run_folder.explain(error, self._folder)) from error
        finally:
            shutil.rmtree(os.path.join(self._folder, "tmp"), ignore_errors=True)
        return told, bench_markdown.render(told), pages, plots

    def discard(self):
        """After a failure: leaves no folder without a report."""
        shutil.rmtree(os.path.join(self._folder, "tmp"), ignore_errors=True)
        for folder in (os.path.join(self._folder, "traces"), self._folder):
            try:
                os.rmdir(folder)
            except OSError:
                pass

    @property
    def folder(self):
        return self._folder


class Quiet:
    """In the place of Status; `say` gets what is done right now."""

    def __init__(self, say):
        self.progress = say

    def say(self, line):
        self.progress(line)


def measure_into_history(bench, history, of_campaign, strategies, seconds, stop,
                         say=lambda line: None, folder=None):
    """The benchmarks of a campaign, in about `seconds` or until `stop()`: as many rounds as there is
    time for, those of ci/bench if it is enough. Replaces what the history has of them. `bench`: a
    Workbench, which builds TARGETS if need be, before the time begins; `folder`: for scratch. Returns
    what was left out, or "". CannotRun if nothing was measured."""
    with tempfile.TemporaryDirectory(dir=folder, prefix="bench-") as scratch:
        brief = seconds < _ENOUGH
        names_of = [w.name for w in workloads.BUILT_IN]
        options = argparse.Namespace(
            strategies=list(strategies), workloads=names_of if brief else [], trace=[],
            rounds=_MOST_ROUNDS, out=scratch)
        bench.build(TARGETS)
        run = Bench(options, Quiet(say), Deadline(seconds, stop), bench,
                    _BRIEF if brief else _FULL)
        run.prepare()
        told = run.measure().to_dict()
    if not benchmark_rows.store(history, of_campaign, told):
        raise CannotRun("nothing was measured in %s" % text.duration(told["seconds"]))
    left_out = ["no recorded traces and no single operations: less than %s" % text.duration(
        _ENOUGH)] if brief else []
    if told["rounds_done"] < 1:
        known = {row["workload"] for row in told["runs"] if row["speed"]}
        left_out.append("ended in its first round, after %s" % ", ".join(sorted(known)))
    return "; ".join(left_out)


def _store(folder, told):
    """Adds a campaign to the history of a RunFolder; returns how many rows, and their name."""
    try:
        history = rebuild.open_folder(folder.path, lambda line: print(line, file=sys.stderr))
        mine = campaign.Campaign.begin(history, folder, "bench", assay=told["version"],
                                       options={"rounds": told["rounds"]})
        with mine.writing():
            history.write("UPDATE campaigns SET started = ? WHERE id = ?", told["started"], mine.id)
            history.write("UPDATE runs SET started = ? WHERE id = ?", told["started"], mine.run)
            stored = benchmark_rows.store(history, mine.id, told)
        mine.set_phase("benchmarks", "done", told["seconds"])
        mine.end(told["stopped"], told["error"])
        record.checkpoint(history, mine.id, folder.path)
        history.close()
    except OSError as error:
        raise CannotRun(run_folder.explain(error, folder.path)) from error
    return stored, "figure"


def main(arguments=None):
    options = parse_options(arguments)
    status = status_line.Status(sys.stderr)
    bench = Bench(options, status, Interrupt("ci/bench", "there is no report"),
                  workbench.Workbench(options.prebuilt), _QUICK if options.quick else _FULL)
    folder = None
    try:
        if options.history:
            # Now, so that nobody measures for minutes and hears then that it is in use.
            folder = run_folder.RunFolder(options.history, folders=("campaigns",))
        if not options.prebuilt:
            workbench.set_up("--bench")
            status.say("building (from nothing this takes a minute or two)")
        bench.prepare()
        results = bench.measure()
        status.clear()
        told, report, pages, plots = bench.write(results)
        print(report)
        print("report: %s%s results.json figures.csv curves.csv%s" % (
            shown(os.path.join(bench.folder, "report.md")), "".join(" " + name for name in pages),
            " and %d plots" % len(plots) if plots else ""))
        if options.history:
            print("history: %s in %s" % (text.count(*_store(folder, told)),
                                         shown(os.path.join(options.history, "history.db"))))
        held = all(bound["verdict"] == bounds.HELD for bound in told["bounds"])
        return 1 if options.strict and not held else 0
    except CannotRun as error:
        status.clear()
        bench.discard()
        print("ci/bench: %s" % error, file=sys.stderr)
    except KeyboardInterrupt:
        bench.discard()
        print("ci/bench: interrupted before the measuring began", file=sys.stderr)
    finally:
        if folder:
            folder.release()
    return 2


if __name__ == "__main__":
    sys.exit(main())
