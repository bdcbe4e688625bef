"""Reads the numbers that a fuzz target keeps of itself (counters.h), while it runs or after."""
import dataclasses
import mmap
import struct

_MAGIC = 0x315443594153531A
_VERSION = 1
_HEADER = struct.Struct("=QIIIIQ")
_EXERCISED = "exercised:"

# No process counts so far; an allocator that goes astray may write an address here, which is more.
_MOST = 1 << 45


@dataclasses.dataclass
class Counters:
    executions: int = 0  # programs begun
    operations: int = 0  # of theirs, carried out
    refused: int = 0     # of these, answered with NULL
    skipped: int = 0     # operations that there was nothing to do for
    violations: int = 0  # programs that ended in one
    states_lost: int = 0                                        # times a state found no place
    exercised: dict = dataclasses.field(default_factory=dict)   # property -> times
    states: dict = dataclasses.field(default_factory=dict)      # abstract state -> programs


def _check(numbers, names):
    """FNV-1a, 64 bits."""
    value = 14695981039346656037
    for byte in struct.pack("=IIII", *numbers) + b"".join(names):
        value = (value ^ byte) * 1099511628211 % 2**64
    return value


def read(path):
    """Counters; None if the file is absent, not yet whole, or damaged."""
    try:
        with open(path, "rb") as f, mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as memory:
            return _read(memory)
    except (OSError, ValueError):  # an empty file cannot be mapped
        return None


def _read(memory):
    if len(memory) < _HEADER.size:
        return None
    magic, version, rows, states, name_size, check = _HEADER.unpack_from(memory)
    row_size = name_size + 8
    start = _HEADER.size + rows * row_size
    if (magic, version) != (_MAGIC, _VERSION) or name_size % 8 or \
            len(memory) != start + states * 16:
        return None
    places = range(_HEADER.size, start, row_size)
    names = [memory[place:place + name_size] for place in places]
    if _check((version, rows, states, name_size), names) != check:
        return None
    # Word by word: a copy of bytes could catch half of a number that is being added to.
    with memoryview(memory) as view, view.cast("Q") as words:
        values = [words[(place + name_size) // 8] for place in places]
        table = list(words[start // 8:])
    if max(values + table[1::2], default=0) > _MOST:
        return None
    told = Counters()
    for name, value in zip(names, values):
        name = name.rstrip(b"\0").decode(errors="replace")
        if name.startswith(_EXERCISED):
            told.exercised[name[len(_EXERCISED):]] = value
        elif hasattr(told, name.replace("-", "_")):
            setattr(told, name.replace("-", "_"), value)
    # One that was killed between taking a place and counting has taken it for nothing.
    told.states = {state: hits for state, hits in zip(table[::2], table[1::2]) if state and hits}
    return told
