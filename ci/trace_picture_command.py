#!/usr/bin/env python3
"""Draws what a trace asks for: what lives over time, sizes, lifetimes, threads.

FILE is a trace in any form that `assay import` knows; the figures are those of `assay stats --json`.
"""
import argparse
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from ci import workbench  # noqa: E402
from ci.command_line import Parser  # noqa: E402
from ci.workbench import CannotRun, shown  # noqa: E402
from reports import trace_picture  # noqa: E402

EPILOG = """\
examples:
  ci/trace_picture systemui.zip                       draws systemui.zip.svg
  ci/trace_picture my.trace --output picture.png

exit codes: 0 drawn, 2 could not run
"""


def parse_options(arguments):
    parser = Parser(prog="ci/trace_picture", description=__doc__, epilog=EPILOG, allow_abbrev=False,
                    formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", metavar="FILE")
    parser.add_argument("--output", metavar="PICTURE",
                        help="where to: SVG, or PNG if its name ends in .png (FILE.svg, here)")
    parser.add_argument("--prebuilt", metavar="DIR", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    options.output = options.output or os.path.basename(options.file) + ".svg"
    return options


def draw(options):
    bench = workbench.Workbench(options.prebuilt)
    if not os.path.isfile(options.file):
        raise CannotRun("%s: no such file" % options.file)
    bench.build(["//:assay"])
    stats = json.loads(bench.assay("stats", "--json", options.file))
    try:
        trace_picture.save(stats, options.output)
    except (OSError, trace_picture.NoStats) as error:
        raise CannotRun("%s: %s" % (options.file, error)) from error
    print("drawn: " + shown(os.path.abspath(options.output)))


def main(arguments):
    try:
        draw(parse_options(arguments))
    except CannotRun as error:
        print("ci/trace_picture: %s" % error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
