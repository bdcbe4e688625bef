#!/usr/bin/env python3
"""What the workbench says of programs agrees with what the build makes."""
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from ci import workbench  # noqa: E402


class ProgramsTest(unittest.TestCase):
    def test_each_job_has_its_program(self):
        self.assertEqual("fuzz/bump_libfuzzer.elf", workbench.target_path("bump", "libfuzzer"))
        self.assertEqual("fuzz/bump_afl.elf", workbench.target_path("bump", "afl"))
        self.assertEqual("fuzz/bump_afl_asan.elf",
                         workbench.target_path("bump", "afl", sanitizer="address"))
        self.assertEqual("fuzz/planted_msan_libfuzzer.elf",
                         workbench.target_path("x+y", "libfuzzer", True, "memory"))

    def test_jobs_are_what_can_be_fuzzed(self):
        self.assertEqual([("a", "libfuzzer", "address"), ("a", "afl", "none")],
                         workbench.jobs(["a"], workbench.ENGINES))
        all_jobs = workbench.jobs(["a", "b"], workbench.ENGINES, workbench.SANITIZERS, ["b"])
        self.assertEqual(5 + 6, len(all_jobs))
        self.assertNotIn(("a", "libfuzzer", "thread"), all_jobs)
        self.assertEqual([("a", "afl", "none"), ("a", "libfuzzer", "none")], sorted(
            workbench.jobs(["a"], workbench.ENGINES, ["none"])))

    def test_threads_are_known_by_traits(self):
        bench = workbench.Workbench(prebuilt=os.path.dirname(os.path.dirname(
            os.path.abspath(__file__))))
        self.assertGreaterEqual(set(bench.threaded()), {"bump_atomic", "locked_free_list", "size_class"})
        self.assertNotIn("bump", bench.threaded())


if __name__ == "__main__":
    unittest.main()
