#!/usr/bin/env python3
"""Thinning a corpus: what is kept covers all; killed at any moment, no input is lost that counts."""
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from unittest import mock

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)
from ci import corpus_cover, corpus_folder, fakes  # noqa: E402

# Merges as libFuzzer does, an input's features being its bytes; one with a 0xff crashes.
LIBFUZZER = r'''
import os, sys, time
def value(key):
    return next((a[len(key):] for a in sys.argv if a.startswith(key)), None)
what = os.environ.get("FAKE", "")
if value("-help"):
    print("merge" if what == "old" else " merge set_cover_merge"); sys.exit(0)
if what == "broken":
    print("no such thing"); sys.exit(1)
assert value("-merge" if what == "old" else "-set_cover_merge"), sys.argv
control, (out, source) = value("-merge_control_file="), sys.argv[-2:]
assert "ASSAY_COUNTERS" not in os.environ
if os.path.exists(control) and os.path.getsize(control) and "complete" in open(control).read():
    print("MERGE-OUTER: nothing to do, merge has been completed before"); sys.exit(0)
inputs = {}
for number, name in enumerate(sorted(os.listdir(source)), 1):
    data = open(os.path.join(source, name), "rb").read()
    if 0xff in data:
        with open(value("-artifact_prefix=") + "crash-" + name, "wb") as f:
            f.write(data)
    else:
        inputs[name] = data
    with open(control, "a") as f:
        f.write(name + "\n")
    print("#%d\tpulse  cov: 1 exec/s: 0 rss: 1Mb" % number, flush=True)
    time.sleep(float(os.environ.get("FAKE_SLOW", "0")))
with open(control, "a") as f:
    f.write("complete\n")
time.sleep(float(os.environ.get("FAKE_SLOW", "0")))
seen, kept = set(), 0
while True:
    name = max(inputs, key=lambda name: len(set(inputs[name]) - seen))
    if not set(inputs[name]) - seen:
        break
    seen |= set(inputs[name]); kept += 1
    with open(os.path.join(out, name), "wb") as f:
        f.write(inputs[name])
    time.sleep(float(os.environ.get("FAKE_SLOW", "0")))
print("MERGE-OUTER: %d new files with %d new features added; 1 new coverage edges" % (kept, len(seen)))
'''

DRIVER = """
import sys; sys.path.insert(0, %r)
from ci import corpus_cover
corpus_cover.minimise("alpha", *sys.argv[1:4], 60)
"""


class CoverTest(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.program = fakes.script(os.path.join(temporary.name, "alpha_libfuzzer.elf"), LIBFUZZER)
        self.folder = os.path.join(temporary.name, "cover", "alpha")
        self.corpus = corpus_folder.Corpus(os.path.join(temporary.name, "corpus", "alpha"))
        self.failures = []

    def fill(self, inputs):
        for data in inputs:
            self.corpus.add(data)

    def features(self):
        found = set()
        for path in self.corpus.paths():
            with open(path, "rb") as f:
                found |= set(f.read())
        return found

    def minimise(self, what="", seconds=60, **more):
        with mock.patch.dict(os.environ, ASSAY_COUNTERS="/nowhere"):
            return corpus_cover.minimise(
                "alpha", self.program, self.corpus.folder, self.folder, seconds, {"FAKE": what},
                failed=lambda strategy, data: self.failures.append(data), **more)

    def test_what_is_kept_covers_all(self):
        self.fill([b"a", b"ab", b"abc", b"d", b"xyz", b"z"])
        outcome = self.minimise()
        self.assertEqual((6, 3, 7, ""), (outcome.before, outcome.after, outcome.features,
                                         outcome.note))
        self.assertEqual({corpus_folder.sha1(data) for data in (b"abc", b"d", b"xyz")},
                         {os.path.basename(path) for path in self.corpus.paths()})
        self.assertFalse(os.path.exists(self.folder))
        self.assertIn("3 of 6 inputs cover 7 features", str(outcome))

    def test_an_older_libfuzzer_merges_by_size(self):
        self.fill([b"a", b"ab"])
        self.assertEqual(1, self.minimise("old").after)

    def test_a_tool_that_fails_deletes_nothing(self):
        self.fill([b"a", b"ab", b"abc"])
        outcome = self.minimise("broken")
        self.assertEqual(3, len(self.corpus))
        self.assertIn("no such thing", outcome.note)

    def test_when_the_time_is_over_the_corpus_stays(self):
        self.fill([bytes([97 + i]) for i in range(20)])
        with mock.patch.dict(os.environ, FAKE_SLOW="1"):
            outcome = self.minimise(seconds=0.5)
            self.assertIn("the time was over", outcome.note)
            self.assertEqual("stopped", self.minimise(stop=lambda: True).note)
        self.assertEqual(20, len(self.corpus))

    def test_what_comes_meanwhile_stays(self):
        self.fill([b"a", b"ab"])
        # When it asks for the first time whether to stop, the list is written.
        self.minimise(stop=lambda: self.corpus.add(b"b") and False)
        self.assertEqual({corpus_folder.sha1(data) for data in (b"ab", b"b")},
                         {os.path.basename(path) for path in self.corpus.paths()})

    def test_inputs_that_crash_are_handed_over(self):
        self.fill([b"a", b"ab", b"a\xff"])
        outcome = self.minimise()
        self.assertEqual(([b"a\xff"], 1, 1), (self.failures, outcome.failures, outcome.after))

    def test_killed_at_any_moment_it_goes_on(self):
        chance = random.Random(1)
        for number in range(12):
            self.fill([bytes([97 + i, 98 + i]) for i in range(20)] + [bytes([97 + number])])
            features = self.features()
            child = subprocess.Popen(
                [sys.executable, "-c", DRIVER % ROOT, self.program, self.corpus.folder, self.folder],
                env=dict(os.environ, FAKE_SLOW="0.01"), start_new_session=True)
            time.sleep(chance.uniform(0.1, 0.9))
            child.send_signal(signal.SIGKILL)
            child.wait()
            self.assertEqual(features, self.features())
            outcome = self.minimise()
            self.assertEqual("", outcome.note)
            self.assertEqual(features, self.features())
            self.assertLess(outcome.after, 16)
            self.assertFalse(os.path.exists(self.folder))

    def test_the_target_without_a_sanitizer_is_taken_if_there_is_one(self):
        programs = {("a", "libfuzzer", "address"): "a1", ("a", "libfuzzer", "none"): "a2",
                    ("b", "libfuzzer", "thread"): "b1", ("b", "libfuzzer", "address"): "b2",
                    ("c", "afl", "none"): "c1"}
        self.assertEqual([("a", "a2", "corpora/a"), ("b", "b2", "corpora/b")],
                         sorted(corpus_cover.work_of(programs, "corpora")))

    def test_many_share_the_time(self):
        self.fill([b"a", b"ab"])
        other = corpus_folder.Corpus(self.corpus.folder + "2")
        other.add(b"one")
        outcomes = list(corpus_cover.minimise_all(
            [("alpha", self.program, self.corpus.folder), ("beta", self.program, other.folder)],
            os.path.dirname(self.folder), 60))
        self.assertEqual(["beta", "alpha"], [outcome.strategy for outcome in outcomes])

    def test_in_the_background(self):
        self.fill([b"a", b"ab"])
        done = []
        thinner = corpus_cover.Thinner([("alpha", self.program, self.corpus.folder)],
                                       os.path.dirname(self.folder), done=done.append)
        self.assertFalse(thinner.start("beta"))
        self.assertTrue(thinner.start("alpha"))
        while thinner.busy():
            time.sleep(0.02)
        self.assertEqual(1, done[0].after)
        thinner.stop()


if __name__ == "__main__":
    unittest.main()
