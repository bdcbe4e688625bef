"""Reads what a build and a loader ask of an ELF file: its machine, sections and symbols.

Works on objects, shared libraries and programs of either width, little-endian as all that Assay
runs on is.
"""
import dataclasses
import struct

MACHINES = {3: "i386", 40: "ARM", 62: "x86-64", 183: "AArch64", 243: "RISC-V", 8: "MIPS", 21: "PowerPC64",
            22: "S/390"}

# Of a file: ET_DYN.
SHARED = 3

_SYMTAB, _DYNSYM = 2, 11
_WRITE, _ALLOC, _TLS = 1, 2, 0x400


class NoElf(ValueError):
    """The file is none, or is damaged; says which."""


@dataclasses.dataclass(frozen=True)
class Section:
    name: str
    flags: int
    size: int

    @property
    def loaded(self):
        return bool(self.flags & _ALLOC)

    @property
    def writable(self):
        return bool(self.flags & _WRITE and self.flags & _ALLOC and not self.flags & _TLS)

    @property
    def thread_local(self):
        return bool(self.flags & _TLS and self.size)


@dataclasses.dataclass(frozen=True)
class Symbol:
    name: str
    section: int             # 0: not defined here
    binding: int             # 0 local, 1 global, 2 weak, 10 unique

    @property
    def defined(self):
        return self.section != 0

    @property
    def exported(self):
        return self.binding in (1, 2, 10)


class ElfFile:
    """An ELF file that was read. NoElf if it is none, or names what it does not hold."""

    def __init__(self, path):
        with open(path, "rb") as file:
            self._data = file.read()
        if self._data[:4] != b"\x7fELF":
            raise NoElf("no ELF file")
        try:
            self._read()
            self._symbols = {kind: list(self._read_symbols(kind)) for kind in (_SYMTAB, _DYNSYM)}
        except NoElf:
            raise
        except (struct.error, IndexError, ValueError) as error:
            raise NoElf("a damaged ELF file") from error

    def _read(self):
        data = self._data
        self.bits = {1: 32, 2: 64}.get(data[4], 0)
        if not self.bits or data[5] != 1:
            raise NoElf("an ELF file of a big-endian machine" if data[5] == 2 else "a damaged ELF file")
        self.kind, machine = struct.unpack_from("<HH", data, 16)
        self.machine = MACHINES.get(machine, "machine %d" % machine)
        if self.bits == 64:
            offset, = struct.unpack_from("<Q", data, 40)
            size, count, names = struct.unpack_from("<HHH", data, 58)
        else:
            offset, = struct.unpack_from("<I", data, 32)
            size, count, names = struct.unpack_from("<HHH", data, 46)
        raw = [struct.unpack_from("<IIQQQQII" if self.bits == 64 else "<IIIIIIII", data,
                                  offset + i * size) for i in range(count)]
        # (name, type, flags, address, offset, size, link, info)
        self._raw = raw
        self.sections = [Section(self._string(names, each[0]), each[2], each[5]) for each in raw]

    def _string(self, table, offset):
        start = self._raw[table][4] + offset
        return self._data[start:self._data.index(b"\0", start)].decode("utf-8", "replace")

    def _read_symbols(self, wanted):
        form = "<IBBHQQ" if self.bits == 64 else "<IIIBBH"
        size = struct.calcsize(form)
        for each in self._raw:
            if each[1] != wanted:
                continue
            for at in range(each[4], each[4] + each[5] // size * size, size):
                fields = struct.unpack_from(form, self._data, at)
                if self.bits == 64:
                    name, info, _, section, _, _ = fields
                else:
                    name, _, _, info, _, section = fields
                if name:
                    yield Symbol(self._string(each[6], name), section, info >> 4)

    def symbols(self):
        """Of an object file."""
        return self._symbols[_SYMTAB]

    def dynamic_symbols(self):
        """Of a shared library, without the versions that may hang on their names."""
        return self._symbols[_DYNSYM]

    @property
    def has_thread_locals(self):
        return any(section.thread_local for section in self.sections)
