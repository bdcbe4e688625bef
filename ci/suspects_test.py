#!/usr/bin/env python3
"""The queue of suspects: durable, each once, and never more than the disk bears."""
import os
import signal
import sys
import tempfile
import unittest
from unittest import mock

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from ci import suspects  # noqa: E402
from ci.engine_session import Suspect  # noqa: E402


def suspect(data, strategy="alpha", kind="crash", property_id="", diagnosis="", **more):
    return Suspect(strategy, "afl", kind, data, "/program", property=property_id,
                   diagnosis=diagnosis, **more)


def put_until_killed(folder):
    queue = suspects.Queue(folder)
    number = 0
    while True:
        queue.put(suspect(b"%d" % number * 2000))
        print(number, flush=True)
        number += 1


class SuspectsTest(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = os.path.join(temporary.name, "suspects")

    def queue(self):
        return suspects.Queue(self.folder)

    def test_what_was_put_is_there_for_the_next_process(self):
        given = suspect(b"\0\xff bytes", property_id="overlap", diagnosis="at 0x10", job=3,
                        session=7, sanitizer="address", executions=12, log="a log \udcff")
        self.assertTrue(self.queue().put(given))
        self.queue().put(suspect(None, kind="hang"))
        entries = self.queue().take(9)
        self.assertEqual([given], [entry.read() for entry in entries])
        queue = self.queue()
        queue.remove(queue.take(9))
        self.assertEqual([None], [entry.read().data for entry in queue.take(9)])

    def test_equal_bytes_of_a_strategy_wait_once(self):
        queue = self.queue()
        self.assertTrue(queue.put(suspect(b"x")))
        self.assertFalse(queue.put(suspect(b"x", property_id="overlap")))
        self.assertTrue(queue.put(suspect(b"x", strategy="beta")))
        self.assertEqual(2, len(self.queue()))
        self.assertFalse(queue.skipped)

    def test_taken_ones_are_of_one_strategy_and_oldest_first(self):
        queue = self.queue()
        for number in range(12):
            queue.put(suspect(b"%d" % number, strategy="beta" if number % 2 else "alpha"))
        first = queue.take(4)
        self.assertEqual([b"0", b"2", b"4", b"6"], [entry.read().data for entry in first])
        self.assertEqual(12, len(queue))
        second = queue.take(9)
        self.assertEqual([b"1", b"3", b"5", b"7", b"9", b"11"],
                         [entry.read().data for entry in second])
        queue.put_back(first)
        queue.remove(second)
        self.assertEqual([b"0", b"2", b"4", b"6", b"8", b"10"],
                         [e.read().data for e in queue.take(9)])
        self.assertEqual(6, len(self.queue()))

    def test_slow_ones_come_last_and_alone(self):
        queue = self.queue()
        for number in range(3):
            queue.put(suspect(b"slow %d" % number, kind="hang"))
        queue.put(suspect(b"fast"))
        self.assertEqual([b"fast"], [entry.read().data for entry in queue.take(9)])
        self.assertEqual([b"slow 0"], [entry.read().data for entry in queue.take(9)])

    def test_a_claim_does_not_pile_up_and_another_gets_through(self):
        queue = self.queue()
        for number in range(1000):
            queue.put(suspect(b"%d" % number, property_id="overlap",
                              diagnosis="operation %d: at %#x" % (number, number)))
        self.assertEqual(suspects.WAITING, len(queue))
        self.assertEqual([1000 - suspects.WAITING], list(queue.skipped.values()))
        self.assertTrue(queue.put(suspect(b"y", property_id="overlap", diagnosis="elsewhere")))
        queue.remove(queue.take(5))
        self.assertTrue(queue.put(suspect(b"z", property_id="overlap",
                                          diagnosis="operation 7: at 0x8")))
        for number in range(9):
            queue.put(suspect(b"slow %d" % number, kind="hang"))
        # The next process counts on.
        self.assertEqual(suspects.WAITING - 5 + 2 + suspects.WAITING_SLOW, len(self.queue()))

    def test_what_claims_nothing_is_kept_up_to_the_limit_of_bytes(self):
        with mock.patch.object(suspects, "MOST_BYTES", 1000):
            queue = self.queue()
            for number in range(99):
                queue.put(suspect(b"%09d!" % number * 10))
            self.assertEqual(10, len(queue))
            self.assertTrue(queue.put(suspect(b"another claim" * 9, property_id="content")))
            self.assertEqual({None: 89}, dict(queue.skipped))

    def test_a_full_disk_leaves_nothing_half(self):
        queue = self.queue()
        with mock.patch("os.fsync", side_effect=OSError(28, "No space left on device")):
            with self.assertRaises(OSError):
                queue.put(suspect(b"x"))
        self.assertEqual(([], 0), (os.listdir(self.folder), len(queue)))
        self.assertTrue(queue.put(suspect(b"x")))

    def test_what_is_no_suspect_is_set_aside_and_told(self):
        self.queue().put(suspect(b"x"))
        names = os.listdir(self.folder)
        with open(os.path.join(self.folder, names[0]), "r+", encoding="utf-8") as f:
            f.truncate(20)
        with open(os.path.join(self.folder, "a.json.1.tmp"), "w", encoding="utf-8") as f:
            f.write("{")
        queue = self.queue()
        self.assertEqual((0, 1), (len(queue), len(queue.damaged)))
        self.assertEqual([names[0] + ".damaged"], os.listdir(self.folder))

    def test_a_kill_at_any_moment_loses_nothing_that_was_accepted(self):
        for _ in range(5):
            out, into = os.pipe()
            child = os.fork()
            if child == 0:
                os.dup2(into, 1)
                put_until_killed(self.folder)
            os.close(into)
            with os.fdopen(out, "rb") as told:
                accepted = [int(told.readline()) for _ in range(7)]
                os.kill(child, signal.SIGKILL)
                accepted += [int(line) for line in told if line.endswith(b"\n")]
            os.waitpid(child, 0)
            queue = self.queue()
            there = {entry.read().data for entry in queue.take(100000)}
            self.assertEqual(set(), {b"%d" % number * 2000 for number in accepted} - there)
            self.assertEqual(len(there), len(os.listdir(self.folder)))
            self.assertEqual([], queue.damaged)


if __name__ == "__main__":
    unittest.main()
