#!/usr/bin/env python3
"""Explains a finding: what its program does to the strategy, operation by operation.

FILE is a finding of ci/fuzz (or one of the files beside it), or any program: bytes from a corpus,
text, or a trace. The strategy comes from --strategy, or else from the finding's .json file, or else
from the name of the folder that FILE is in. Builds `assay` and hands over to `assay repro`.
"""
import argparse
import glob
import json
import os
import re
import shlex
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from ci import finding_store, foreign_build, judge, provenance, workbench  # noqa: E402
from ci.command_line import Parser  # noqa: E402
from ci.engine_session import engines  # noqa: E402
from ci.workbench import CannotRun, shown  # noqa: E402
from reports import heap_map  # noqa: E402

EPILOG = """\
Every other option goes to `assay repro`: --tier TIER (that of the finding; paranoid for other
files), --runs N.

exit codes: 0 clean, 1 finding, 2 could not run
"""

# What lies beside a finding's program. The text form is a program as well.
_BESIDE = re.compile(r"(.*-[0-9a-f]{8}-[0-9a-f]{40})\.(json|c|log|svg|md)")


def parse_options(arguments):
    """Returns the options and what is left for assay."""
    parser = Parser(prog="ci/repro", usage="ci/repro FILE [--strategy X] [OPTION...]",
                    description=__doc__, epilog=EPILOG, allow_abbrev=False,
                    formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", metavar="FILE")
    parser.add_argument("--strategy", metavar="X",
                        help="a strategy, or a planted bug such as bump+no_bounds_check, or the id of "
                             "a historical one, such as AB-017")
    parser.add_argument("--emit-c", action="store_true",
                        help="print a C program that shows the finding against the vtable")
    parser.add_argument("--gdb", action="store_true",
                        help="start gdb, stopped where the guilty operation calls the allocator")
    parser.add_argument("--json", action="store_true",
                        help="print all of it as a JSON object (reports/README.md documents it)")
    parser.add_argument("--map", metavar="SVG",
                        help="write the heap map, blocks by address and operation, to this file")
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
        path = _by_name(match.group(1) if match else path)
    if os.path.isdir(path):
        raise CannotRun("%s is a folder; name one of the files in it" % path)
    if not os.access(path, os.R_OK):
        raise CannotRun("%s: may not be read" % path)
    return path


def _by_name(name):
    """A bug report calls a program by its name alone, wherever the report is read: it is looked for in
    the folders of campaigns."""
    if os.path.basename(name) != name:
        raise CannotRun("%s: no such file" % name)
    found = [path for folder in ("*", os.path.join("check", "*")) for path in glob.glob(os.path.join(
        workbench.ROOT, "out", folder, "findings", "*", glob.escape(name)))]
    # The same name is the same program.
    of = {os.path.basename(os.path.dirname(path)) for path in found}
    if len(of) == 1 and (len(found) == 1 or not any(map(foreign_build.stored_with, found))):
        return shown(found[0])
    raise CannotRun("%s: no such file, here or in out/*/findings/*: give its path" % name if not found
                    else "%s is a finding of %s: give its path" % (name, " and of ".join(sorted(of))))


def facts_about(path):
    """What ci/fuzz wrote about a finding; {} if it is none of its findings."""
    try:
        return finding_store.read_facts(re.sub(r"\.txt$", "", path) + ".json")
    except FileNotFoundError:
        return {}
    except finding_store.OtherVersion as error:
        raise CannotRun("%s: use that one, or say --strategy X to take the program alone" %
                        error) from error
    except finding_store.Unusable as error:
        print("ci/repro: %s" % error, file=sys.stderr)
        return {}


def check_property(facts, bench, path):
    """A finding under an id that this version does not have is about something else."""
    wanted = facts.get("property")
    if wanted is None or facts.get("flaky"):
        return
    known = [line.split()[0] for line in bench.assay("list", "--properties").splitlines() if line]
    if not isinstance(wanted, str) or wanted.partition(":")[0] not in [
            name.partition(":")[0] for name in known]:
        raise CannotRun("%s.json: unknown property '%s'; `assay list --properties` shows those that "
                        "there are, and --strategy X takes the program alone" % (shown(path), wanted))
    if wanted.startswith("invariant") and not is_invariant(wanted, bench):
        raise CannotRun("%s.json: unknown invariant '%s'; `assay list --json` shows those that each "
                        "strategy has, and --strategy X takes the program alone" % (
                            shown(path), wanted))


def is_invariant(wanted, bench):
    """Whether a strategy has an invariant of that number."""
    match = re.fullmatch(r"invariant:(\w+)\.I([1-9]\d*)", wanted)
    if not match:
        return False
    strategies = json.loads(bench.assay("list", "--json"))["strategies"]
    return any(strategy["name"] == match.group(1) and
               int(match.group(2)) <= len(strategy.get("invariants", []))
               for strategy in strategies)


def of_check(folder, recipe):
    """The folder with the programs of an allocator that ci/check was given."""
    sources = recipe.get("sources") or []
    provenance.foreign.update({
        tier: provenance.Elsewhere(sources) for tier in recipe["tiers"]})
    if not os.path.exists(os.path.join(folder, judge.PLAIN + ".elf")):
        raise CannotRun("%s: the programs are gone; in %s, type again: ci/check %s" % (
            shown(folder), recipe.get("folder"), shlex.join(map(str, recipe.get("arguments", [])))))
    return folder


def draw_map(command, environment, path):
    """Writes the heap map of what the command, which is `assay repro`, tells."""
    told = subprocess.run(command[:1] + ["repro", "--json", "--runs", "1"] + command[2:],
                          env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          check=False)
    try:
        picture = heap_map.render(json.loads(told.stdout))
        with open(path, "w", encoding="utf-8") as file:
            file.write(picture)
    except (ValueError, OSError) as error:
        raise CannotRun("%s: no heap map: %s" % (path, error)) from error


def tell(command, environment, facts, picture):
    """Runs `assay repro`, and says what else there is; returns its exit code."""
    sys.stdout.flush()
    code = subprocess.run(command, env=environment, check=False).returncode
    path, strategy = command[-1], command[3]
    try:
        if picture and code in (0, 1):
            draw_map(command, environment, picture)
    except CannotRun as error:
        print("ci/repro: %s" % error, file=sys.stderr)
        return 2
    if not facts:
        return code
    stem = re.sub(r"\.txt$", "", path)
    lines = [("heap map", picture or stem + ".svg"), ("C program", stem + ".c"),
             ("bug report", stem + ".md")]
    lines = [(what, shown(os.path.abspath(name))) for what, name in lines if os.path.exists(name)]
    lines.append(("command", " ".join(shlex.quote(word) for word in [
        program_name(command[0]), *command[1:-1], shown(os.path.abspath(path))])))
    print("\n" + "\n".join("%-10s  %s" % line for line in lines))
    if facts.get("source") and facts["source"] != provenance.source_hash(strategy):
        print("ci/repro: this finding, %s, was stored by another version (%s): the sources of %s have "
              "changed since" % (facts.get("property"), facts.get("version") or "unknown", strategy),
              file=sys.stderr)
    return code


def program_name(path):
    """As people type it."""
    recipe = os.path.join(os.path.dirname(path), foreign_build.RECIPE)
    return shown(path) if os.path.exists(recipe) else "bazel-bin/" + os.path.basename(path)


def strategy_of(path, facts, known):
    """The strategy that a file is about, from the facts or from its folder, or None."""
    folder = os.path.basename(os.path.dirname(os.path.abspath(path)))
    return next((name for name in (facts.get("strategy"), folder) if name in known), None)


def main(arguments=None):
    options = parse_options(sys.argv[1:] if arguments is None else arguments)
    try:
        path = program_file(options.file)
        # Who names a strategy means the program, whatever was stored about it.
        facts = {} if options.strategy else facts_about(path)
        own = None if options.strategy or options.prebuilt else foreign_build.stored_with(path)
        if own:
            options.prebuilt = of_check(*own)
        if not options.prebuilt:
            workbench.set_up()
        bench = workbench.Workbench(options.prebuilt)
        build = judge.ASAN if options.asan else facts.get("build")
        if build not in judge.BUILDS:
            build = judge.PLAIN
        bench.build(sorted({"//:" + judge.PLAIN, "//:" + build}))
        strategies, plants = bench.strategies(), bench.plants()
        there_is = "there is: %s, and the planted bugs that `ci/fuzz --plant list` lists" % (
            " ".join(strategies))
        if options.strategy and options.strategy not in strategies:
            if not workbench.plants_called(options.strategy, plants):
                raise CannotRun("unknown strategy '%s'; %s" % (options.strategy, there_is))
            options.strategy = workbench.choose_plant(options.strategy, plants)
        strategy = options.strategy or strategy_of(path, facts, strategies + list(plants))
        if not strategy:
            raise CannotRun("%s %s: say --strategy X; %s" % (
                shown(path), "is about '%s', which there is not" % facts["strategy"]
                if facts.get("strategy") else "does not tell its strategy", there_is))
        check_property(facts, bench, path)
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
    environment = engines.environment(engines.SANITIZERS) if build != judge.PLAIN else os.environ
    if not (options.emit_c or options.gdb or options.json):
        return tell(command + [path], environment, facts, options.map)
    sys.stdout.flush()
    # assay's exit code is ours, and gdb keeps the terminal.
    os.execve(program, command + [path], environment)


if __name__ == "__main__":
    sys.exit(main())
