#!/usr/bin/env python3
"""How engines are started: with which limits, for which sanitizer, and beside which others."""
import os
import sys
import tempfile
import threading
import unittest
from unittest import mock

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from ci import corpus_folder, engine_afl, engine_libfuzzer, engine_session, fakes  # noqa: E402


class EnginesTest(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.tree = fakes.build_tree(os.path.join(temporary.name, "tree"))
        self.corpus = os.path.join(temporary.name, "corpus")
        corpus_folder.Corpus(self.corpus).add(b"input")
        self.folder = temporary.name
        patch = mock.patch.dict(os.environ, PATH=os.path.join(self.tree, "bin") + ":" +
                                os.environ["PATH"], ASAN_OPTIONS="verbosity=1")
        patch.start()
        self.addCleanup(patch.stop)

    def start(self, engine, work, **setting):
        """A session that has ended."""
        session = engine(engine_session.Setting(
            strategy="alpha", program=os.path.join(self.tree, "fuzz", "alpha_libfuzzer.elf"),
            seconds=0.1, seed=1, corpus=self.corpus, work=os.path.join(self.folder, work),
            **setting))
        while not session.poll():
            pass
        return session

    def test_one_instance_of_afl_has_no_part(self):
        command = self.start(engine_afl.Afl, "one").command()
        self.assertFalse({"-M", "-S", "-F"} & set(command), command)

    def test_the_main_reads_the_corpus_and_a_secondary_the_main(self):
        main = self.start(engine_afl.Afl, "main", role="main")
        command = main.command()
        self.assertEqual(self.corpus, command[command.index("-F") + 1])
        self.start(engine_afl.Afl, "other", role="secondary", main=main.setting.work)
        self.assertTrue(os.path.samefile(os.path.join(self.folder, "main", "default"),
                                         os.path.join(self.folder, "other", "main")))

    def test_afl_starts_from_a_corpus_that_stays(self):
        self.start(engine_afl.Afl, "one")
        name = corpus_folder.sha1(b"input")
        os.unlink(os.path.join(self.corpus, name))
        with open(os.path.join(self.folder, "one", "seeds", name), "rb") as f:
            self.assertEqual(b"input", f.read())

    def test_no_half_written_input_is_ever_seen(self):
        corpus = corpus_folder.Corpus(self.corpus)
        seen, done = set(), threading.Event()

        def watch():
            while not done.is_set():
                seen.update(os.listdir(self.corpus))
        watcher = threading.Thread(target=watch)
        watcher.start()
        for number in range(300):
            corpus.add(b"%d" % number)
        done.set()
        watcher.join()
        self.assertEqual(301, len(corpus))
        self.assertEqual(set(), {name for name in seen if len(name) != 40})

    def test_a_secondary_may_outlive_its_main(self):
        session = self.start(engine_afl.Afl, "other", role="secondary", main="/gone")
        self.assertEqual(0, session.process.code)

    def test_sanitizers_keep_quiet_and_limits_are_passed_on(self):
        session = self.start(engine_libfuzzer.LibFuzzer, "l", memory=77)
        self.assertIn("-rss_limit_mb=77", session.command())
        self.assertGreater(session.start_up, 0)
        environment = session.environment()
        for name in ("ASAN", "MSAN", "TSAN", "UBSAN"):
            self.assertIn("symbolize=0", environment[name + "_OPTIONS"])
        # afl-fuzz refuses options that are not just as it wants them.
        afl = self.start(engine_afl.Afl, "a")
        self.assertNotIn("ASAN_OPTIONS", afl.environment())


if __name__ == "__main__":
    unittest.main()
