#!/usr/bin/env python3
"""The guilty line of planted bugs, on the real programs: each is one that a reader wants to see."""
import glob
import os
import sys
import tempfile
import unittest
from unittest import mock

CI = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(CI)
sys.path.insert(0, ROOT)
from ci import guilty, judge  # noqa: E402
from reports import results  # noqa: E402

# Planted bug, property, a seed that shows it, the line (a part of it), the words (a part of them).
LINES = (
    # Sanitizers, in patched files, whose lines move.
    ("boundary_tag+sized_from_the_unaligned_start", "touched-live-block", "53ed356", "boundary_tag.c",
     "return block->size_", "AddressSanitizer stopped it; in size_of"),
    ("buddy+marks_counted_as_room", "outside-heap", "0109776", "buddy.c", "*block = (struct block){next",
     "AddressSanitizer stopped it; in link_block"),
    ("hardened+run_not_compared", "crash", "53ed356", "hardened.c", "source->protect(source, memory_of",
     "AddressSanitizer stopped it; in unseal"),
    ("tlsf+size_not_compared_with_the_heap", "crash", "03db271", "tlsf.c", "next->link = link",
     "UndefinedBehaviorSanitizer stopped it; in unlink_block"),
    ("buddy+order_seven_unseen", "undefined-behaviour", "cefb0e2", "buddy.c", "(size_t)1 << order",
     "UndefinedBehaviorSanitizer stopped it; in length_of"),
    # Invariants.
    ("tlsf+split_keeps_the_size", "invariant:tlsf.I3", "0109776", "tlsf.c",
     "// I3: each block knows whether its left neighbour is free",
     "where the broken invariant I3 is declared; tlsf_allocate, at allocators/tlsf.c:"),
    ("mark_sweep+mark_stays", "invariant:mark_sweep.I5", "40d27a0", "mark_sweep.c", "// I5: no block is marked",
     "I5 is declared"),
    ("boundary_tag+footer_of_the_gap_missed", "invariant:boundary_tag.I5", "03db271", "boundary_tag.c",
     "// I5: ", "I5 is declared"),
    # Operations.
    ("free_list+header_size_wraps", "oversize-accepted", "1514553", "free_list.c", "void *list_allocate(",
     "the function list_allocate, which the guilty operation called"),
    ("system+aligned_not_zeroed", "zeroed", "e07f8bd", "system.c", "void *system_allocate_zeroed(",
     "system_allocate_zeroed"),
    ("page_bump+destroy_forgets_chunk", "source-leak", "0109776", "page_bump.c", "void page_destroy(",
     "page_destroy"),
    ("hardened+large_canary_too_early", "release-refused", "0109776", "hardened.c", "hard_release(",
     "hard_release"),
    ("bump+reset_keeps_part", "reset", "0109776", "bump.c", "void bump_reset(", "bump_reset"),
    ("boundary_tag+usable_counts_header", "usable-size", "3a9cd7d", "boundary_tag.c", "tag_usable_size(",
     "which gave the answer"),
)

COPIES_TOO_MUCH = """\
heap source=fixed capacity=65536 page=4096 skew=0 variant=0 slots=64
allocate 0 size=1
zeroed 1 count=3 size=3
resize 0 size=33
"""


class GuiltyTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        programs = os.path.join(ROOT, "bazel-bin") if os.path.exists(
            os.path.join(ROOT, "bazel-bin")) else ROOT
        cls.assay = judge.Judge({name: os.path.join(programs, name + ".elf")
                                 for name in (judge.PLAIN, judge.ASAN)})
        cls.seeds = sorted(path for path in glob.glob(os.path.join(ROOT, "corpus", "seeds", "*"))
                           if len(os.path.basename(path)) == 40)

    def check(self, strategy, property_id, seed, file, text, words, assay=None, story=None):
        path = next(path for path in self.seeds if os.path.basename(path).startswith(seed))
        verdict = self.assay.verdict(strategy, path)
        self.assertEqual(property_id, verdict.property)
        finding = results.Finding("", strategy, property_id, verdict.signature, site=verdict.site,
                                  diagnosis=verdict.diagnosis, build=verdict.build)
        story = story and self.assay.story(strategy, path, finding.build)
        line = guilty.locate(assay or self.assay, finding, path, story, ROOT)
        self.assertEqual("allocators/" + file, line.file)
        with open(os.path.join(ROOT, line.file), encoding="utf-8") as f:
            source = f.read().splitlines()
        self.assertIn(text, source[line.line - 1])
        self.assertIn(words, line.words)

    def test_planted_bugs(self):
        for row in LINES:
            with self.subTest(row[0]):
                self.check(*row)

    def test_without_a_symbolizer_the_operation_is_named(self):
        with tempfile.TemporaryDirectory() as empty, mock.patch.dict(os.environ, {
                "PATH": empty, "ASAN_SYMBOLIZER_PATH": "", "UBSAN_SYMBOLIZER_PATH": ""}):
            self.check(*LINES[0][:3], "boundary_tag.c", "tag_", "called",
                       story=True)

    def test_the_heap_is_seen_from_within_a_report_of_asan(self):
        """ASan holds locks then, for which the walk's process must not wait."""
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as program:
            program.write(COPIES_TOO_MUCH)
            program.flush()
            story = self.assay.story("page_bump+resize_copies_new_size", program.name, judge.ASAN)
        self.assertEqual("touched-live-block", story["verdict"])
        last = story["states"][-1]
        self.assertEqual((True, True), (last["end"], last["whole"]))
        self.assertTrue(last["spans"])

    def test_a_broken_assay_costs_no_line(self):
        none = judge.Judge({judge.PLAIN: "/no/such", judge.ASAN: "/no/such"})
        self.check(*LINES[8], assay=none)

    def test_lines_before_a_patch(self):
        """Each line of a patched file that the patch left alone is the same line of the original."""
        with tempfile.TemporaryDirectory() as root:
            os.makedirs(os.path.join(root, "fuzz", "plants"))
            with open(os.path.join(root, "fuzz", "plants", "x.y.patch"), "w", encoding="utf-8") as f:
                f.write("Bug: z\n\n--- a/allocators/x.c\n+++ b/allocators/x.c\n"
                        "@@ -3,3 +3,2 @@\n three\n-four\n five\n@@ -9,2 +8,4 @@\n nine\n+new\n+new\n ten\n")
            patched = ["one", "two", "three", "five", "six", "seven", "eight", "nine", "new", "new",
                       "ten", "eleven"]
            original = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
                        "eleven"]
            for number, text in enumerate(patched, 1):
                name, line = guilty._before_patch("x.y", number, root)
                self.assertEqual("allocators/x.c", name)
                if text != "new":
                    self.assertEqual(text, original[line - 1])
                else:
                    self.assertEqual("ten", original[line - 1])

    def test_what_nobody_knows_has_no_line(self):
        finding = results.Finding("", "no_such_strategy", "overlap", "0" * 8, site="allocate")
        self.assertIsNone(guilty.locate(self.assay, finding, "/no/such", None, ROOT))


if __name__ == "__main__":
    unittest.main()
