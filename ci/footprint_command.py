#!/usr/bin/env python3
"""Measures what strategies and collections take of a machine that has no operating system.

For each world that is there (an emulated Cortex-M3 and RISC-V board; Linux without a libc on x86-64 and
AArch64): bytes of code and of data, by the sections of a subject's own objects and of those that it
cannot do without; of every operation of every strategy the most instructions (boards count them) and the
most stack that a call took, over the self-test's programs and those of the corpus that fit a heap of 32 KiB.
The same sources give the same figures, whatever else the machine does. What is missing for a world is
told with the package that has it.

The report goes to standard output and, with what was measured, to DIR/report.md and DIR/results.json. With
--history the figures become a campaign of that folder's history.db as well: all reports of that
folder tell them from then on, and how they differ from those before.
"""
import argparse
import datetime
import json
import os
import re
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from ci import campaign, elf_file, run_folder, workbench  # noqa: E402
from ci import status as status_line  # noqa: E402
from ci.command_line import Parser, names, report_folder  # noqa: E402
from ci.workbench import CannotRun, shown  # noqa: E402
from reports import files, footprint, markdown, rebuild, record, text  # noqa: E402
from reports.results import Footprint, Results  # noqa: E402

EPILOG = """\
examples:
  ci/footprint                                     all there is, about a minute
  ci/footprint --worlds cortex_m3
  ci/footprint --history out/overnight             to be told by the reports of that folder

exit codes: 0 measured, 2 could not run, or a world's program failed
"""

TARGET, FACTS = "//freestanding:footprint", "freestanding/footprint_facts.json"
PACK = "freestanding/worlds_few.pack"

# Seconds that a world's program may take.
_PATIENCE = 300

_LINE = re.compile(r"footprint (\w+) (\w+) calls=(\d+) instructions=(\d+|-) stack=(\d+)")
_WHOLE = "footprint: all of it was measured"


def parse_options(arguments):
    parser = Parser(prog="ci/footprint", description=__doc__, epilog=EPILOG, allow_abbrev=False,
                    formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=names, action="append", default=[], metavar="X,Y",
                        help="only these of %s; may be repeated (all)" % ", ".join(footprint.WORLDS))
    parser.add_outputs("footprint", "figures")
    options = parser.parse_args(arguments)
    options.worlds = sum(options.worlds, [])
    options.out = options.out or report_folder(workbench.ROOT, "footprint")
    return options


def sizes(path):
    """Bytes of code with constants, and of data, in an object."""
    try:
        sections = elf_file.ElfFile(path).sections
    except (OSError, elf_file.NoElf) as error:
        raise CannotRun("%s: %s" % (path, error)) from error
    return (sum(section.size for section in sections if section.loaded and not section.writable),
            sum(section.size for section in sections if section.writable))


def parse(printed):
    """[(strategy, operation, calls, instructions or None, stack)] of what a world's program says."""
    return [(strategy, operation, int(calls), None if instructions == "-" else int(instructions),
             int(stack)) for strategy, operation, calls, instructions, stack in _LINE.findall(printed)]


class Footprints:
    """One run, from options to rows."""

    def __init__(self, options, status, bench):
        self._options, self._status, self._bench = options, status, bench

    def measure(self):
        """The document of results.json."""
        started = datetime.datetime.now(datetime.timezone.utc)
        clock = time.monotonic()
        self._bench.build([TARGET])
        with open(self._bench.program(FACTS), encoding="utf-8") as file:
            facts = json.load(file)
        wanted = workbench.choose(self._options.worlds, list(facts["worlds"]), "world")
        self._kinds = facts["subjects"]
        rows, missing, failed = [], {}, {}
        for world in wanted:
            there = facts["worlds"][world]
            if not there["there"]:
                packages = " ".join(there["missing"])
                missing[world] = "needs %s (ci/setup --worlds)" % packages if packages else \
                    "needs its own kind of processor"
                continue
            self._status.say("measuring %s" % footprint.world(world))
            rows += self._sizes(world)
            more, problem = self._calls(world)
            rows += more
            if problem:
                failed[world] = problem
        return {"schema": 1, "started": started.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "seconds": round(time.monotonic() - clock, 1), "version": workbench.source_version(),
                "options": {world: facts["worlds"][world]["options"] for world in wanted
                            if world not in missing},
                "missing": missing, "failed": failed, "footprints": rows}

    def _row(self, subject, world, operation, metric, value, calls=0):
        return {"subject": subject, "kind": self._kinds[subject], "world": world,
                "operation": operation, "metric": metric, "value": value, "calls": calls}

    def _sizes(self, world):
        found = {}
        with open(self._bench.program("freestanding/objects_%s.txt" % world), encoding="utf-8") as file:
            for line in file:
                subject, path = line.split()
                code, data = sizes(self._bench.program(path))
                before = found.get(subject, (0, 0))
                found[subject] = before[0] + code, before[1] + data
        return [self._row(subject, world, "", metric, value) for subject, both in found.items()
                for metric, value in zip(("code", "data"), both)]

    def _calls(self, world):
        """Rows, and why they are not all, or ""."""
        program = self._bench.program("freestanding/footprint_" + world)
        try:
            made = subprocess.run([program, self._bench.program(PACK)], stdin=subprocess.DEVNULL,
                                  capture_output=True, timeout=_PATIENCE, check=False)
        except subprocess.TimeoutExpired:
            return [], "its program took more than %d s" % _PATIENCE
        except OSError as error:
            return [], "%s: %s" % (program, error.strerror)
        printed = made.stdout.decode(errors="replace").replace("\r", "")
        rows = []
        for strategy, operation, calls, instructions, stack in parse(printed):
            if instructions is not None:
                rows.append(self._row(strategy, world, operation, "instructions", instructions, calls))
            rows.append(self._row(strategy, world, operation, "stack", stack, calls))
        if made.returncode or _WHOLE not in printed.splitlines():
            said = [line for line in printed.splitlines() if not _LINE.match(line)]
            return [], "its program ended with %d: %s" % (
                made.returncode, said[-1] if said else "and said nothing")
        return rows, ""


def note(told):
    """What is not there, and why."""
    return "; ".join("%s %s" % (footprint.world(world), why)
                     for world, why in {**told["missing"], **told["failed"]}.items())


def as_results(told, before=()):
    """`before`: Footprint rows of the history, to compare with."""
    values = {(row.subject, row.world, row.operation, row.metric): row.value for row in before}
    found = Results(footprints=sorted((Footprint(**row, before=values.get(
        (row["subject"], row["world"], row["operation"], row["metric"]))) for row in told["footprints"]),
        key=footprint.order))
    found.footprints_here, found.footprints_note = len(found.footprints), note(told)
    return found


def terminal(found):
    """For a terminal: the tables, and the sentence that says what came out."""
    parts = []
    for table in footprint.tables(found.footprints):
        parts += footprint.lines(table) + [""]
    return "\n".join(parts + [footprint.says(found)])


def _store(folder, told):
    """Adds a campaign to the history of a RunFolder; returns the former figures."""
    try:
        history = rebuild.open_folder(folder.path, lambda line: print(line, file=sys.stderr))
        last = history.one("SELECT max(id) AS id FROM campaigns")["id"]
        former = Results()
        if last is not None:
            footprint.read(history, last, former)
        mine = campaign.Campaign.begin(history, folder, "footprint", assay=told["version"],
                                       options={"worlds": told["options"]})
        with mine.writing():
            history.write("UPDATE campaigns SET started = ? WHERE id = ?", told["started"], mine.id)
            history.write("UPDATE runs SET started = ? WHERE id = ?", told["started"], mine.run)
            footprint.store(history, mine.id, told["footprints"])
        mine.set_phase("footprint", "failed" if told["failed"] else "done", told["seconds"], note(told))
        mine.end()
        record.checkpoint(history, mine.id, folder.path)
        history.close()
    except OSError as error:
        raise CannotRun(run_folder.explain(error, folder.path)) from error
    return former.footprints


def _write(folder, told, found):
    try:
        os.makedirs(folder, exist_ok=True)
        files.write_json(told, os.path.join(folder, "results.json"))
        files.write_whole(os.path.join(folder, "report.md"), markdown.footprints(found))
    except OSError as error:
        raise CannotRun(run_folder.explain(error, folder)) from error


def main(arguments=None):
    options = parse_options(arguments)
    status = status_line.Status(sys.stderr)
    folder = None
    try:
        if options.history:
            # Now, so that nobody measures and hears then that it is in use.
            folder = run_folder.RunFolder(options.history, folders=("campaigns",))
        if not options.prebuilt:
            workbench.set_up("--worlds")
            status.say("building (from nothing this takes a minute or two)")
        told = Footprints(options, status, workbench.Workbench(options.prebuilt)).measure()
        status.clear()
        if not told["footprints"]:
            raise CannotRun("nothing could be measured: " + note(told))
        found = as_results(told, _store(folder, told) if folder else ())
        _write(options.out, told, found)
        print(terminal(found))
        print("report: %s results.json" % shown(os.path.join(options.out, "report.md")))
        if folder:
            print("history: %s in %s" % (text.count(len(told["footprints"]), "figure"),
                                         shown(os.path.join(options.history, "history.db"))))
        return 2 if told["failed"] else 0
    except CannotRun as error:
        status.clear()
        print("ci/footprint: %s" % error, file=sys.stderr)
    except KeyboardInterrupt:
        print("ci/footprint: interrupted; nothing was stored", file=sys.stderr)
    finally:
        if folder:
            folder.release()
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
