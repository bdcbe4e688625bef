#!/usr/bin/env python3
"""ci/fuzz and ci/repro as people type them, on fake engines: exit codes, bad input, Ctrl-C."""
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from unittest import mock
import xml.etree.ElementTree as ET

CI = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(CI))
from ci import fakes, repro_command, workbench  # noqa: E402


class CommandTest(unittest.TestCase):
    def setUp(self):
        self._temporary = tempfile.TemporaryDirectory()
        self.addCleanup(self._temporary.cleanup)
        self.tree = fakes.build_tree(self.path("tree"))
        self.environment = dict(
            os.environ, PATH=self.path("tree", "bin") + ":" + os.environ["PATH"], FAKE="clean")

    def path(self, *names):
        return os.path.join(self._temporary.name, *names)

    def command(self, *arguments, command="fuzz_command.py"):
        more = ["--prebuilt", self.tree]
        if command == "fuzz_command.py" and "--out" not in arguments:
            more += ["--out", self.path("out")]
        return [sys.executable, os.path.join(CI, command), *arguments, *more]

    def run_it(self, *arguments, **more):
        """Returns exit code, stdout, stderr."""
        result = subprocess.run(self.command(*arguments, **more), env=self.environment,
                                capture_output=True, text=True, timeout=60, check=False)
        self.assertNotIn("Traceback", result.stderr)
        return result.returncode, result.stdout, result.stderr

    def refused(self, *arguments, says, **more):
        """Exit code 2, and one line that says what to do."""
        code, _, err = self.run_it(*arguments, **more)
        self.assertEqual(2, code, err)
        self.assertIn(says, err)
        return err

    def report(self):
        with open(self.path("out", "report.json"), encoding="utf-8") as f:
            return json.load(f)


class FuzzTest(CommandTest):
    def test_clean(self):
        code, out, err = self.run_it("--minutes", "0.1", "--jobs", "4")
        self.assertEqual((0, ""), (code, err))
        self.assertIn("clean: no finding", out)
        report = self.report()
        self.assertEqual(400, sum(job["executions"] for job in report["jobs"]
                                  if job["engine"] != "corpus"))
        self.assertEqual(["alpha corpus", "beta corpus", "alpha libfuzzer", "alpha afl",
                          "beta libfuzzer", "beta afl"],
                         ["%(strategy)s %(engine)s" % job for job in report["jobs"]])
        # Of six jobs that each ran; and four properties of each but the two replays.
        self.assertEqual("22", ET.parse(self.path("out", "report.xml")).getroot().get("tests"))
        self.assertFalse(os.path.exists(self.path("out", "tmp")))

    def test_finding(self):
        self.environment["FAKE"] = "crash"
        code, out, _ = self.run_it("--minutes", "0.1", "--engine", "libfuzzer", "--jobs", "2",
                                   "--strategy", "beta")
        self.assertEqual(1, code)
        self.assertIn("beta: overlap", out)
        finding = self.report()["findings"][0]
        self.assertTrue(os.path.exists(finding["path"]))
        code, out, _ = self.run_it(finding["path"], command="repro_command.py")
        self.assertEqual((1, "assay.elf repro --strategy beta --tier full %s" % finding["path"]),
                         (code, out.splitlines()[0]))
        for named in ("heap map    %s.svg", "bug report  %s.md",
                      "command     bazel-bin/assay.elf repro --strategy beta --tier full %s"):
            self.assertIn(named % finding["path"], out)

    def test_could_not_run(self):
        self.environment["FAKE"] = "dies"
        code, out, _ = self.run_it("--minutes", "0.1", "--jobs", "2", "--strategy", "alpha")
        self.assertEqual(2, code)
        self.assertIn("could not run: 2 of 3 jobs", out)
        self.assertEqual("2", ET.parse(self.path("out", "report.xml")).getroot().get("errors"))

    def test_plant(self):
        self.environment["FAKE"] = "crash"
        for name in ("hole", "alpha+hole"):
            code, out, _ = self.run_it("--plant", name, "--minutes", "0.2")
            self.assertEqual(1, code)
            self.assertIn("assay.elf repro --strategy alpha+hole", out)
            self.assertIn("Reproduce it:  ci/repro ", out)
        self.assertIn("stored before", out)

    def test_bad_options(self):
        for minutes in ("0", "-1", "nan", "inf", "two", "1e9", ""):
            self.refused("--minutes", minutes, says="no number of minutes")
        self.refused(says="say how long")
        self.refused("--minutes", "1", "--strategy", "gamma",
                     says="unknown strategy 'gamma'; there is: alpha beta")
        self.refused("--minutes", "1", "--engine", "honggfuzz", says="libfuzzer")
        self.refused("--minutes", "1", "--jobs", "0", says="from 1 to")
        self.refused("--minutes", "0.01", "--jobs", "1", says="give at least --minutes 0.3")
        self.refused("--plant", "none", says="alpha+hole  AB-001: a hole [overlap]")
        self.refused("--plant", "twin", says="several strategies")
        self.refused("--plant", "hole", "--engine", "afl", says="libFuzzer only")
        err = self.refused("--minutes", "1", "--speed", "9", says="see ci/fuzz --help")
        self.assertEqual(1, err.count("\n"))

    def test_bad_folders(self):
        with open(self.path("file"), "w", encoding="utf-8"):
            pass
        self.refused("--minutes", "1", "--out", self.path("file"), says="is no folder")
        self.refused("--minutes", "1", "--out", "/proc/nowhere", says="--out")

    def test_what_was_not_built(self):
        """Named, and no reason for the others to stop."""
        os.unlink(os.path.join(self.tree, "fuzz", "beta_afl.elf"))
        code, out, _ = self.run_it("--minutes", "0.1", "--jobs", "4")
        self.assertEqual(2, code, out)
        self.assertIn("the build did not make its program", out)
        verdicts = {(job["strategy"], job["engine"]): job["verdict"]
                    for job in self.report()["jobs"]}
        self.assertEqual("could not run", verdicts.pop(("beta", "afl")))
        self.assertEqual({"clean"}, set(verdicts.values()))
        os.unlink(os.path.join(self.tree, "fuzz", "mutator_afl.so"))
        self.refused("--minutes", "0.1", "--engine", "afl", says="//fuzz:mutator_afl.so")

    def start(self):
        """A run with two engines; returns it and the engines' process ids."""
        ready = tempfile.mkdtemp(dir=self.path())
        child = subprocess.Popen(
            self.command("--minutes", "5", "--strategy", "alpha", "--jobs", "2"),
            env=dict(self.environment, FAKE_READY=ready), stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True)
        self.addCleanup(lambda: (child.kill(), child.communicate()))
        end = time.monotonic() + 30
        while len(os.listdir(ready)) < 2 and time.monotonic() < end:
            time.sleep(0.05)
        engines = [int(name) for name in os.listdir(ready)]
        self.assertEqual(2, len(engines))
        return child, engines

    def assert_gone(self, engines):
        end = time.monotonic() + 20
        while any(map(self.alive, engines)) and time.monotonic() < end:
            time.sleep(0.05)
        self.assertEqual([], [pid for pid in engines if self.alive(pid)])

    @staticmethod
    def alive(pid):
        try:
            with open("/proc/%d/stat" % pid, encoding="utf-8", errors="replace") as f:
                # A zombie only waits for whoever adopted it.
                return f.read().rpartition(")")[2].split()[0] != "Z"
        except OSError:
            return False

    def test_interruption_ends_in_a_report(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            child, engines = self.start()
            child.send_signal(number)
            out, err = child.communicate(timeout=30)
            self.assertEqual((0, ""), (child.returncode, err))
            self.assertIn("stopped early by " + signal.Signals(number).name, out)
            self.assertEqual(signal.Signals(number).name, self.report()["stopped"])
            self.assert_gone(engines)

    def test_a_killed_run_leaves_no_engine_and_no_lock(self):
        child, engines = self.start()
        self.refused("--minutes", "1", says="in use by process %d" % child.pid)
        child.kill()
        child.communicate()
        self.assert_gone(engines)
        code, _, _ = self.run_it("--minutes", "0.1", "--strategy", "alpha", "--jobs", "2")
        self.assertEqual(0, code)


class ReproTest(CommandTest):
    def refused(self, *arguments, says, **more):
        return super().refused(*arguments, says=says, command="repro_command.py", **more)

    def program(self, *names):
        path = self.path(*names)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            f.write("bug")
        return path

    def repro(self, *arguments):
        code, out, _ = self.run_it(*arguments, command="repro_command.py")
        self.assertEqual(1, code)
        return out.split()

    def test_a_name_alone_is_looked_for_where_campaigns_store(self):
        name = "overlap-11111111-" + 40 * "a"
        path = self.program("tree", "out", "overnight", "findings", "beta", name)
        with mock.patch.object(workbench, "ROOT", self.path("tree")):
            self.assertEqual([path, path], [os.path.abspath(repro_command.program_file(asked))
                                            for asked in (name, name + ".md")])
            self.program("tree", "out", "fuzz", "findings", "alpha", name)
            for asked, says in ((name, "finding of alpha and of beta"), ("x", "or in out/")):
                with self.assertRaisesRegex(workbench.CannotRun, says):
                    repro_command.program_file(asked)

    def test_bad_input(self):
        self.refused(self.path("nothing"), says="no such file")
        self.refused(self.path(), says="is a folder")
        self.refused(says="FILE")
        self.refused(self.program("x"), says="say --strategy X; there is: alpha beta")
        self.refused(self.program("x"), "--strategy", "gamma", says="unknown strategy 'gamma'")

    def test_the_strategy_comes_from_option_facts_or_folder(self):
        path = self.program("beta", "x")
        self.assertEqual(["assay.elf", "repro", "--strategy", "beta", path], self.repro(path))
        with open(path + ".json", "w", encoding="utf-8") as f:
            json.dump({"strategy": "alpha+hole", "tier": "fast", "build": "assay_asan"}, f)
        self.assertEqual(["assay_asan.elf", "repro", "--strategy", "alpha+hole", "--tier", "fast",
                          "--gdb", path], self.repro(path, "--gdb"))
        self.assertEqual("alpha", self.repro(path, "--strategy", "alpha")[3])
        self.assertEqual("alpha+hole", self.repro(path, "--strategy", "AB-001")[3])
        self.refused(path, "--strategy", "twin", says="alpha+twin beta+twin")
        with open(path + ".json", "w", encoding="utf-8") as f:
            json.dump({"strategy": "gamma"}, f)
        self.assertEqual("beta", self.repro(path)[3])
        os.replace(path + ".json", self.program("x") + ".json")
        self.refused(self.path("x"), says="x is about 'gamma', which there is not")

    def test_a_damaged_description_is_not_in_the_way(self):
        path = self.program("beta", "x")
        for text in ("{", "[]", '{"strategy": 7}', "\xff"):
            with open(path + ".json", "w", encoding="latin-1") as f:
                f.write(text)
            self.assertEqual("beta", self.repro(path)[3])

    def test_a_finding_of_another_version(self):
        path = self.program("beta", "x")

        def described(**fields):
            with open(path + ".json", "w", encoding="utf-8") as f:
                json.dump(fields, f)

        described(schema=99, version="f00")
        self.refused(path, says="schema 99, from a newer version of Assay (f00)")
        self.assertEqual("beta", self.repro(path, "--strategy", "beta")[3])
        described(property="no-such-thing")
        self.refused(path, says="unknown property 'no-such-thing'")
        self.assertEqual("beta", self.repro(path, "--strategy", "beta")[3])
        for wanted in ("invariant:beta.I4", "invariant:beta.I0", "invariant:gamma.I1", "invariant"):
            described(property=wanted)
            self.refused(path, says="unknown invariant '%s'" % wanted)
        described(property="invariant:beta.I3")
        self.assertEqual("beta", self.repro(path)[3])
        described(property="overlap", source="another", version="f00")
        code, _, err = self.run_it(path, command="repro_command.py")
        self.assertEqual(1, code)
        self.assertIn("stored by another version (f00): the sources of beta have changed", err)

    def test_a_finding_can_be_moved(self):
        path = self.program("beta", "overlap-11111111-" + "a" * 40)
        with open(path + ".json", "w", encoding="utf-8") as f:
            json.dump({"schema": 1, "property": "overlap", "strategy": "alpha"}, f)
        elsewhere = self.program("elsewhere", "b")
        for end in ("", ".json"):
            os.replace(path + end, elsewhere + end)
        self.assertEqual("alpha", self.repro(elsewhere, "--gdb")[3])

    def test_the_files_beside_a_finding_mean_the_finding(self):
        path = self.program("beta", "overlap-11111111-" + "a" * 40)
        for other in (".c", ".json", ".log", ".svg", ".md"):
            self.assertEqual(path, self.repro(path + other)[-1])


if __name__ == "__main__":
    unittest.main()
