"""Packs: programs and the strategies they are for, as programs without files read them (replay.h)."""
import struct

MAGIC = b"ASSAYPK1"
RECORD = 16

# What every world has: WORLD_HEAP_SIZE of world.h, pages that a heap of that size has some of, and
# as many slots as limits_tight.h says.
HEAP_SIZE = 32768
LARGEST_PAGE = 12  # its binary logarithm, as the next one is
MOST_SLOTS = 8

# How a heap's record says these (harness/program.c).
MIN_PAGE, PAGES, DEFAULT_PAGE = 6, 11, 12
SLOTS, DEFAULT_SLOTS = 25, 6
DEFAULT_CAPACITY, MAX_CAPACITY, RANDOM_CAPACITY = 1 << 16, 1 << 36, 1 << 20


class Damaged(Exception):
    """Bytes that are no pack."""


def capped(program):
    """The program with its heap cut down to what every world has. The host's oracle runs the same one."""
    if len(program) < RECORD:
        program = bytes(RECORD) + program[RECORD:]
    code, page, thread, skew, size = struct.unpack_from("<BBHIQ", program)
    capacity = size or DEFAULT_CAPACITY
    if capacity > MAX_CAPACITY:
        capacity = 1 + capacity % RANDOM_CAPACITY
    shift = DEFAULT_PAGE - MIN_PAGE
    if (page + shift) % PAGES > LARGEST_PAGE - MIN_PAGE:
        page = (LARGEST_PAGE - DEFAULT_PAGE) % PAGES
    slots = ((thread >> 8) + DEFAULT_SLOTS) % SLOTS
    if slots > MOST_SLOTS:
        thread = (MOST_SLOTS - DEFAULT_SLOTS) % SLOTS << 8 | thread & 0xff
    return struct.pack("<BBHIQ", code, page, thread, skew, min(capacity, HEAP_SIZE)) + program[RECORD:]


def encode(entries):
    """The bytes of a pack of (strategy, program)."""
    parts = [MAGIC]
    for name, program in entries:
        parts += [bytes([len(name)]), name.encode(), struct.pack("<I", len(program)), program]
    return b"".join(parts + [b"\0"])


def decode(data):
    """The entries of a pack; raises Damaged."""
    if data[:len(MAGIC)] != MAGIC:
        raise Damaged("it does not begin as a pack")
    entries, at = [], len(MAGIC)
    while at < len(data) and data[at]:
        name = data[at + 1:at + 1 + data[at]]
        at += 1 + len(name)
        if len(data) < at + 4:
            raise Damaged("it ends inside an entry")
        size, = struct.unpack_from("<I", data, at)
        entries.append((name.decode(), data[at + 4:at + 4 + size]))
        at += 4 + size
    if at + 1 != len(data):
        raise Damaged("it has no end")
    return entries
