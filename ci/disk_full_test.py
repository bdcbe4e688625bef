#!/usr/bin/env python3
"""The disk is full, at each stage of a campaign: it must end in a clear message and a verdict that is not
`clean`, and once there is room again go on with nothing lost and nothing there twice. The disk is a
small tmpfs, mounted in a namespace of this test's own.
"""
import os
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from ci import truthful  # noqa: E402

# Bytes: what a campaign asks for, and some.
SIZE = 288 << 20

# Seconds of each campaign.
SECONDS = 14

# When the disk becomes full: as soon as this query has an answer.
STAGES = {
    "at the start": "SELECT 1 FROM campaigns WHERE ended IS NULL",
    "when fuzzing begins": "SELECT 1 FROM phases WHERE name = 'fuzz' AND state = 'begun'",
    "while engines run": "SELECT 1 FROM samples JOIN sessions ON sessions.id = session "
                         "WHERE sessions.state = 'running'",
    "when a finding is stored": "SELECT 1 FROM campaign_findings WHERE campaign = "
                                "(SELECT max(id) FROM campaigns)",
    "when what was found last is judged":
        "SELECT 1 FROM phases WHERE name = 'settle' AND campaign = "
        "(SELECT max(id) FROM campaigns)",
}


def enter_namespace():
    """Starts this program again where it may mount; without root's rights as root of a namespace."""
    if os.environ.get("IN_NAMESPACE") == "1":
        return
    command = ["unshare", "--mount"] + (["--map-root-user"] if os.geteuid() else [])
    if subprocess.run(command + ["true"], check=False, capture_output=True).returncode:
        sys.exit("disk_full_test: a tmpfs cannot be mounted here: run it as root, or allow "
                 "unprivileged user namespaces")
    os.execvpe(command[0], command + [sys.executable, *sys.argv],
               dict(os.environ, IN_NAMESPACE="1"))


def fill(path):
    """Takes all the space that there is, down to the last page."""
    size = 0
    with open(path, "wb", buffering=0) as f:
        for step in (1 << 20, 4096):
            try:
                while True:
                    os.posix_fallocate(f.fileno(), size, step)
                    size += step
            except OSError:
                pass


class DiskFull(truthful.Accounts, unittest.TestCase):

    disturbed = 50

    @classmethod
    def setUpClass(cls):
        base = tempfile.TemporaryDirectory(dir=os.environ.get("TEST_TMPDIR"))
        cls.addClassCleanup(base.cleanup)
        cls.disk = os.path.join(base.name, "disk")
        os.mkdir(cls.disk)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=%d" % SIZE, "none", cls.disk], check=True)
        cls.addClassCleanup(subprocess.run, ["umount", "--lazy", cls.disk], check=True)
        cls.campaigns = truthful.Campaigns(
            base.name, os.path.join(cls.disk, "campaign"), SECONDS)
        cls.told = {stage: cls._fill(query) for stage, query in STAGES.items()}
        cls.last = cls.campaigns.finish()
        cls.truth = cls.campaigns.truth()

    @classmethod
    def _fill(cls, query):
        """Runs a campaign whose disk is full from then on. Returns its exit code, what it said, and
        whether that time came."""
        before = len(cls.campaigns.said())
        begun = "SELECT coalesce(max(id), 0) FROM runs"
        runs = cls.campaigns.query(begun) if cls.campaigns.exists() else [(0,)]
        supervisor = cls.campaigns.start()
        came = False
        while supervisor.poll() is None and not came:
            time.sleep(0.02)
            came = (cls.campaigns.exists() and cls.campaigns.query(begun) > runs and
                    bool(cls.campaigns.query(query)))
        filler = os.path.join(cls.disk, "filler")
        if came:
            fill(filler)
        supervisor.wait()
        if came:
            os.unlink(filler)
        return supervisor.returncode, cls.campaigns.said()[before:], came

    def test_every_stage_was_reached(self):
        self.assertEqual([stage for stage, (_, _, came) in self.told.items() if not came], [])

    def test_it_says_so_and_never_that_all_is_well(self):
        for stage, (code, said, _) in self.told.items():
            with self.subTest(stage):
                self.assertIn(code, (1, 2), said[-3000:])
                self.assertIn("no space left", said)
                self.assertNotIn("Traceback", said)

    def test_with_room_again_it_comes_to_its_end(self):
        self.assertEqual(self.last, 1, self.campaigns.said()[-4000:])


if __name__ == "__main__":
    enter_namespace()
    unittest.main(verbosity=2)
