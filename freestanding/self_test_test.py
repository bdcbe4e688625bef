#!/usr/bin/env python3
"""The self-test finds planted bugs, and its programs show the same on a host: self_test_test.py SELF_TEST ASSAY"""
import os
import re
import subprocess
import sys
import tempfile
import unittest

SELF_TEST, ASSAY = sys.argv[1:3]

# Of the bugs that are planted there, so many at least show in two dozen programs without a plan.
_FOUND = 5


class SelfTestTest(unittest.TestCase):
    def test_planted(self):
        run = subprocess.run([SELF_TEST], capture_output=True, text=True, timeout=200, check=False)
        self.assertEqual(1, run.returncode, run.stdout + run.stderr)
        printed = run.stdout + run.stderr
        self.assertRegex(printed, r"(?m)^self-test: \d+ strategies, FAILED$")
        folder = tempfile.mkdtemp(dir=os.environ.get("TEST_TMPDIR"))
        found = 0
        for program, name, violated in re.findall(
                r"(?m)^self-test program \d+,.*: ([0-9a-f]+)\n(?:(?!self-test ).*\n)*"
                r"self-test (\S+): \d+ programs clean, (\d+) violated", printed):
            self.assertNotEqual("0", violated)
            path = os.path.join(folder, name)
            with open(path, "wb") as file:
                file.write(bytes.fromhex(program))
            host = subprocess.run([ASSAY, "run", "--strategy", name, path], capture_output=True, text=True,
                                  timeout=60, check=False)
            self.assertEqual(1, host.returncode, name + host.stdout + host.stderr)
            found += 1
        self.assertEqual(found, len(re.findall(r"(?m)^self-test \S+: .*, [1-9]\d* violated", printed)))
        self.assertGreaterEqual(found, _FOUND, printed[-3000:])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
