#!/usr/bin/env python3
"""Offline stand-in for Bazel's Java CoverageOutputGenerator: merges lcov files.

Bazel calls it in two ways:
  per test:  --coverage_dir=D --output_file=O [--filter_sources=RE]... [--source_file_manifest=M]
  combined:  --reports_file=LIST --output_file=O
"""
import collections
import os
import re
import sys


class Source:
    """What is known about one source file."""

    def __init__(self):
        self.functions = {}
        self.calls = collections.Counter()
        self.lines = collections.Counter()
        self.branches = collections.Counter()

    def add(self, tag, value):
        if tag == "FN":
            line, function = value.split(",", 1)
            self.functions[function] = int(line)
        elif tag == "FNDA":
            count, function = value.split(",", 1)
            self.calls[function] += int(count)
        elif tag == "DA":
            line, count = value.split(",")[:2]
            self.lines[int(line)] += int(count)
        elif tag == "BRDA":
            line, block, branch, count = value.split(",")
            self.branches[int(line), block, branch] += 0 if count == "-" else int(count)

    def write(self, name, out):
        out.write("SF:%s\n" % name)
        for function, line in sorted(self.functions.items(), key=lambda item: item[1]):
            out.write("FN:%d,%s\n" % (line, function))
        for function in sorted(self.functions):
            out.write("FNDA:%d,%s\n" % (self.calls[function], function))
        hit = sum(1 for function in self.functions if self.calls[function])
        out.write("FNF:%d\nFNH:%d\n" % (len(self.functions), hit))
        for (line, block, branch), count in sorted(self.branches.items()):
            out.write("BRDA:%d,%s,%s,%d\n" % (line, block, branch, count))
        hit = sum(1 for count in self.branches.values() if count)
        out.write("BRF:%d\nBRH:%d\n" % (len(self.branches), hit))
        for line, count in sorted(self.lines.items()):
            out.write("DA:%d,%d\n" % (line, count))
        hit = sum(1 for count in self.lines.values() if count)
        out.write("LH:%d\nLF:%d\nend_of_record\n" % (hit, len(self.lines)))


def parse_options(args):
    options = collections.defaultdict(list)
    for arg in args:
        key, _, value = arg.lstrip("-").partition("=")
        options[key].append(value)
    return options


def read_lines(path):
    with open(path, errors="replace") as f:
        return [line.strip() for line in f if line.strip()]


def find_inputs(options, output):
    paths = []
    for directory in options["coverage_dir"]:
        for root, _, names in os.walk(directory):
            paths += [os.path.join(root, name) for name in names if name.endswith(".dat")]
    for listing in options["reports_file"]:
        paths += read_lines(listing)
    return sorted(p for p in paths if os.path.realpath(p) != os.path.realpath(output))


def main():
    options = parse_options(sys.argv[1:])
    output = options["output_file"][0]
    filters = [re.compile(pattern) for pattern in options["filter_sources"]]
    manifest = {line for path in options["source_file_manifest"] for line in read_lines(path)}

    def wanted(name):
        return not any(f.match(name) for f in filters) and (not manifest or name in manifest)

    sources = collections.defaultdict(Source)
    for path in find_inputs(options, output):
        current = None
        for line in read_lines(path):
            tag, _, value = line.partition(":")
            if tag == "SF":
                current = sources[value] if wanted(value) else None
            elif current:
                current.add(tag, value)
    with open(output, "w") as out:
        for name in sorted(sources):
            sources[name].write(name, out)


if __name__ == "__main__":
    main()
