#!/usr/bin/env python3
"""The remote cache: what nginx lets in, whom it lets write, its size, and what Bazel finds in it."""
import http.client
import os
import signal
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from ci import remote_cache_command, remote_cache_server  # noqa: E402
from ci.workbench import CannotRun  # noqa: E402

_HASH = "0123456789abcdef" * 4


class CacheTest(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = os.path.join(scratch.name, "cache")
        self.cache = remote_cache_command.Cache(self.folder, remote_cache_command.free_address())

    def start(self):
        self.cache.start()
        self.addCleanup(self.cache.stop)

    def ask(self, method, path, body=None, source="127.0.0.1"):
        host, port = self.cache.address.split(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=20,
                                                source_address=(source, 0))
        self.addCleanup(connection.close)
        connection.request(method, path, body)
        answer = connection.getresponse()
        return answer.status, answer.read()

    def test_keeps_what_is_stored(self):
        self.start()
        body = os.urandom(3 << 20)
        for place in ("ac", "cas"):
            self.assertEqual(self.ask("GET", "/%s/%s" % (place, _HASH))[0], 404)
            self.assertEqual(self.ask("PUT", "/%s/%s" % (place, _HASH), body)[0], 201)
            self.assertEqual(self.ask("GET", "/%s/%s" % (place, _HASH)), (200, body))
        self.assertEqual(self.cache.folder.counts()[("GET", "cas")], [1, 1])
        self.assertTrue(self.cache.stop())
        self.assertFalse(remote_cache_server.answers(self.cache.address))
        self.cache.start()
        self.assertEqual(self.ask("GET", "/cas/" + _HASH), (200, body))

    def test_a_killed_keeper_leaves_nothing_running(self):
        self.start()
        os.kill(self.cache.folder.keeper()["pid"], signal.SIGKILL)
        end = time.monotonic() + 30
        while remote_cache_server.answers(self.cache.address) and time.monotonic() < end:
            time.sleep(0.05)
        self.assertIsNone(self.cache.folder.keeper())
        self.cache.start()
        self.assertEqual(self.ask("GET", "/cas/" + _HASH)[0], 404)

    def test_other_paths_and_methods_are_refused(self):
        self.start()
        for path in ("/", "/ac/", "/ac/" + _HASH[1:], "/cas/%s/x" % _HASH, "/x/" + _HASH,
                     "/ac/../" + _HASH, "/nginx.conf"):
            self.assertGreaterEqual(self.ask("GET", path)[0], 400, path)
            self.assertGreaterEqual(self.ask("PUT", path, b"x")[0], 400, path)
        for method in ("DELETE", "POST", "MKCOL", "COPY", "MOVE"):
            self.assertGreaterEqual(self.ask(method, "/ac/" + _HASH)[0], 400, method)
        self.assertEqual(self.cache.folder.entries(), [])

    def test_others_may_only_read(self):
        self.start()
        self.ask("PUT", "/cas/" + _HASH, b"mine")
        # All of 127.0.0.0/8 is this machine, but only 127.0.0.1 is named as a writer.
        self.assertEqual(self.ask("PUT", "/cas/" + _HASH, b"theirs", source="127.0.0.2")[0], 403)
        self.assertEqual(self.ask("GET", "/cas/" + _HASH, source="127.0.0.2"), (200, b"mine"))

    def test_deletes_what_was_not_used_for_longest(self):
        folder = self.cache.folder
        os.makedirs(folder.join("entries", "cas"))
        now = time.time()
        for age in range(10):
            path = folder.join("entries", "cas", str(age))
            with open(path, "wb") as file:
                file.write(b"x" * 65536)
            os.utime(path, (now - age * 86400, now - 100 * 86400))
        size = sum(size for _, size, _ in folder.entries())
        self.assertEqual(folder.clean(size), 0)
        self.assertEqual(folder.clean(size // 2), 6)
        self.assertEqual(sorted(os.path.basename(path) for _, _, path in folder.entries()),
                         ["0", "1", "2", "3"])

    def test_one_cache_for_each_folder_and_address(self):
        self.start()
        with self.assertRaisesRegex(CannotRun, "runs already, at " + self.cache.address):
            remote_cache_command.Cache(self.folder, remote_cache_command.free_address()).start()
        with self.assertRaisesRegex(CannotRun, "somebody else listens"):
            remote_cache_command.Cache(self.folder + "2", self.cache.address).start()
        with self.assertRaisesRegex(CannotRun, "no address"):
            remote_cache_command.Cache(self.folder + "2", "everywhere").start()

    def test_bazel_finds_in_the_second_build_what_the_first_one_made(self):
        outcome, counts = remote_cache_command.compare(
            remote_cache_command.small_workspace, "build", remote_cache_command.SMALL_TARGETS)
        all_of_them = len(remote_cache_command.SMALL_TARGETS)
        (_, first_work, first_hits), (_, work, hits) = outcome
        self.assertEqual((first_work, first_hits), (all_of_them, 0))
        self.assertEqual((work, hits), (all_of_them, all_of_them))
        self.assertEqual(counts[("GET", "ac")], [all_of_them, all_of_them])
        self.assertEqual(counts[("PUT", "ac")], [all_of_them, 0])


if __name__ == "__main__":
    unittest.main()
