#!/usr/bin/env python3
"""Explains a finding: what its program does to the strategy, operation by operation.

FILE is a finding of ci/fuzz (or one of the files beside it), or any program: bytes from a corpus,
text, or a trace. The strategy comes from --strategy, or else from the finding's .json file, or else
from the name of the folder that FILE is in. Builds `assay` and hands over to `assay repro`.
"""
import argparse
import json
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from ci import judge, workbench  # noqa: E402
from ci.command_line import Parser  # noqa: E402
from ci.engine_session import engines  # noqa: E402
from ci.workbench import CannotRun, shown  # noqa: E402

EPILOG = """\
Every other option goes to `assay repro`: --tier TIER (that of the finding; paranoid for other
files), --runs N.

exit codes: 0 clean, 1 finding, 2 could not run
"""

# What lies beside a finding's program. The text form is a program as well.
_BESIDE = re.compile(r"(.*-[0-9a-f]{8}-[0-9a-f]{40})\.(json|c|log)")


def parse_options(arguments):
    """Returns the options and what is left for assay."""
    parser = Parser(prog="ci/repro", usage="ci/repro FILE [--strategy X] [OPTION...]",
                    description=__doc__, epilog=EPILOG, allow_abbrev=False,
                    formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", metavar="FILE")
    parser.add_argument("--strategy", metavar="X",
                        help="a strategy, or a planted bug such as bump+no_bounds_check")
    parser.add_argument("--emit-c", action="store_true",
                        help="print a C program that shows the finding against the vtable")
    parser.add_argument("--gdb", action="store_true",
                        help="start gdb, stopped right before the guilty operation")
    parser.add_argument("--json", action="store_true", help="print the verdict as a JSON object")
    parser.add_argument("--tier", help=argparse.SUPPRESS)
    parser.add_argument("--runs", help=argparse.SUPPRESS)
    parser.add_argument("--asan", action="store_true",
                        help="use the build with ASan and UBSan (as it is for findings that only "
                             "this build shows)")
    parser.add_argument("--prebuilt", metavar="DIR", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def program_file(path):
    """The program that the user means."""
    match = _BESIDE.fullmatch(path)
    if match and os.path.isfile(match.group(1)):
        path = match.group(1)
    if not os.path.exists(path):
        raise CannotRun("%s: no such file" % path)
    if os.path.isdir(path):
        raise CannotRun("%s is a folder; name one of the files in it" % path)
    if not os.access(path, os.R_OK):
        raise CannotRun("%s: may not be read" % path)
    return path


def facts_about(path):
    """What ci/fuzz wrote about a finding; {} if it is none of its findings."""
    facts = re.sub(r"\.txt$", "", path) + ".json"
    try:
        with open(facts, encoding="utf-8") as f:
            document = json.load(f)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        print("ci/repro: %s is not read: %s" % (shown(facts), error), file=sys.stderr)
        return {}
    return document if isinstance(document, dict) else {}


def strategy_of(path, facts, known):
    """The strategy that a file is about, from the facts or from its folder, or None."""
    folder = os.path.basename(os.path.dirname(os.path.abspath(path)))
    return next((name for name in (facts.get("strategy"), folder) if name in known), None)


def main(arguments=None):
    options = parse_options(sys.argv[1:] if arguments is None else arguments)
    try:
        path = program_file(options.file)
        facts = facts_about(path)
        if not options.prebuilt:
            workbench.set_up()
        bench = workbench.Workbench(options.prebuilt)
        build = judge.ASAN if options.asan or facts.get("build") == judge.ASAN else judge.PLAIN
        bench.build(sorted({"//:" + judge.PLAIN, "//:" + build}))
        strategies, plants = bench.strategies(), bench.plants()
        there_is = "there is: %s, and the planted bugs that `ci/fuzz --plant list` lists" % (
            " ".join(strategies))
        if options.strategy and options.strategy not in strategies + list(plants):
            raise CannotRun("unknown strategy '%s'; %s" % (options.strategy, there_is))
        strategy = options.strategy or strategy_of(path, facts, strategies + list(plants))
        if not strategy:
            raise CannotRun("%s does not tell its strategy: say --strategy X; %s" % (
                shown(path), there_is))
        program = bench.program(build + ".elf")
    except CannotRun as error:
        print("ci/repro: %s" % error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 2
    if facts.get("flaky"):
        print("ci/repro: this finding is flaky: it was seen once, and replays were clean; see the "
              ".log file beside it", file=sys.stderr)
    command = [program, "repro", "--strategy", strategy]
    if options.tier is None and isinstance(facts.get("tier"), str):
        # Another tier may show another property first.
        options.tier = facts["tier"]
    for name in ("tier", "runs"):
        if getattr(options, name) is not None:
            command += ["--" + name, getattr(options, name)]
    for name in ("emit-c", "gdb", "json"):
        if getattr(options, name.replace("-", "_")):
            command.append("--" + name)
    environment = engines.environment(engines.SANITIZERS) if build == judge.ASAN else os.environ
    sys.stdout.flush()
    # assay's exit code is ours, and gdb keeps the terminal.
    os.execve(program, command + [path], environment)


if __name__ == "__main__":
    sys.exit(main())
