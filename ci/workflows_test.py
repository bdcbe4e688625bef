#!/usr/bin/env python3
"""The GitHub workflows: each command is one of the tree's, with options that its --help knows, and
what runs has no more rights than it needs. And what ClusterFuzzLite reads."""
import os
import re
import shlex
import subprocess
import unittest

import yaml

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FOLDER = os.path.join(ROOT, ".github", "workflows")

# Before the tree is there, none of its commands is.
_BEFORE_CHECKOUT = ["apt-get update", "apt-get install -y --no-install-recommends ca-certificates git"]

# Only known findings are no failure.
_KNOWN = " || [ $? -eq 3 ]"

# A major version, or a commit.
_PINNED = re.compile(r"[\w./-]+@(v[0-9]+|[0-9a-f]{40})")

# What jobs may do beyond reading the sources.
_RIGHTS = {"contents": "read", "security-events": "write"}


def workflows():
    for name in sorted(os.listdir(FOLDER)):
        with open(os.path.join(FOLDER, name), encoding="utf-8") as file:
            yield name, yaml.safe_load(file)


def jobs():
    for name, workflow in workflows():
        for job_name, job in workflow["jobs"].items():
            yield "%s, %s" % (name, job_name), job


def help_of(program):
    result = subprocess.run([os.path.join(ROOT, program), "--help"], stdin=subprocess.DEVNULL,
                            capture_output=True, text=True, check=False)
    return result.stdout if result.returncode == 0 else ""


class WorkflowsTest(unittest.TestCase):
    def test_there_are_some(self):
        self.assertEqual([name for name, _ in workflows()], ["nightly.yml", "pr.yml"])

    def test_commands_are_the_trees_own(self):
        helps = {}
        for where, job in jobs():
            checked_out = False
            for step in job["steps"]:
                checked_out |= step.get("uses", "").startswith("actions/checkout@")
                for line in step.get("run", "").splitlines():
                    if not checked_out:
                        self.assertIn(line, _BEFORE_CHECKOUT, where)
                        continue
                    words = shlex.split(line.replace(_KNOWN, ""))
                    self.assertRegex(words[0], "^ci/", where)
                    self.assertTrue(os.access(os.path.join(ROOT, words[0]), os.X_OK), words[0])
                    told = helps.setdefault(words[0], help_of(words[0]))
                    self.assertIn("usage: " + words[0], told)
                    for word in words[1:]:
                        # ci/test hands its options on to Bazel.
                        if word.startswith("-") and words[0] != "ci/test":
                            self.assertRegex(told, r"(?<![\w-])%s(?![\w-])" % re.escape(word), where)
        self.assertIn("ci/pr", helps)
        self.assertIn("ci/overnight", helps)

    def test_commands_with_codes_of_a_campaign_accept_known_findings(self):
        for where, job in jobs():
            for step in job["steps"]:
                for line in step.get("run", "").splitlines():
                    self.assertEqual(line.startswith(("ci/pr", "ci/overnight")),
                                     line.endswith(_KNOWN), where)

    def test_rights(self):
        for name, workflow in workflows():
            self.assertEqual(workflow["permissions"], {"contents": "read"}, name)
            # `on` is a truth value in YAML 1.1.
            self.assertNotIn("pull_request_target", str(workflow.get(True)), name)
        for where, job in jobs():
            uploads = any("upload-sarif@" in step.get("uses", "") for step in job["steps"])
            self.assertEqual(job.get("permissions", {"contents": "read"}),
                             _RIGHTS if uploads else {"contents": "read"}, where)

    def test_actions_are_pinned_and_time_is_bounded(self):
        for where, job in jobs():
            self.assertLessEqual(job["timeout-minutes"], 360, where)
            for step in job["steps"]:
                if "uses" in step:
                    self.assertRegex(step["uses"], _PINNED, where)

    def test_reports_are_kept_and_corpora_go_on(self):
        kept, cached = set(), set()
        for _, job in jobs():
            for step in job["steps"]:
                settings = step.get("with", {})
                if "upload-artifact@" in step.get("uses", ""):
                    # Also after a failure: then they are wanted most.
                    self.assertIn("!cancelled()", step["if"])
                    kept.update(settings["path"].split())
                if "upload-sarif@" in step.get("uses", ""):
                    kept.add(settings["sarif_file"])
                if "actions/cache" in step.get("uses", ""):
                    cached.add(settings["path"])
        self.assertLessEqual({
            "out/pr/summary.md", "out/pr/report.sarif", "out/pr/fuzz/findings",
            "out/overnight/report.sarif", "out/overnight/findings"}, kept)
        self.assertLessEqual({"out/pr/fuzz/corpus", "out/overnight"}, cached)

    def test_clusterfuzzlite(self):
        folder = os.path.join(ROOT, ".clusterfuzzlite")
        with open(os.path.join(folder, "project.yaml"), encoding="utf-8") as file:
            project = yaml.safe_load(file)
        # What //fuzz:build_targets_test_* try, coverage aside, which every project has.
        self.assertEqual(project, {
            "language": "c", "architectures": ["x86_64"], "fuzzing_engines": ["libfuzzer", "afl"],
            "sanitizers": ["address", "memory", "undefined"]})
        with open(os.path.join(folder, "Dockerfile"), encoding="utf-8") as file:
            lines = [shlex.split(line) for line in file if not line.startswith("#")]
        self.assertEqual(lines[0], ["FROM", "gcr.io/oss-fuzz-base/base-builder"])
        for line in lines:
            if line[0] == "COPY":
                self.assertTrue(os.path.exists(os.path.join(ROOT, line[1])), line)
        self.assertIn(["COPY", ".clusterfuzzlite/build.sh", "$SRC/"], lines)
        self.assertTrue(os.access(os.path.join(folder, "build.sh"), os.X_OK))


if __name__ == "__main__":
    unittest.main()
