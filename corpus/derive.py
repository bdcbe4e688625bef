#!/usr/bin/env python3
"""Derives small corpus seeds from traces of real programs.

    corpus/derive.py [--operations N] [--count N] --out DIR TRACE...

Cuts windows of N operations out of each trace, spread evenly over it, each as a program of its own:
blocks that were there before the window are left out, live ones get the lowest free slot of 64, and
the heap is small enough for the window to fill it. Each seed is named by the SHA-1 of its content.
Traces come from `assay record`.
"""
import argparse
import hashlib
import os
import struct
import sys

HEADER = 64
RECORD = struct.Struct("<BBHIQ")
SLOTS = 64
ALLOCATE, ZEROED, RELEASE, RESIZE = range(4)
# Sizes of a window that all fit; larger ones would only be refused.
LARGEST = 8192


def read_trace(path):
    """The records of the operations; exits with one line if this is no trace."""
    with open(path, "rb") as file:
        data = file.read()
    if data[:8] != b"assaytrc" or (len(data) - HEADER) % RECORD.size:
        sys.exit("derive.py: %s: not a whole trace; `assay record` makes them" % path)
    return list(RECORD.iter_unpack(data[HEADER:]))[1:]


def cut(records, start, count):
    """The program of a window: its heap's record and its operations."""
    slots, free, out, live, peak = {}, list(range(SLOTS)), [], {}, 0
    for code, align, _, slot, size in records[start:]:
        kind = code & 15
        if len(out) == count:
            break
        if kind == RELEASE:
            if slot not in slots:
                continue
            name = slots.pop(slot)
            free.insert(0, name)
            live.pop(name)
            out.append((code, 0, 0, name, 0))
            continue
        if kind not in (ALLOCATE, ZEROED, RESIZE) or size > LARGEST:
            continue
        if slot not in slots:
            if kind == RESIZE or not free:
                continue
            slots[slot] = free.pop(0)
        name = slots[slot]
        live[name] = size * ((code >> 4) + 1)
        peak = max(peak, sum(live.values()))
        out.append((code, align, 0, name, size))
    # Headers aside, about a quarter more than the peak: the end is near, but not always reached.
    capacity = max(1024, (peak + 48 * len(live)) * 5 // 4)
    return [(0, 0, 0, 0, capacity)] + out


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--operations", type=int, default=63, help="of a seed (%(default)s)")
    parser.add_argument("--count", type=int, default=2, help="seeds of a trace (%(default)s)")
    parser.add_argument("--out", required=True, help="an existing folder")
    parser.add_argument("traces", nargs="+", metavar="TRACE")
    options = parser.parse_args()
    for path in options.traces:
        records = read_trace(path)
        for i in range(options.count):
            program = cut(records, len(records) * i // options.count, options.operations)
            data = b"".join(RECORD.pack(*record) for record in program)
            name = os.path.join(options.out, hashlib.sha1(data).hexdigest())
            with open(name, "wb") as file:
                file.write(data)
            print("%s: %d operations of %s" % (name, len(program) - 1, path))


if __name__ == "__main__":
    main()
