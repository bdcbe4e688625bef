#!/usr/bin/env python3
"""The malloc-lab examples get the verdicts that their comments promise: each bug is found in the tier that
it belongs to, under a name that fits, and what is right is clean in all of them.

usage: mm_examples_test.py KIT_FOLDER 64|32

From the same seeds, so often as programs and not as long as time: a slow machine makes no difference.
"""
import argparse
import os
import re
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from ci import foreign_build, foreign_mm  # noqa: E402

EXAMPLES = os.path.join(foreign_build.ROOT, "allocators", "foreign", "examples")
PROGRAMS = {"address": "fuzz/foreign_libfuzzer.elf", "none": "fuzz/foreign_plain_libfuzzer.elf"}

# How many programs, and how many bytes each has at most.
RUNS, LENGTH = 8000, 1024

CLEAN = None
ALL = foreign_build.TIERS

NARROW = ("mm_32_bit",)
FIXED = ("mm_fixed_place",)
RIGHT = ("mm_classic", "mm_modern") + FIXED + NARROW

# What the first finding of a tier may be, with ASan.
EXPECTED = {
    **{name: dict.fromkeys(ALL, CLEAN) for name in RIGHT},
    "mm_no_epilogue": {"core": {"crash", "outside-heap"}},
    "mm_reads_past_break": {"core": {"outside-heap"}},
    "mm_realloc_copies_too_much": {
        "core": CLEAN, "resize": {"touched-live-block", "overlapping-copy", "outside-heap"}},
    "mm_size_wraps": {"core": CLEAN, "resize": CLEAN, "reinit": CLEAN, "exhaustion": CLEAN,
                      "huge": {"oversize-accepted"}},
    "mm_stale_lists": {"core": CLEAN, "resize": CLEAN, "exhaustion": CLEAN, "edge": CLEAN,
                       "reinit": {"bounds", "outside-heap", "touched-live-block", "overlap"}},
    "mm_unaligned": {"core": {"alignment"}},
}

# And without, where damage must have been done first. Reading alone does none.
UNGUARDED = {
    "mm_reads_past_break": {"core": CLEAN},
    "mm_stale_lists": {"reinit": {"bounds", "crash", "overlap", "content"}},
}


def options():
    return argparse.Namespace(alignment=None, bits=0, include=[], cflag=[], heap_limit=20 << 20)


class Examples(unittest.TestCase):

    kit = None

    def setUp(self):
        base = tempfile.TemporaryDirectory(dir=os.environ.get("TEST_TMPDIR"))
        self.addCleanup(base.cleanup)
        self.base = base.name

    def build(self, name, folder=EXAMPLES):
        builder = foreign_build.Builder(os.path.join(self.base, "build-" + name),
                                        os.path.join(self.base, "cache"),
                                        foreign_build.Kits("", self.kit))
        self.addCleanup(builder.close)
        foreign = foreign_mm.prepare(builder, [os.path.join(folder, name + ".c")], options(), print)
        builder = getattr(foreign, "builder", builder)
        builder.link(foreign, list(PROGRAMS.values()))
        return builder.folder, foreign

    def first_finding(self, program, tier):
        """The property, or None."""
        result = subprocess.run(
            [program, "-seed=1", "-runs=%d" % RUNS, "-max_len=%d" % LENGTH,
             "-artifact_prefix=%s/" % self.base],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False,
            env=dict(os.environ, ASSAY_STRATEGY=tier))
        said = result.stderr.decode(errors="replace")
        found = re.search(r"^ASSERTION FAILED: (\S+)", said, re.MULTILINE)
        self.assertEqual(result.returncode == 0, not found, said[-2000:])
        if not found:
            self.assertIn("Done %d runs" % RUNS, said)
        return found.group(1) if found else CLEAN

    def expect(self, folder, sanitizer, expected):
        for tier, properties in expected.items():
            with self.subTest(tier=tier, sanitizer=sanitizer):
                found = self.first_finding(os.path.join(folder, PROGRAMS[sanitizer]), tier)
                self.assertIn(found, properties or {CLEAN})

    def test_all_examples_are_here(self):
        files = {name[:-2] for name in os.listdir(EXAMPLES) if re.fullmatch(r"mm_\w+\.c", name)}
        self.assertEqual(files, set(EXPECTED))


class Wide(Examples):

    def test_how_they_are_built(self):
        _, foreign = self.build("mm_modern")
        self.assertEqual(foreign.tiers, list(ALL))
        self.assertIn("FOREIGN_MM_INIT_BOOL=1", foreign.defines)
        self.assertIn("FOREIGN_HAS_ZEROED=1", foreign.defines)
        self.assertIn("FOREIGN_ALIGN=16", foreign.defines)
        self.assertFalse(foreign.forked)
        self.assertEqual(foreign.bits, 64)


    def write(self, name, text):
        path = os.path.join(self.base, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)

    def test_what_mem_sbrk_takes(self):
        # What the source believes, in a header of its own or in its own words.
        classic = os.path.join(EXAMPLES, "mm_classic.c")
        self.write("header/memlib.h", "#include <unistd.h>\nvoid *mem_sbrk(int incr);\n"
                   "void *mem_heap_lo(void);\nvoid *mem_heap_hi(void);\n")
        self.write("header/own_header.c", '#include "memlib.h"\n#define ASSAY_MEMLIB_H_\n'
                   '#include "%s"\n' % classic)
        self.write("words/own_words.c", "extern void *mem_sbrk (int incr);\n#define ASSAY_MEMLIB_H_\n"
                   '#include "%s"\n' % classic)
        for where, name in (("header", "own_header"), ("words", "own_words")):
            folder, foreign = self.build(name, os.path.join(self.base, where))
            self.assertIn("FOREIGN_MM_SBRK_INT=1", foreign.defines)
            self.expect(folder, "none", {"resize": CLEAN})
        _, foreign = self.build("mm_classic")
        self.assertNotIn("FOREIGN_MM_SBRK_INT=1", foreign.defines)


class Narrow(Examples):

    def test_how_they_are_built(self):
        _, foreign = self.build("mm_32_bit")
        self.assertEqual(foreign.bits, 32)


def case(name):
    def test(self):
        folder, foreign = self.build(name)
        self.assertFalse(foreign.forked)
        # Whose programs are all without ASan.
        self.assertEqual(foreign.fixed, name in FIXED)
        self.expect(folder, "address", EXPECTED[name])
        clean = {tier: CLEAN for tier, properties in EXPECTED[name].items() if properties is CLEAN}
        self.expect(folder, "none", UNGUARDED.get(name, clean))
    return test


for example in EXPECTED:
    setattr(Narrow if example in NARROW else Wide, "test_" + example, case(example))


if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[2] not in ("64", "32"):
        sys.exit(__doc__)
    # Bazel names one of its files.
    given, bits = sys.argv[1:3]
    del sys.argv[1:3]
    Examples.kit = given if os.path.isdir(given) else os.path.dirname(given)
    unittest.main(defaultTest="Wide" if bits == "64" else "Narrow")
