#!/usr/bin/env python3
"""ci/bugs as people type it, on fake fuzzers: what it counts, what it says, and what cannot run."""
import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import xml.etree.ElementTree as ET

CI = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(CI)
sys.path.insert(0, ROOT)
from ci import fakes  # noqa: E402
from reports.history import History  # noqa: E402

# As libFuzzer: kills after as many executions as the seed says; hard with bytes; with no CPU limit.
TARGET = r'''
import os, signal, sys, time
seed = int(next(a[6:] for a in sys.argv if a.startswith("-seed=")))
def end(executions, code):
    print("stat::number_of_executed_units: %%d" %% executions, flush=True)
    sys.exit(code)
def kill(id):
    if "-runs=0" in sys.argv: end(3, 0)
    prefix = next(a[17:] for a in sys.argv if a.startswith("-artifact_prefix="))
    open(prefix + "crash-1", "w").write("input")
    print("ASSERTION FAILED: " + id, flush=True)
    end(10 * seed, 77)
def live():
    signal.signal(signal.SIGINT, lambda *_: end(5000, 72))
    while True: pass
def wait():
    open(os.environ["FAKE_READY"], "w").close()
    time.sleep(600)
%s
'''

PATCH = "Id: AB-%03d\nReported: exercise 7, 1999\n" + fakes.PATCH


class BugsTest(unittest.TestCase):
    def setUp(self):
        self._temporary = tempfile.TemporaryDirectory()
        self.addCleanup(self._temporary.cleanup)
        self.out = self.path("out")
        self.environment = dict(os.environ, MPLCONFIGDIR=self.path("matplotlib"),
                                FAKE_READY=self.path("ready"), PATH="/usr/bin:/bin")
        self.write("tree/allocators/alpha.c", "int alpha;\n")
        self.write("tree/corpus/seeds/one", "x")
        with open(os.path.join(ROOT, "harness", "property.h"), encoding="utf-8") as file:
            self.write("tree/harness/property.h", file.read())
        self.program("alpha", "end(5000, 0)")
        self._count = 0

    def path(self, *names):
        return os.path.join(self._temporary.name, *names)

    def write(self, name, text):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)

    def program(self, name, what):
        fakes.script(self.path("bin", "fuzz", name + "_libfuzzer.elf"), TARGET % what)

    def bug(self, name, what, patch=None):
        self._count += 1
        self.write("tree/fuzz/bugs/alpha.%s.patch" % name,
                   patch or PATCH % (self._count, "bug " + name))
        if what:
            self.program("alpha." + name, what)

    def command(self, *arguments):
        return [sys.executable, os.path.join(CI, "bugs_command.py"), "--prebuilt", self.path("bin"),
                "--tree", self.path("tree"), "--out", self.out, "--jobs", "2", "--seconds", "1",
                *arguments]

    def run_it(self, *arguments):
        """Returns exit code, stdout, stderr."""
        result = subprocess.run(self.command(*arguments), env=self.environment, cwd=self.path(),
                                capture_output=True, text=True, timeout=200, check=False)
        self.assertNotIn("Traceback", result.stderr)
        return result.returncode, result.stdout, result.stderr

    def results(self):
        with open(os.path.join(self.out, "results.json"), encoding="utf-8") as file:
            return json.load(file)

    def test_history(self):
        self.bug("easy", 'kill("overlap")')
        self.bug("other", 'kill("zeroed")')
        code, _, err = self.run_it("--seeds", "1-2", "--control-seconds", "1",
                                   "--history", self.path("night"))
        self.assertEqual(1, code, err)
        self.assertIn("history: 4 runs", err)
        history = History(self.path("night", "history.db"))
        self.addCleanup(history.close)
        row, = history.query("SELECT * FROM campaigns")
        self.assertEqual(("bugs", "ended"), (row["command"], row["state"]))
        self.assertEqual(
            [("alpha+easy", "alpha", "overlap content", 1, 1, "overlap", 10),
             ("alpha+easy", "alpha", "overlap content", 2, 1, "overlap", 20),
             ("alpha+other", "alpha", "overlap content", 1, 0, "zeroed", 10),
             ("alpha+other", "alpha", "overlap content", 2, 0, "zeroed", 20)],
            [tuple(kill) for kill in history.query(
                "SELECT bug, strategy, expected, seed, killed, property, executions FROM kills "
                "ORDER BY bug, seed")])

    def test_all_killed(self):
        self.bug("easy", 'kill("overlap")')
        self.bug("varied", 'kill("overlap" if seed % 2 else "content")')
        code, printed, err = self.run_it("--seeds", "1-7", "--control-seconds", "1",
                                         "--bugs", "alpha")
        self.assertEqual(0, code, err)
        told = self.results()
        fuzzer, = told["fuzzers"]
        self.assertEqual((14, 14, 2, 0), tuple(fuzzer[key] for key in (
            "runs", "killed", "always_killed", "other")))
        self.assertEqual({"overlap": 4, "content": 3}, fuzzer["bugs"][1]["properties"])
        self.assertEqual(40, fuzzer["bugs"][0]["executions"]["median"])
        self.assertEqual((7, []), (fuzzer["control"]["runs"], fuzzer["control"]["findings"]))
        self.assertEqual(35000, fuzzer["control"]["executions"])
        self.assertIn("14 of 14 runs, 100 %", printed)
        self.assertIn("**0 false alarms**", printed)
        self.assertIn("AB-002 | alpha+varied", printed)
        with open(os.path.join(self.out, "runs.csv"), encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        self.assertEqual(21, len(rows))
        self.assertEqual(["10", "20"], [row["executions"] for row in rows
                                        if row["id"] == "AB-001"][:2])
        self.assertNotIn("tmp", os.listdir(self.out))
        self.assertEqual([], os.listdir(os.path.join(self.out, "inputs")))
        if "no plots: " in err:
            self.skipTest("no matplotlib")
        root = ET.parse(os.path.join(self.out, "survival.svg")).getroot()
        self.assertIn("14 of 14 killed", "".join(root.itertext()))
        with open(os.path.join(self.out, "survival.png"), "rb") as file:
            self.assertEqual(b"\x89PNG", file.read(4))

    def test_the_start_corpus_arrives_whatever_folders_are_called(self):
        self.out = self.path("out, of it")
        self.bug("seeded", """
listed = next(a[14:] for a in sys.argv if a.startswith("-seed_inputs=@"))
kill("overlap" if all(map(os.path.isfile, open(listed).read().split(","))) else "walk")""")
        code, _, err = self.run_it("--seeds", "1", "--no-control")
        self.assertEqual(0, code, err)

    def test_survivor_other_and_false_alarm(self):
        self.bug("survives", "live()")
        self.bug("other", 'kill("walk")')
        self.bug("nameless", 'print("boom"); end(4, 77)')
        self.program("alpha", 'kill("bounds")')
        code, printed, err = self.run_it("--seeds", "3")
        self.assertEqual(1, code, err)
        fuzzer, = self.results()["fuzzers"]
        self.assertEqual((0, 1, 1, 1), tuple(fuzzer[key] for key in (
            "killed", "survived", "other", "unnamed")))
        survivor = fuzzer["bugs"][0]
        self.assertEqual((0, None), (survivor["killed"], survivor["executions"]["median"]))
        run = [run for run in self.results()["runs"] if run["subject"] == "alpha+survives"][0]
        self.assertEqual(("survived", 5000), (run["end"], run["executions"]))
        self.assertGreaterEqual(run["cpu_seconds"], 1)
        self.assertIn("> 1", printed)
        self.assertIn("walk (!) 1", printed)
        self.assertIn("**1 false alarm**", printed)
        self.assertIn("FALSE ALARM: alpha, seed 3: bounds", printed)
        inputs = os.listdir(os.path.join(self.out, "inputs"))
        self.assertIn("alpha-libfuzzer-operations-3", inputs)
        self.assertIn("alpha+other-libfuzzer-operations-3.log", inputs)

    def test_other_work_goes_on(self):
        self.bug("good", 'kill("overlap")')
        self.bug("stale", 'kill("overlap")', (PATCH % (7, "x")).replace("-int alpha", "-int gamma"))
        self.bug("misspelt", 'kill("overlap")', (PATCH % (8, "x")).replace("overlap", "overlapp"))
        self.bug("unbuilt", None)
        self.bug("twin", 'kill("overlap")', PATCH % (1, "the id of another one"))
        self.bug("broken", "sys.exit(3)")
        # All that is needed, and no afl-fuzz.
        os.mkdir(self.path("path"))
        for tool in ("python3", "patch"):
            os.symlink(shutil.which(tool, path="/usr/bin:/bin"), self.path("path", tool))
        self.environment["PATH"] = self.path("path")
        code, printed, err = self.run_it("--seeds", "1", "--no-control", "--engines",
                                         "libfuzzer,afl")
        self.assertEqual(2, code, err)
        self.assertIn("killed: 1 of 1 runs", printed)
        for says in ("fuzz/bugs/alpha.stale.patch: does not apply to allocators/alpha.c any more",
                     "fuzz/bugs/alpha.misspelt.patch: unknown property `overlapp`",
                     "//fuzz:alpha.unbuilt_libfuzzer: the build did not make it",
                     "alpha+twin: has the id AB-001, and so has alpha+good",
                     "alpha+broken: alpha.broken_libfuzzer.elf ended with exit code 3",
                     "AFL++: afl-fuzz is not installed: run ci/setup"):
            self.assertIn(says, err)
        self.assertIn("## Could not run", printed)

    def test_compare(self):
        self.bug("structured", 'kill("overlap") if os.environ["ASSAY_MUTATOR"] == "operations" '
                               'else end(90000, 0)')
        code, printed, err = self.run_it("--seeds", "1-6", "--no-control", "--compare",
                                         "operations,bytes")
        self.assertEqual(1, code, err)
        compared, = self.results()["comparisons"]
        self.assertEqual(([35, None]), [compared["bugs"][0]["executions"][side] for side in "ab"])
        self.assertIn("libFuzzer, operations against libFuzzer, bytes", printed)
        if "scipy is not installed" in printed:
            self.skipTest("no scipy")
        self.assertEqual(1.0, compared["bugs"][0]["executions"]["a12"])
        self.assertLess(compared["bugs"][0]["executions"]["p"], 0.05)
        self.assertEqual(1, compared["all"]["executions"]["a_sooner"])

    def test_replay_has_no_seeds(self):
        self.bug("easy", 'kill("overlap")')
        code, _, err = self.run_it("--engines", "replay", "--no-control")
        self.assertEqual((1, 1), (code, len(self.results()["runs"])), err)

    def test_interrupted_and_resumed(self):
        self.bug("easy", 'kill("overlap")')
        self.bug("slow", "wait()")
        with subprocess.Popen(self.command("--seeds", "1-3", "--no-control"), text=True,
                              env=self.environment, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE) as child:
            end = time.monotonic() + 60
            # Both of the two that run at a time wait for ever by then, so all others that could end
            # have ended.
            while not os.path.exists(self.path("ready")) and time.monotonic() < end:
                time.sleep(0.02)
            while self.journal_lines() < 3 and time.monotonic() < end:
                time.sleep(0.02)
            child.send_signal(signal.SIGINT)
            printed, err = child.communicate(timeout=60)
        self.assertEqual(2, child.returncode, err)
        self.assertIn("**Partial**: stopped by SIGINT", printed)
        before = self.results()["runs"]
        self.assertTrue(before)
        # What was done is not done again.
        self.program("alpha.easy", 'kill("content")')
        self.program("alpha.slow", 'kill("content")')
        code, _, err = self.run_it("--seeds", "1-3", "--no-control")
        self.assertEqual(0, code, err)
        after = self.results()["runs"]
        self.assertEqual((6, before), (len(after), after[:len(before)]))
        code, printed, err = self.run_it("--seeds", "1-3", "--corpus", "empty")
        self.assertEqual((2, ""), (code, printed))
        self.assertIn("holds runs of other sources or settings", err)

    def journal_lines(self):
        try:
            with open(os.path.join(self.out, "runs.jsonl"), encoding="utf-8") as file:
                return len(file.readlines())
        except OSError:
            return 0

    def test_refused(self):
        self.bug("easy", 'kill("overlap")')
        for arguments, says in (
                (["--bugs", "nosuch"], "no bug is called 'nosuch'"),
                (["--engines", "nosuch"], "unknown engine 'nosuch'"),
                (["--mutators", "nosuch"], "unknown mutator 'nosuch'"),
                (["--compare", "afl,bytes"], "are neither two engines"),
                (["--compare", "bytes"], "name two engines or two mutators"),
                (["--compare", "engines", "--engines", "afl"], "leave --engines away"),
                (["--seeds", "9-3"], "ends before it begins"),
                (["--seeds", "x"], "'x' is no number"),
                (["--set", "plants"], "there are no bugs in that set"),
                (["--nosuch"], "see ci/bugs --help")):
            code, printed, err = self.run_it(*arguments)
            self.assertEqual((2, ""), (code, printed), err)
            self.assertIn(says, err)
            self.assertFalse(os.path.exists(self.out), arguments)

    def test_list(self):
        self.bug("easy", 'kill("overlap")')
        code, printed, _ = self.run_it("--list")
        self.assertEqual(0, code)
        self.assertIn("AB-001   alpha+easy\n         bug easy\n", printed)
        self.assertFalse(os.path.exists(self.out))


if __name__ == "__main__":
    unittest.main(verbosity=2)
