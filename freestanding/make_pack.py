#!/usr/bin/env python3
"""Makes a pack of programs for worlds without files: each on the strategies that it is for.

    make_pack.py --assay PROGRAM --output PACK --strategy NAME... --program FILE... --known FILE...

A program of the corpus (--program, in bytes) is for all strategies. A smallest known program of a
planted bug (--known, <strategy>.<bug>.txt) is for that planted bug, and for the clean strategy. Heaps
are cut down to what every world has (pack.py).
"""
import argparse
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from freestanding import pack  # noqa: E402

TRACE_HEADER = 64


def records_of_text(assay, paths):
    """What the records of programs in text are, by path: assay makes traces of them."""
    records = {}
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([assay, "import", "--output", folder, *paths], check=True,
                       stdout=subprocess.DEVNULL)
        for path in paths:
            with open(os.path.join(folder, os.path.basename(path) + ".trace"), "rb") as file:
                records[path] = file.read()[TRACE_HEADER:]
    return records


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--assay", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--strategy", nargs="+", default=[])
    parser.add_argument("--program", nargs="+", default=[])
    parser.add_argument("--known", nargs="+", default=[])
    options = parser.parse_args()

    entries = []
    for path in sorted(options.program):
        with open(path, "rb") as file:
            program = pack.capped(file.read())
        entries += [(strategy, program) for strategy in options.strategy]
    for path, program in sorted(records_of_text(options.assay, options.known).items()):
        strategy, bug, _ = os.path.basename(path).split(".")
        entries += [(name, pack.capped(program)) for name in (strategy + "+" + bug, strategy)]
    with open(options.output, "wb") as file:
        file.write(pack.encode(entries))


if __name__ == "__main__":
    main()
