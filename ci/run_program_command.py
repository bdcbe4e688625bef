#!/usr/bin/env python3
"""Runs an unmodified program on one of the strategies.

Every call of malloc and its kin that COMMAND and the processes it starts make is served by the
strategy (LD_PRELOAD). COMMAND's input, output and exit code are its own. A strategy that serves one
thread at a time does so behind a lock; one with a fixed heap gets --heap bytes, which take no memory
until they are used. What a strategy detects as misuse, such as a double release, is told on standard
error, and ends the program as the C library would (SIGABRT).
"""
import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from ci import program_file, quotas, recorded_run, workbench  # noqa: E402
from ci.command_line import Parser  # noqa: E402
from ci.program_file import CannotExecute  # noqa: E402
from ci.workbench import CannotRun  # noqa: E402

EPILOG = """\
examples:
  ci/run --strategy tlsf -- python3 -c 'print(sum(range(10)))'
  ci/run --strategy size_class --shadow -- sort --parallel=2 /etc/services
  ci/run --strategy boundary_tag --record out/gcc.trace -- gcc -c file.c
  ci/run --list

--shadow checks every call of the program against the shadow model: alignment, bounds, overlap, usable
size, zeroed memory, what a resize keeps, the strategy's invariants, and, in programs of one thread,
bytes of live blocks around each call. A violation is told with ERROR: and ASSERTION FAILED: lines and
the stack, its trace is stored below --out and replayed, and the exit code is 99. What the program itself
does wrong, such as a release of what is no block, is told as that and ends it with SIGABRT.

python3 has an allocator of its own for small objects; PYTHONMALLOC=malloc turns it off. Statically linked
and set-user-ID programs cannot be run so; where COMMAND starts such ones, they run on their own.

exit codes: that of COMMAND, 128 + N if signal N ended it; 126 if it cannot be executed, 127 if it is not
found; 2 if it could not be run so; with --shadow 99 if a property was violated in any of its processes
"""

PRELOAD, PLANTED = ("harness/preload/%s.so" % name for name in ("run_preload", "run_planted_preload"))
ASSAY = "assay.elf"


def size(value):
    """The type of an option that takes bytes, such as 65536, 64M or 2G."""
    try:
        number = quotas.size(value)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    if number > 1 << 46:
        raise argparse.ArgumentTypeError("'%s' is more than 64T" % value)
    return number


def parse_options(arguments):
    parser = Parser(prog="ci/run", usage="ci/run --strategy X [OPTION...] -- COMMAND [ARGUMENT...]",
                    description=__doc__, epilog=EPILOG, allow_abbrev=False,
                    formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--strategy", metavar="X", help="one of --list, or a planted bug, such as "
                        "free_list+header_size_wraps, or the id of a historical one, such as AB-017")
    parser.add_argument("--variant", metavar="V", help="of the strategy (the first)")
    parser.add_argument("--shadow", action="store_true", help="check every call")
    parser.add_argument("--record", metavar="FILE",
                        help="record what COMMAND asks of the heap as a trace, for `assay replay`; "
                             "those of processes that it starts go beside it")
    parser.add_argument("--heap", type=size, metavar="SIZE",
                        help="of strategies with a fixed heap, such as 512M or 4G (1G)")
    parser.add_argument("--misuse", choices=("abort", "tell"), default="abort",
                        help="what a misuse that is detected does: end the program, or only be told")
    parser.add_argument("--no-trace", action="store_true",
                        help="with --shadow, keep no log for a trace (24 bytes of disk for a call)")
    parser.add_argument("--out", metavar="DIR",
                        help="folder for traces of violations (out/run in the checkout)")
    parser.add_argument("--list", action="store_true",
                        help="list the strategies, and how each serves a whole program")
    parser.add_argument("command", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    # For tests: a folder like bazel-bin with everything built.
    parser.add_argument("--prebuilt", metavar="DIR", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.command[:1] == ["--"]:
        del options.command[0]
    if options.list:
        return options
    if not options.strategy:
        parser.error("say which: --strategy X, one of --list")
    if not options.command:
        parser.error("say what to run: -- COMMAND [ARGUMENT...]")
    if options.no_trace and (options.record or not options.shadow):
        parser.error("--no-trace goes with --shadow, and without --record")
    options.out = options.out or os.path.join(workbench.ROOT, "out", "run")
    return options


# ## Strategies

def manners(strategy):
    """How a strategy serves a whole program, in a few words."""
    traits = set(strategy["traits"])
    said = []
    if "foreign" in traits:
        said.append("what runs without ci/run, for comparison")
    elif "concurrent" in traits:
        said.append("several threads at once")
    elif "allocates-concurrently" in traits and "releases" not in traits:
        said.append("several threads at once")
    else:
        said.append("one thread at a time, behind a lock")
    if "releases" not in traits:
        said.append("never releases: --heap must hold all that is ever asked for")
    if "sizes" not in traits:
        said.append("16 bytes before each block tell its size")
    if "collects" in traits:
        said.append("as a plain heap: nothing is collected")
    if "persists" in traits:
        said.append("in memory that does not outlive the process")
    detected = [name for trait, name in (
        ("detects-double-release", "double"), ("detects-foreign-release", "foreign"),
        ("detects-overrun", "overrun")) if trait in traits]
    if detected:
        said.append("detects misuse: " + ", ".join(detected))
    return said


def list_strategies(bench):
    for strategy in json.loads(bench.assay("list", "--json"))["strategies"]:
        if "collection" in strategy["traits"]:
            continue
        print("%-17s %s" % (strategy["name"], "; ".join(manners(strategy))))


def choose_strategy(options, bench):
    """The full name, and the object to preload for it."""
    known = {s["name"]: s for s in json.loads(bench.assay("list", "--json"))["strategies"]}
    collections = [name for name in known if "collection" in known[name]["traits"]]
    if options.strategy.partition("+")[0] in collections:
        raise CannotRun("%s is a collection: it serves no requests for memory" % options.strategy)
    strategy = known.get(options.strategy)
    if strategy:
        variants = strategy["variants"]
        if options.variant and options.variant not in variants:
            raise CannotRun("%s has no variant '%s'; %s" % (
                options.strategy, options.variant,
                "there is: " + " ".join(variants) if variants else "it has no variants at all"))
        return options.strategy, PRELOAD
    plants = bench.plants()
    if workbench.plants_called(options.strategy, plants):
        return workbench.choose_plant(options.strategy, plants), PLANTED
    raise CannotRun("unknown strategy '%s'; there is: %s, and the planted bugs that `ci/fuzz --plant "
                    "list` lists" % (options.strategy, " ".join(
                        name for name in known if name not in collections)))


def preloaded(path, environment):
    """LD_PRELOAD with the object in front."""
    path = os.path.realpath(path)
    if re.search("[ :]", path):
        raise CannotRun("%s: the loader takes no blank or colon in this path; move the checkout" % path)
    others = environment.get("LD_PRELOAD")
    return path + (":" + others if others else "")


def make_environment(options, strategy, preload):
    environment = {name: value for name, value in os.environ.items()
                   if not name.startswith("ASSAY_")}
    environment.update(LD_PRELOAD=preloaded(preload, environment), ASSAY_STRATEGY=strategy,
                       ASSAY_MISUSE=options.misuse)
    if options.heap:
        environment["ASSAY_HEAP"] = str(options.heap)
    if options.variant:
        environment["ASSAY_VARIANT"] = options.variant
    return environment


# ## The run

def become(program, command, environment):
    """Nothing is left to do afterwards: this process becomes the command."""
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)       # which Python ignores
    sys.stdout.flush()
    try:
        os.execve(program, command, environment)
    except OSError as error:
        raise CannotExecute(126, "%s: %s" % (command[0], error.strerror)) from error


def carry_out(options):
    bench = workbench.Workbench(options.prebuilt)
    bench.build(["//:assay"])
    if options.list:
        list_strategies(bench)
        return 0
    strategy, preload = choose_strategy(options, bench)
    program = program_file.find(options.command[0])
    bench.build(["//%s:%s" % os.path.split(preload)])
    environment = make_environment(options, strategy, bench.program(preload))
    if not options.shadow and not options.record:
        return become(program, options.command, environment)
    scratch = tempfile.mkdtemp(prefix="assay-run-")
    try:
        return recorded_run.RecordedRun(
            options, strategy, bench.program(ASSAY), scratch).carry_out(program, environment)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def main(arguments=None):
    try:
        return carry_out(parse_options(arguments))
    except CannotExecute as error:
        print("ci/run: %s" % error, file=sys.stderr)
        return error.code
    except (CannotRun, OSError, subprocess.SubprocessError) as error:
        print("ci/run: %s" % error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
