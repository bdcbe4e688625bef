#!/usr/bin/env python3
"""Images need nothing that is not in them: no undefined symbol, no loader, no library.

usage: image_test.py IMAGE.elf...

Says how large each is: bytes of code and constants, of initialised data, and of memory that is
zeroed. That the check sees what it looks for is tried on each image with one thing spoiled.
"""
import os
import struct
import sys

PT_LOAD, PT_DYNAMIC, PT_INTERP = 1, 2, 3
SHT_SYMTAB, SHT_NOBITS = 2, 8
SHF_WRITE, SHF_ALLOC = 1, 2


class Image:
    """An ELF file of either width, little-endian (Tool Interface Standard, ELF 1.2)."""

    def __init__(self, data):
        assert data[:4] == b"\x7fELF" and data[5] == 1, "no ELF file of a little-endian machine"
        self.data, self.wide = data, data[4] == 2
        header = struct.unpack_from("<HHIQQQIHHHHHH" if self.wide else "<HHIIIIIHHHHHH", data, 16)
        self.segments_at, self.sections_at = header[4], header[5]
        self.segment_size, self.segments, self.section_size, self.sections = header[8:12]

    def segment_kinds(self):
        """(where it is said in the file, kind) of each program header."""
        for i in range(self.segments):
            at = self.segments_at + i * self.segment_size
            yield at, struct.unpack_from("<I", self.data, at)[0]

    def section(self, index):
        """(kind, flags, offset, size, entry size, linked section)."""
        at = self.sections_at + index * self.section_size
        (_, kind, flags, _, offset, size, link, _, _, entry) = struct.unpack_from(
            "<IIQQQQIIQQ" if self.wide else "<IIIIIIIIII", self.data, at)
        return kind, flags, offset, size, entry, link

    def symbols(self):
        """(where its section is said in the file, name, section) of each symbol."""
        for i in range(self.sections):
            kind, _, offset, size, entry, link = self.section(i)
            if kind != SHT_SYMTAB:
                continue
            names = self.section(link)[2]
            for at in range(offset + entry, offset + size, entry):
                name = names + struct.unpack_from("<I", self.data, at)[0]
                where = at + (6 if self.wide else 14)
                yield (where, self.data[name:self.data.index(b"\0", name)].decode(),
                       struct.unpack_from("<H", self.data, where)[0])

    def sizes(self):
        """Bytes of (code and constants, initialised data, zeroed memory)."""
        text = data = zeroed = 0
        for i in range(self.sections):
            kind, flags, _, size, _, _ = self.section(i)
            if not flags & SHF_ALLOC:
                continue
            if kind == SHT_NOBITS:
                zeroed += size
            elif flags & SHF_WRITE:
                data += size
            else:
                text += size
        return text, data, zeroed


def wants(data):
    """What an image needs from elsewhere, as a list of texts."""
    image = Image(data)
    found = ["a loader" for _, kind in image.segment_kinds() if kind in (PT_INTERP, PT_DYNAMIC)]
    symbols = list(image.symbols())
    if not symbols:
        return found + ["a symbol table: it was stripped"]
    return found + ["symbol " + name for _, name, section in symbols if section == 0]


def spoiled(data):
    """Copies of an image, each with one thing that it would need from elsewhere."""
    image = Image(data)
    where, name, _ = next(s for s in image.symbols() if s[1] == "world_console")
    yield data[:where] + b"\0\0" + data[where + 2:], "symbol " + name
    where = next(at for at, kind in image.segment_kinds() if kind == PT_LOAD)
    yield data[:where] + struct.pack("<I", PT_INTERP) + data[where + 4:], "a loader"


def main():
    failed = False
    for path in sys.argv[1:]:
        with open(path, "rb") as file:
            data = file.read()
        found = wants(data)
        if found:
            failed = True
            print("FAILED %s: it needs %s" % (path, ", ".join(found)))
            continue
        for damaged, want in spoiled(data):
            if wants(damaged) != [want]:
                failed = True
                print("FAILED %s: without %s it is called whole: %s" % (path, want, wants(damaged)))
        print("%s: %d bytes of code and constants, %d of data, %d zeroed" %
              ((os.path.basename(path),) + Image(data).sizes()))
    return 1 if failed or len(sys.argv) < 2 else 0


if __name__ == "__main__":
    sys.exit(main())
