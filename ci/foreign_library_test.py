#!/usr/bin/env python3
"""What is told of a library before anything of it runs."""
import argparse
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import types
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)
from ci import foreign_library  # noqa: E402
from ci.workbench import CannotRun  # noqa: E402

LEAST = "void *malloc(unsigned long n) { return 0; } void free(void *p) {}\n"
PREFIXED = LEAST.replace("malloc", "x_malloc").replace("free", "x_free")


def options(**told):
    return types.SimpleNamespace(**dict({"heap_limit": None, "alignment": None, "max_alignment": None,
                                         "bits": 0, "prefix": ""}, **told))


class LibraryTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)

    def path(self, name):
        return os.path.join(self.folder, name)

    def library(self, text, *flags):
        with open(self.path("lib.c"), "w", encoding="utf-8") as file:
            file.write(text)
        subprocess.run([OPTIONS.clang, "-w", "-shared", "-fPIC", "-nostdlib", *flags, "-o",
                        self.path("lib.so"), self.path("lib.c")], check=True)
        return self.path("lib.so")

    def understand(self, text, **told):
        path = self.library(text)
        said = options(**told)
        return foreign_library.understand(path, said.prefix, foreign_library.read(path), said)

    def test_what_is_no_library(self):
        with self.assertRaisesRegex(CannotRun, "is a folder"):
            foreign_library.read(self.folder)
        with self.assertRaisesRegex(CannotRun, "No such file"):
            foreign_library.read(self.path("none.so"))
        with open(self.path("text.so"), "w", encoding="utf-8") as file:
            file.write("GROUP ( libc.so.6 )\n")
        with self.assertRaisesRegex(CannotRun, "not a shared library, but no ELF file"):
            foreign_library.read(self.path("text.so"))
        path = self.library(LEAST)
        with open(path, "r+b") as file:
            file.truncate(700)
        with self.assertRaisesRegex(CannotRun, "damaged ELF file"):
            foreign_library.read(path)

    def test_symbols_without_names(self):
        path = self.library(LEAST)
        with open(path, "r+b") as file:
            data = file.read()
            start, = struct.unpack_from("<Q", data, 40)
            size, count = struct.unpack_from("<HH", data, 58)
            headers = [start + i * size for i in range(count)]
            symbols = next(at for at in headers if struct.unpack_from("<I", data, at + 4) == (11,))
            file.seek(symbols + 40)
            file.write(struct.pack("<I", 9999))     # of the section with the names
        with self.assertRaisesRegex(CannotRun, "damaged ELF file"):
            foreign_library.read(path)

    def test_objects_and_other_machines(self):
        self.library(LEAST)
        subprocess.run([OPTIONS.clang, "-w", "-c", "-o", self.path("lib.o"), self.path("lib.c")], check=True)
        with self.assertRaisesRegex(CannotRun, "link it with -shared"):
            foreign_library.read(self.path("lib.o"))
        with open(self.path("lib.so"), "r+b") as file:
            file.seek(18)
            file.write(struct.pack("<H", 183))
        with self.assertRaisesRegex(CannotRun, "a library for AArch64: it cannot run here"):
            foreign_library.read(self.path("lib.so"))

    def test_least(self):
        foreign = self.understand(LEAST)
        self.assertEqual(foreign.tiers, ["core", "exhaustion", "huge", "edge"])
        self.assertEqual(set(foreign.left_out), {"reinit", "resize"})
        self.assertIn("without realloc, calloc, malloc_usable_size, aligned_alloc, posix_memalign, memalign, "
                      "which it does not export", foreign.notes)
        self.assertIn("by one thread, as it does nothing about threads", foreign.notes)
        self.assertIn("FOREIGN_NATURAL_ALIGN=1", foreign.defines)
        self.assertIn("FOREIGN_LIMIT=((size_t)20971520)", foreign.defines)
        self.assertFalse([each for each in foreign.defines if "FOREIGN_HAS" in each])

    def test_most(self):
        foreign = self.understand(
            LEAST + "_Thread_local int mine; int *own(void) { return &mine; }\n"
            "void *realloc(void *p, unsigned long n) { return 0; }"
            "void *memalign(unsigned long a, unsigned long n) { return 0; }",
            alignment=16, max_alignment=128, heap_limit=1 << 20)
        self.assertEqual(foreign.tiers, ["core", "resize", "exhaustion", "huge", "edge"])
        for define in ("FOREIGN_HAS_RESIZE=1", "FOREIGN_HAS_ALIGNED=1", "FOREIGN_ALIGN=16",
                       "FOREIGN_MAX_ALIGN=128", "FOREIGN_CONCURRENT=1", "FOREIGN_LIMIT=((size_t)1048576)"):
            self.assertIn(define, foreign.defines)
        self.assertNotIn("FOREIGN_HAS_ZEROED=1", foreign.defines)

    def test_missing_names_and_prefixes(self):
        with self.assertRaisesRegex(CannotRun, "does not export malloc nor free: say --prefix x_ .*"
                                    "malloc and free are required; optional, and not there either: realloc"):
            self.understand(PREFIXED)
        self.assertIn('FOREIGN_PREFIX="x_"', self.understand(PREFIXED, prefix="x_").defines)
        with self.assertRaisesRegex(CannotRun, "does not export je_malloc nor je_free: say no --prefix"):
            self.understand(LEAST, prefix="je_")
        with self.assertRaisesRegex(CannotRun, r"does not export free \("):
            self.understand("void *malloc(unsigned long n) { return 0; }")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--clang", default="clang-19")
    OPTIONS, rest = parser.parse_known_args()
    unittest.main(argv=sys.argv[:1] + rest)
