#!/usr/bin/env python3
"""The worked examples of heaps and libraries (allocators/foreign/examples) get the verdicts that they are due."""
import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)
from ci import check_command, foreign_build  # noqa: E402

EXAMPLES = os.path.join(ROOT, "allocators", "foreign", "examples")

GLOBAL = ["--heap", "heap_global.c", "--init", "pool_init", "--alloc", "pool_alloc", "--free", "pool_free",
          "--realloc", "pool_realloc"]
HANDLE = ["--heap", "heap_handle.c", "--init", "heap_create", "--alloc", "heap_alloc", "--free", "heap_free",
          "--align", "heap_alloc_aligned"]
BREAK = ["--heap", "heap_break.c", "--alloc", "my_malloc", "--free", "my_free", "--realloc", "my_realloc"]
NARROW = ["--heap", "heap_32_bit.c", "--init", "ram_init", "--alloc", "ram_alloc", "--free", "ram_free"]
SIZED = ["--heap", "heap_sized.c", "--init", "pool_setup", "--alloc", "pool_get", "--free", "pool_put"]
PAGES = ["--adapter", "heap_pages.adapter"]

# What may come first when one block is written over by what belongs to another.
DAMAGE = {"overlap", "content", "touched-live-block", "crash", "hang", "outside-heap", "undefined-behaviour",
          "bounds", "resize-prefix", "spurious-oom"}

PROGRAMS = ["fuzz/foreign_libfuzzer.elf", "fuzz/foreign_plain_libfuzzer.elf"]

# Programs to be run by each; of libraries fewer, as each is a process.
CLEAN_RUNS, LIBRARY_RUNS, DAMAGED_RUNS = 1500, 150, 60000


class ExamplesTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cache = tempfile.mkdtemp()
        cls.kits = foreign_build.Kits(cls.cache, OPTIONS.kit)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.cache)

    def build(self, arguments):
        """The folder of the programs, and the Foreign."""
        folder = tempfile.mkdtemp(dir=self.cache)
        before = os.getcwd()
        os.chdir(EXAMPLES)
        try:
            options = check_command.parse_options(arguments)
            builder = foreign_build.Builder(folder, self.cache, self.kits)
            foreign = check_command.prepare(options, builder, lambda line: None)
            foreign.builder.link(foreign, PROGRAMS)
            builder.close()
        finally:
            os.chdir(before)
        return folder, foreign

    def library(self, *flags):
        path = os.path.join(tempfile.mkdtemp(dir=self.cache), "libsmall.so")
        subprocess.run([self.kits.get(64).compiler, "-shared", "-fPIC", "-O1", "-o", path, *flags,
                        os.path.join(EXAMPLES, "lib_small.c"), "-lpthread"], check=True)
        return path

    def run_tier(self, folder, program, tier, runs, inputs=(), work=None):
        """The property that was violated, or "" and how many programs were run."""
        work = work or tempfile.mkdtemp(dir=self.cache)
        result = subprocess.run(
            [os.path.join(folder, program), "-runs=%d" % runs, "-seed=1", "-max_len=2048",
             "-detect_leaks=0", *inputs], cwd=work, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, timeout=200, check=False,
            env=dict(os.environ, ASSAY_STRATEGY=tier, ASAN_OPTIONS="allocator_may_return_null=1"))
        said = result.stdout.decode(errors="replace")
        found = re.search(r"ASSERTION FAILED: (\S+)", said)
        if result.returncode == 0:
            self.assertIsNone(found, said[-2000:])
            done = re.search(r"Done (\d+) runs", said)
            self.assertIsNotNone(done, said[-2000:])
            return "", int(done.group(1))
        self.assertIsNotNone(found, said[-3000:])
        return found.group(1), 0

    def expect_clean(self, arguments, tiers, wanted=CLEAN_RUNS):
        folder, foreign = self.build(arguments)
        self.assertEqual(foreign.tiers, tiers, foreign.left_out)
        for tier in tiers:
            for program in PROGRAMS:
                found, runs = self.run_tier(folder, program, tier, wanted)
                self.assertEqual((found, runs), ("", wanted), "%s, %s" % (tier, program))

    def expect_finding(self, arguments, tier, properties):
        """In the tier, by the sanitized program and the plain one."""
        folder, _ = self.build(arguments)
        for program in PROGRAMS:
            found, _ = self.run_tier(folder, program, tier, DAMAGED_RUNS)
            self.assertIn(found, properties, program)

    def test_the_page_says_how_each_is_checked(self):
        with open(os.path.join(os.path.dirname(EXAMPLES), "README.md"), encoding="utf-8") as file:
            lines = [line.strip() for line in file]
        for arguments in (GLOBAL, HANDLE, SIZED, BREAK, PAGES, NARROW):
            self.assertIn(" ".join(["ci/check", *arguments]), lines)
        self.assertIn("cc -shared -fPIC -O1 -o libsmall.so allocators/foreign/examples/lib_small.c -lpthread",
                      lines)

    # ## Heaps

    def test_global_heap(self):
        self.expect_clean(GLOBAL, ["core", "resize", "exhaustion", "huge", "edge"])

    def test_global_heap_forgets_a_header(self):
        self.expect_finding(GLOBAL + ["--cflag=-DBUG_SPLIT"], "core", DAMAGE)

    def test_global_heap_grows_over_a_neighbour(self):
        arguments = GLOBAL + ["--cflag=-DBUG_GROW"]
        self.expect_finding(arguments, "resize", DAMAGE)
        # What does not resize is right, and is told so.
        folder, _ = self.build(arguments)
        self.assertEqual(self.run_tier(folder, PROGRAMS[0], "core", CLEAN_RUNS), ("", CLEAN_RUNS))

    def test_heap_by_handle(self):
        self.expect_clean(HANDLE, ["core", "reinit", "exhaustion", "huge", "edge"])

    def test_heap_by_handle_aligns_offsets(self):
        self.expect_finding(HANDLE + ["--cflag=-DBUG_ALIGN"], "core", {"alignment"})

    def test_heap_by_handle_keeps_a_stale_link(self):
        self.expect_finding(HANDLE + ["--cflag=-DBUG_LIST"], "core", DAMAGE)

    def test_heap_that_is_told_sizes(self):
        self.expect_clean(SIZED, ["core", "reinit", "exhaustion", "huge", "edge"])

    def test_heap_that_is_told_sizes_mistakes_one(self):
        self.expect_finding(SIZED + ["--cflag=-DBUG_CLASS"], "core", DAMAGE)

    def test_heap_over_a_break(self):
        self.expect_clean(BREAK, ["core", "resize", "exhaustion", "huge", "edge"])

    def test_heap_over_a_break_gives_back_too_much(self):
        self.expect_finding(BREAK + ["--cflag=-DBUG_SHRINK"], "core", DAMAGE)

    def test_adapter_file(self):
        folder, foreign = self.build(PAGES)
        self.assertIn("with pages that it asks for", foreign.notes)
        self.assertNotIn("resize", foreign.tiers)
        for tier in foreign.tiers:
            self.assertEqual(self.run_tier(folder, PROGRAMS[0], tier, CLEAN_RUNS), ("", CLEAN_RUNS), tier)

    # ## Libraries

    def test_library(self):
        self.expect_clean(["--malloc", self.library()], ["core", "resize", "exhaustion", "huge", "edge"],
                          LIBRARY_RUNS)

    def test_library_forgets_a_header(self):
        self.expect_finding(["--malloc", self.library("-DBUG_OVERLAP")], "core", DAMAGE)

    def test_library_does_not_zero(self):
        self.expect_finding(["--malloc", self.library("-DBUG_ZERO")], "core", {"zeroed"})

    def test_library_forks(self):
        self.expect_finding(["--malloc", self.library("-DBUG_FORKS")], "core", {"crash"})

    def test_library_tells_too_much(self):
        self.expect_finding(["--malloc", self.library("-DBUG_USABLE")], "core", DAMAGE | {"usable-size"})

    def test_library_aligns_wrongly(self):
        self.expect_finding(["--malloc", self.library("-DBUG_ALIGNED")], "core", {"alignment"})

    def test_what_hangs_on_addresses_is_found_again(self):
        folder, _ = self.build(["--malloc", self.library("-DBUG_ALIGNED")])
        work = tempfile.mkdtemp(dir=self.cache)
        self.assertEqual(self.run_tier(folder, PROGRAMS[1], "core", DAMAGED_RUNS, work=work)[0], "alignment")
        found, = (os.path.join(work, name) for name in os.listdir(work) if name.startswith("crash-"))
        for program in PROGRAMS * 3:
            self.assertEqual(self.run_tier(folder, program, "core", 1, [found])[0], "alignment", program)

    def test_addresses_of_32_bits(self):
        if not self.kits.get(32):
            self.skipTest("needs g++-12-multilib")
        folder, foreign = self.build(NARROW)
        self.assertEqual(foreign.bits, 32, foreign.notes)
        self.assertIn("FOREIGN_ALIGN=4", foreign.defines)
        for tier in ("core", "exhaustion", "huge", "edge"):
            self.assertEqual(self.run_tier(folder, PROGRAMS[0], tier, CLEAN_RUNS), ("", CLEAN_RUNS), tier)

    def test_library_wraps_sizes(self):
        self.expect_finding(["--malloc", self.library("-DBUG_OVERFLOW")], "huge", {"oversize-accepted"})


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--kit", help="the folder with the kit; none: Bazel makes one", default="")
    OPTIONS, rest = parser.parse_known_args()
    OPTIONS.kit = OPTIONS.kit and os.path.abspath(OPTIONS.kit)
    unittest.main(argv=sys.argv[:1] + rest)
