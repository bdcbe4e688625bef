#!/usr/bin/env python3
"""Gives an allocator that you bring a verdict: fuzzes it for a while, and reports.

It is judged in tiers, each on its own: core (allocate and release), resize, reinit (started again),
exhaustion (memory runs out), huge (sizes up to SIZE_MAX), edge (size 0 and NULL, as C allows). What is
found is minimised, explained and stored in DIR/findings/<tier>, and reported as ci/fuzz does it.
"""
import argparse
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from ci import driver_blind, foreign_build, foreign_heap, foreign_library, foreign_mm  # noqa: E402
from ci import fuzzing_run, judge, provenance, quotas  # noqa: E402
from ci import tier_shares, workbench  # noqa: E402
from ci import status as status_line  # noqa: E402
from ci.command_line import Interrupt, Parser, amount, names, positive, seed, steady_output  # noqa: E402
from ci.engine_session import engines  # noqa: E402
from ci.workbench import CannotRun, shown  # noqa: E402
from reports import files, html_page, text  # noqa: E402
from reports import results as R  # noqa: E402

EPILOG = """\
examples:
  ci/check --mm mm.c                                     what a malloc-lab course wants
  ci/check --mm mm.c helpers.c --tiers core,resize --seconds 300
  ci/check --malloc /usr/lib/x86_64-linux-gnu/libjemalloc.so.2
  ci/check --heap heap.c --init heap_init --alloc heap_alloc --free heap_free

Ctrl-C or SIGTERM ends the fuzzing, not the report. A finding is explained by ci/repro FILE.

exit codes: 0 clean, 1 finding, 2 could not run; they speak of the tiers that were asked for
"""

TIERS = foreign_build.TIERS

# A month.
MOST_SECONDS = 60 * 60 * 24 * 31

SANITIZERS = ("address", "none")

# CPU milliseconds after which a request is a hang: a tier's first turn is hardly longer.
HANG = "700"

# A tier in which fewer programs ran was not tested, whatever its verdict.
_HARDLY = 50


def heap_bytes(value):
    try:
        number = quotas.size(value, 4 << 10)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    if number > 1 << 30:
        raise argparse.ArgumentTypeError("'%s' is more than 1G" % value)
    return number


def identifier(value):
    if not re.fullmatch(r"([A-Za-z_]\w*)?", value, re.ASCII):
        raise argparse.ArgumentTypeError("'%s' is no beginning of a C name" % value)
    return value


def alignment(value):
    number = int(value) if value.isdigit() else 0
    if number < 8 or number & (number - 1) or number > 1 << 20:
        raise argparse.ArgumentTypeError("'%s' is no power of two from 8 to 1048576" % value)
    return number


def tiers(value):
    found = names(value)
    for name in found:
        if name not in TIERS:
            raise argparse.ArgumentTypeError("unknown tier '%s'; there is: %s" % (name, " ".join(TIERS)))
    return [tier for tier in TIERS if tier in found]


def parser():
    made = Parser(prog="ci/check", description=__doc__, epilog=EPILOG, allow_abbrev=False,
                  formatter_class=argparse.RawDescriptionHelpFormatter)
    what = made.add_argument_group("what to check, one of these")
    what.add_argument("--mm", nargs="+", metavar="FILE", help="a malloc-lab source: mm_init, mm_malloc, "
                      "mm_free, mostly mm_realloc; or malloc, free and so on themselves")
    what.add_argument("--malloc", metavar="LIB.so", help="a library that exports malloc and free")
    what.add_argument("--heap", nargs="+", metavar="FILE", help="a heap over one buffer; --init, --alloc "
                      "and --free name its functions")
    what.add_argument("--adapter", metavar="FILE", help="a heap that an adapter file describes; with "
                      "--heap for its sources")
    made.add_argument("--prefix", type=identifier, default="", metavar="P", help="of the library's "
                      "functions, such as je_")
    for name, words in (("init", "init(buffer, size)"), ("alloc", "alloc(size)"), ("free", "free(block)"),
                        ("realloc", "realloc(block, size), if there is one"),
                        ("align", "aligned allocation, if there is one")):
        made.add_argument("--" + name, metavar="F", help="the heap's " + words)
    made.add_argument("--seconds", type=amount("seconds", MOST_SECONDS, "60"), default=60.0, metavar="N",
                      help="how long to fuzz, building aside (60)")
    made.add_argument("--tiers", type=tiers, metavar="A,B", help="only these (%s)" % ",".join(TIERS))
    made.add_argument("--heap-limit", type=heap_bytes, metavar="BYTES",
                      help="of the heap where memory is not to run out (20M; with --heap 256K)")
    made.add_argument("--alignment", type=int, choices=(4, 8, 16), help="that all blocks must have (what those "
                      "of a trial run have)")
    made.add_argument("--max-alignment", type=alignment, metavar="N", help="the largest that is asked of "
                      "--malloc, and of --heap with --align (65536)")
    width = made.add_mutually_exclusive_group()
    width.add_argument("--m32", dest="bits", action="store_const", const=32, default=0,
                       help="compile for 32 bits (if the source needs it)")
    width.add_argument("--m64", dest="bits", action="store_const", const=64, help="compile for 64 bits")
    made.add_argument("--include", action="append", default=[], metavar="DIR",
                      help="where the sources' headers are; may be repeated (their own folder)")
    made.add_argument("--cflag", action="append", default=[], metavar="F",
                      help="for the compiler, as --cflag=-DX=1; may be repeated")
    made.add_argument("--out", metavar="DIR", help="folder for findings and report (out/check/<name>)")
    made.add_argument("--jobs", type=positive, metavar="N", help="engines at the same time (one per core)")
    made.add_argument("--seed", type=seed, metavar="N", help="of the engines' random numbers (another one "
                      "each time)")
    made.add_argument("--replay", nargs="+", metavar="PROGRAM", help="fuzz nothing, but run these in each "
                      "tier: findings, or programs by hand")
    # For Bazel: a folder with the kit; nothing is set up or built then. And where objects are kept.
    made.add_argument("--kit", metavar="DIR", help=argparse.SUPPRESS)
    made.add_argument("--cache", metavar="DIR", help=argparse.SUPPRESS)
    return made


def parse_options(arguments):
    made = parser()
    options = made.parse_args(arguments)
    options.arguments = list(arguments)
    given = [name for name in ("mm", "malloc", "heap") if getattr(options, name)]
    if not given and options.adapter:
        given = ["heap"]
        options.heap = []
    if len(given) != 1:
        made.error("say what to check, by one of --mm, --malloc, --heap" if not given else
                   "--%s: only one of these" % " and --".join(given))
    options.api = given[0]
    if options.api != "heap":
        for name in ("init", "alloc", "free", "realloc", "align", "adapter"):
            if getattr(options, name):
                made.error("--%s is for --heap" % name)
    if options.prefix and options.api != "malloc":
        made.error("--prefix is for --malloc")
    for folder in options.include:
        if not os.path.isdir(folder):
            made.error("--include %s: no such folder" % folder)
    options.name = name_of(options)
    if not options.out:
        options.out = os.path.join(workbench.ROOT, "out", "check", options.name)
    if not options.jobs:
        options.jobs = len(os.sched_getaffinity(0))
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(1 << 31)
    return options


def name_of(options):
    """What the folder is called: by the file, or the folder that it is in if its name says nothing."""
    first = options.malloc or (options.mm or options.heap or [options.adapter])[0]
    stem, _ = os.path.splitext(os.path.basename(first.rstrip("/")))
    if stem in ("mm", "malloc", "heap"):
        stem = "%s-%s" % (os.path.basename(os.path.dirname(os.path.abspath(first))), stem)
    return re.sub(r"[^A-Za-z0-9._+-]", "-", stem).strip(".-") or "allocator"


def prepare(options, builder, say):
    """The foreign_build.Foreign that the options mean, understood and compiled."""
    if options.api == "mm":
        return foreign_mm.prepare(builder, options.mm, options, say)
    if options.api == "malloc":
        return foreign_library.prepare(builder, options.malloc, options, say)
    return foreign_heap.prepare(builder, options.heap, options, say)


def sweep(folder):
    """Removes what those left who were killed while they built."""
    for name in os.listdir(folder):
        match = re.fullmatch(r"\.build-(\d+)-.*", name)
        if match and not os.path.exists("/proc/" + match.group(1)):
            shutil.rmtree(os.path.join(folder, name), ignore_errors=True)


class Run(fuzzing_run.FuzzingRun):
    """A campaign over the tiers of one allocator."""

    COMMAND = "check"
    # What comes of memory that is lost for ever takes long to find by chance: a heap of 20 MiB has
    # to be had several times over.
    BESIDES = "foreign"

    def __init__(self, options, status, interrupt):
        options.prebuilt, options.plant = os.path.join(options.out, "build"), None
        super().__init__(options, status, interrupt)
        self._made = ""          # the folder that is built in, until the campaign's is claimed
        self.foreign = None
        self._score = ""

    # Building, before the folder is claimed: what does not compile leaves nothing behind.

    def prepare(self):
        cache = self._cache()
        try:
            self._build(cache)
            super().prepare()
        finally:
            shutil.rmtree(self._made, ignore_errors=True)

    def _cache(self):
        """Where kits and objects of ours are kept from run to run."""
        return self.options.cache or os.path.join(workbench.ROOT, "out", "check", ".cache")

    def _build(self, cache):
        options = self.options
        try:
            os.makedirs(cache, exist_ok=True)
        except OSError as error:
            raise CannotRun("%s: %s" % (shown(cache), error.strerror)) from error
        sweep(os.path.dirname(cache))
        self._made = tempfile.mkdtemp(prefix=".build-%d-" % os.getpid(), dir=os.path.dirname(cache))
        if options.api == "mm":
            foreign_build.check_files(options.mm)
        kits = foreign_build.Kits(cache, options.kit, self.status.say)
        builder = foreign_build.Builder(self._made, cache, kits, options.bits or 64)
        try:
            foreign = self.foreign = prepare(options, builder, self.status.say)
            for tier in options.tiers or ():
                if tier in foreign.left_out:
                    raise CannotRun("there is nothing to judge in tier %s: %s" % (
                        tier, foreign.left_out[tier]))
            foreign.tiers = [tier for tier in foreign.tiers if tier in (options.tiers or foreign.tiers)]
            if not options.replay:
                self._affordable(foreign.tiers)
            foreign.builder.link(
                foreign, recipe=recipe(foreign, os.path.join(os.path.abspath(options.out), "build")))
        except foreign_build.BuildFailed as error:
            sys.stderr.write(error.said[-6000:])
            raise
        finally:
            builder.close()

    def before_building(self):
        """The folder is claimed: what was built goes there, with the sources as they are now."""
        folder = self.folder.join("build")
        if os.path.exists(folder) and not foreign_build.is_build(folder):
            raise CannotRun("%s is in the way, and not a build of ci/check: move it, or choose another "
                            "folder with --out" % shown(folder))
        shutil.rmtree(folder, ignore_errors=True)
        sources = os.path.join(self._made, "sources")
        os.makedirs(sources)
        for path, name in kept_names(self.foreign.sources).items():
            shutil.copy(path, os.path.join(sources, name))
        foreign_build.write_recipe(self._made, self.options.arguments, self.foreign)
        for name in os.listdir(self._made):
            kept = name in (foreign_build.OBJECT, foreign_heap.GLUE)
            if name.endswith((".o", ".c")) and not kept or name.startswith("probe"):
                os.unlink(os.path.join(self._made, name))
        shutil.move(self._made, folder)     # which may be on another disk

    def replay_only(self):
        """Runs the programs of --replay in each tier, in a folder that is gone afterwards; returns the exit
        code."""
        try:
            foreign_build.check_files(self.options.replay)
            self._build(self._cache())
            worst = 0
            for build in (judge.PLAIN, judge.ASAN):
                for tier in self.foreign.tiers:
                    command = [os.path.join(self._made, build + ".elf"), "run", "--strategy", tier, "--tier",
                               judge.TIER, *self.options.replay]
                    code = subprocess.run(
                        command, env=engines.environment(engines.SANITIZERS), check=False).returncode
                    worst = max(worst, code if code in (0, 1) else 2)
            return worst
        except CannotRun as error:
            print("ci/check: %s" % error, file=sys.stderr)
            return 2
        finally:
            shutil.rmtree(self._made, ignore_errors=True)

    # What FuzzingRun asks.

    def choose(self):
        self.strategies, self.engines = self.foreign.tiers, ["libfuzzer"]
        sources = [os.path.abspath(path) for path in self.foreign.sources]
        provenance.foreign.update({tier: provenance.Elsewhere(sources, self.foreign.functions)
                                   for tier in self.strategies})

    def keys(self):
        return self._affordable(self.strategies)

    def _affordable(self, strategies):
        """The jobs that there is time for: each tier is tried with ASan before any is without."""
        # A library is not compiled here: ASan would see nothing of it, and make each process dear.
        guarded = self.options.api != "malloc" and not self.foreign.fixed
        sanitizers = SANITIZERS if guarded else SANITIZERS[1:]
        jobs = [(tier, "libfuzzer", sanitizer) for sanitizer in sanitizers for tier in strategies]
        some = tier_shares.chosen(jobs, self.options.jobs, self.options.seconds, len(strategies))
        if len(some) < len(strategies):
            raise CannotRun("%s on %s: give at least --seconds %d, or choose fewer with --tiers" % (
                text.count(len(strategies), "tier"), text.count(self.options.jobs, "core"),
                1 + len(strategies) * tier_shares.SHORTEST / self.options.jobs))
        return some

    def target_path(self, key):
        return "fuzz/%s.elf" % (workbench.PROGRAMS[key[1:]] % "foreign")

    def detection(self):
        # One bug shows in most tiers, and is minimised in each.
        return {"minimise": min(20, max(3, self.options.seconds / 10))}

    def seconds_asked(self):
        return self.options.seconds

    def options_to_resume(self):
        return {"seconds": self.options.seconds, "about": self.about()}

    def about(self):
        """The head of the reports."""
        foreign, options = self.foreign, self.options
        lines = ["%s: %s" % (foreign.api if foreign.api != "mm" else "malloc lab", "; ".join(foreign.notes))]
        lines.append("state: %s" % (
            "each program in a process of its own (forked), since %s" % foreign.forked if foreign.forked
            else "each program finds the same (restored: its variables and its heap)"))
        told = ["%s, as %s" % item for item in foreign.left_out.items()]
        if options.tiers:
            told += ["%s, not asked for" % tier for tier in TIERS
                     if tier not in options.tiers and tier not in foreign.left_out]
        if told:
            lines.append("tiers left out: %s" % "; ".join(told))
        return lines

    def phases(self):
        # One that hangs takes seconds for each program.
        self.phase("replay", lambda: self.replay(max(10, self.options.seconds / 4)))
        self.phase("fuzz", lambda: self.chief.run(
            tier_shares.Turns(list(self.jobs), self.options.jobs, self.options.seconds),
            self.options.jobs, self.options.seconds))
        # What earlier checks found is still there, or fixed.
        self.phase("stored", lambda: self.sleuth.replay_stored(self.strategies, self.stopped))
        self._doubt_idleness()
        if self.foreign.api == "mm" and not self.interrupt.name:
            self._score = foreign_mm.score(self.bench, self.strategies, min(5, self.options.seconds / 10))
        self.phase("settle", self.settle)

    def _doubt_idleness(self):
        """Jobs that ran hardly anything in their time: no verdict of theirs may pass for clean."""
        for key, job in self.jobs.items():
            if job.seconds >= 1 and job.executions < _HARDLY and not job.crashes and not job.problem \
                    and not self.interrupt.name:
                job.problem = "only %s in %.0f s: a request may take very long" % (
                    text.count(job.executions, "program"), job.seconds)
                self.campaign.job(key, problem=job.problem)
        for tier in self.strategies:
            self._doubt_tier([(key, job) for key, job in self.jobs.items() if key[0] == tier])

    def _doubt_tier(self, jobs):
        """A job that never had its turn is no problem as long as another of the tier had one."""
        untried = sum(job.executions for _, job in jobs) < _HARDLY
        if untried and jobs and not any(job.crashes or job.problem for _, job in jobs) \
                and not self.interrupt.name:
            key, job = jobs[0]
            job.problem = "the tier was hardly tried: another took its time, or a request may take very long"
            self.campaign.job(key, problem=job.problem)

    def fuzz(self):
        for line in self.about():
            self.status.say(line)
        self.status.say("%s on %s for %g s" % (", ".join(self.strategies), text.count(
            self.options.jobs, "core"), self.options.seconds))
        return super().fuzz()

    def write_reports(self, outcome):
        paths = super().write_reports(outcome)
        page = os.path.join(self.folder.path, "report.html")
        problem = html_page.write(outcome, page)
        if problem:
            self.status.say(problem)
            return paths
        with open(page, "rb") as file:
            files.write_whole(os.path.join(self.campaign.path, "report.html"), file.read())
        return [page] + paths

    def epilogue(self, outcome):
        print("\n" + "\n".join(tier_lines(outcome, self.strategies)))
        if self.foreign.api == "mm":
            told = driver_blind.lines([finding for finding in outcome.findings if finding.status in R.OPEN])
            print("\n".join(["", self._score] + told))


def tier_lines(outcome, strategies):
    """The verdict on each tier."""
    width = max(map(len, strategies))
    lines = []
    for tier in strategies:
        jobs = [job for job in outcome.jobs if job.strategy == tier]
        mine = [finding.property for finding in outcome.findings
                if finding.strategy == tier and finding.status in R.OPEN]
        if mine:
            verdict = "finding: " + ", ".join(dict.fromkeys(mine))
        elif any(job.verdict == R.COULD_NOT_RUN for job in jobs):
            verdict = "could not run"
        else:
            verdict = "clean, %s" % text.count(sum(job.executions for job in jobs), "program")
        lines.append("tier %-*s  %s" % (width, tier, verdict))
    return lines


def kept_names(sources):
    """What the copies of sources are called, by path: those of different folders may share a name."""
    names = {}
    for path in sources:
        name = os.path.basename(path)
        names[path] = "%d-%s" % (len(names), name) if name in names.values() else name
    return names


def recipe(foreign, folder):
    """What a C compiler is told to build the allocator by hand, in the top folder; `folder` is that of the
    build."""
    words = ["-D" + define for define in foreign.defines]
    words += [os.path.join(folder, foreign_heap.GLUE) if os.path.basename(path) == foreign_heap.GLUE else
              os.path.relpath(path, workbench.ROOT)
              for path in [*foreign.adapter, *foreign_build.TIER_SOURCES]]
    if foreign.renamed:
        return foreign_build.quoted(words + foreign.link + [os.path.join(folder, foreign_build.OBJECT)])
    for path in [*foreign.sources, *foreign.includes]:
        words += ["-I" + os.path.abspath(path if os.path.isdir(path) else os.path.dirname(path))]
    words += ["-w", "-fno-builtin", "-std=gnu17"] + foreign.flags if foreign.sources else []
    words += foreign_build.WIDTHS[32] if foreign.bits == 32 else []
    return foreign_build.quoted(words + foreign.link + [
        os.path.join(folder, "sources", name) for name in kept_names(foreign.sources).values()])


def main(arguments=None):
    steady_output()
    options = parse_options(sys.argv[1:] if arguments is None else arguments)
    os.environ.setdefault("ASSAY_HANG_MS", HANG)
    run = Run(options, status_line.Status(), Interrupt("ci/check", "findings may be missing in the report"))
    return run.replay_only() if options.replay else run.carry_out()


if __name__ == "__main__":
    sys.exit(main())
