#!/usr/bin/env python3
"""ci/check as people type it, on small sources and the real kit: what it finds, says and refuses."""
import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

CI = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(CI))
from ci import check_command, driver_blind, foreign_build, foreign_mm  # noqa: E402
from ci import foreign_width, tier_shares, workbench  # noqa: E402
from reports import results  # noqa: E402

SAMPLE = os.path.join(CI, "samples", "simple_mm.c")
OPTIONS = argparse.Namespace(kit="", cache="")


class CheckTest(unittest.TestCase):
    def setUp(self):
        self._temporary = tempfile.TemporaryDirectory()
        self.addCleanup(self._temporary.cleanup)
        self.cache = os.path.join(OPTIONS.cache, "x")
        os.makedirs(self.cache, exist_ok=True)

    def path(self, *names):
        return os.path.join(self._temporary.name, *names)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        return self.path(name)

    def check(self, *arguments, command="check_command.py"):
        """Returns exit code, stdout, stderr."""
        more = ["--out", self.path("out"), "--kit", OPTIONS.kit, "--cache",
                OPTIONS.cache + "/x/cache"] if command == "check_command.py" else []
        result = subprocess.run(
            [sys.executable, os.path.join(CI, command), *arguments, *more], capture_output=True, text=True,
            timeout=240, check=False)
        self.assertNotIn("Traceback", result.stderr)
        return result.returncode, result.stdout, result.stderr

    def refused(self, *arguments, says):
        before = os.listdir(self.cache) if os.path.isdir(self.cache) else []
        code, _, err = self.check(*arguments)
        self.assertEqual(2, code, err)
        for words in [says] if isinstance(says, str) else says:
            self.assertIn(words, err)
        # Nothing is left behind.
        self.assertFalse(os.path.exists(self.path("out")))
        self.assertEqual([], [name for name in os.listdir(self.cache) if name.startswith(".build-") and
                              name not in before] if os.path.isdir(self.cache) else [])

    def report(self):
        with open(self.path("out", "report.json"), encoding="utf-8") as file:
            return json.load(file)

    def found(self, *flags, tiers="core", seconds="4", file=SAMPLE):
        """{(tier, property): finding} of a short check."""
        code, out, err = self.check("--mm", file, *("--cflag=-D" + flag for flag in flags), "--tiers", tiers,
                                    "--seconds", seconds)
        report = self.report()
        self.assertEqual(1 if report["findings"] else 0, code, out + err)
        return {(each["strategy"], each["property"]): each for each in report["findings"]}


class VerdictTest(CheckTest):
    def test_a_right_one_is_clean_and_the_report_says_how_it_was_built(self):
        code, out, err = self.check("--mm", SAMPLE, "--seconds", "12", "--m64")
        self.assertEqual((0, ""), (code, err), out)
        for tier in ("core", "resize", "reinit", "exhaustion", "huge", "edge"):
            self.assertRegex(out, r"tier %s +clean, \d" % tier)
        for words in ("64 bits, as told", "without mm_calloc", "alignment 16, as all blocks of a trial run",
                      "restored", "scores: utilisation"):
            self.assertIn(words, out)
        for name in ("report.md", "report.xml", "report.sarif", "report.html"):
            with open(self.path("out", name), encoding="utf-8") as file:
                self.assertIn("64 bits, as told", file.read(), name)

    def test_a_finding_names_the_users_line_and_replays(self):
        found = self.found("COPIES_TOO_LITTLE", tiers="resize")
        self.assertIn(("resize", "resize-prefix"), found)
        finding = found["resize", "resize-prefix"]
        self.assertTrue(finding["file"].endswith("simple_mm.c"), finding["file"])
        path = os.path.join(self.path("out", "findings", "resize"), finding["name"])
        code, out, _ = self.check(path, command="repro_command.py")
        self.assertEqual(1, code, out)
        self.assertIn("Verdict: resize-prefix", out)
        self._build_reproducer(path + ".c")

    def _build_reproducer(self, source):
        """As its first lines say, and it shows the same."""
        with open(source, encoding="utf-8") as file:
            lines = file.read().split("Build and run it")[1].split("#include")[0].splitlines()[1:]
        command = "\n".join(line.lstrip("/ ") for line in lines if line.strip("/ "))
        self.assertIn("simple_mm.c", command)
        shutil.copy(source, self.path("repro.c"))
        command = command.replace("cc ", self.compiler() + " ", 1)
        command = command.replace(" repro.c", " " + self.path("repro.c"))
        command = command.replace("-o repro && ./repro", "-o %s && %s" % (self.path("x"), self.path("x")))
        made = subprocess.run(["sh", "-c", command], cwd=workbench.ROOT, capture_output=True, text=True,
                              check=False)
        self.assertNotEqual(0, made.returncode)
        self.assertIn("not kept", made.stdout + made.stderr)

    @staticmethod
    def compiler():
        with open(os.path.join(OPTIONS.kit, "kit.compiler"), encoding="utf-8") as file:
            return file.read().strip()

    def test_tiers_have_verdicts_of_their_own(self):
        found = self.found("STARTS_ONCE", tiers="core,reinit", seconds="6")
        self.assertEqual({"reinit"}, {tier for tier, _ in found})

    def test_what_it_does_is_told_as_what_it_did(self):
        for flag, wanted, words in (("LEAVES", "crash", "it called exit(0)"),
                                    ("MULTIPLIES", "crash", "it called fork()"),
                                    ("MAPS", "outside-heap", "it called mmap")):
            found = self.found(flag)
            self.assertIn(("core", wanted), found, flag)
            self.assertIn(words, found["core", wanted]["diagnosis"])
            shutil.rmtree(self.path("out"))

    def test_the_width_is_chosen_where_the_source_needs_it(self):
        if not foreign_build.Kit(OPTIONS.kit, 32).available:
            self.skipTest("this machine builds nothing for 32 bits")
        code, out, err = self.check("--mm", SAMPLE, "--cflag=-DNARROW", "--tiers", "core", "--seconds", "3")
        self.assertEqual(0, code, out + err)
        self.assertIn("32 bits, since it makes pointers of 32-bit integers (simple_mm.c:", out)

    def test_what_needs_32_bits_is_judged_there_if_it_fails_there_too(self):
        if not foreign_build.Kit(OPTIONS.kit, 32).available:
            self.skipTest("this machine builds nothing for 32 bits")
        code, out, err = self.check("--mm", SAMPLE, "--cflag=-DNARROW", "--cflag=-DCRASHES", "--tiers", "core",
                                    "--seconds", "3")
        self.assertEqual(1, code, out + err)
        self.assertIn("malloc lab: 32 bits, since it makes pointers of 32-bit integers", out)

    def test_a_path_with_blanks_hides_nothing(self):
        if not foreign_build.Kit(OPTIONS.kit, 32).available:
            self.skipTest("this machine builds nothing for 32 bits")
        os.mkdir(self.path("the home of Ä"))
        path = shutil.copy(SAMPLE, self.path("the home of Ä"))
        code, out, err = self.check("--mm", path, "--cflag=-DNARROW", "--tiers", "core", "--seconds", "3")
        self.assertEqual(0, code, out + err)
        self.assertIn("since it makes pointers of 32-bit integers (simple_mm.c:", out)

    def test_what_was_mended_is_told(self):
        self.assertTrue(self.found("COPIES_TOO_LITTLE", tiers="resize"))
        code, _, _ = self.check("--mm", SAMPLE, "--tiers", "resize", "--seconds", "3")
        self.assertEqual(0, code)
        self.assertEqual({"fixed"}, {finding["status"] for finding in self.report()["findings"]})

    def test_a_flood_is_survived(self):
        self.assertEqual({}, self.found("FLOODS"))
        with open(self.path("out", "report.md"), encoding="utf-8") as file:
            self.assertNotIn("in the trial run", file.read())

    def test_resize_is_left_out_where_there_is_none(self):
        code, out, _ = self.check("--mm", SAMPLE, "--cflag=-DWITHOUT_REALLOC", "--tiers", "core",
                                  "--seconds", "3")
        self.assertEqual(0, code)
        self.assertIn("resize, as there is no mm_realloc", out)


class RefusalTest(CheckTest):
    def test_files(self):
        self.refused("--mm", self.path("none.c"), says="no such file")
        self.refused("--mm", self.path(), says="is a folder")
        self.refused("--mm", self.write("empty.c", ""), says="is empty")
        self.refused("--mm", self.write("memlib.c", "int x;"), says="no source of an allocator")

    def test_a_folder_of_somebody_else_is_left_alone(self):
        os.makedirs(self.path("out", "build"))
        with open(self.path("out", "build", "thesis"), "w", encoding="utf-8") as file:
            file.write("years of work")
        code, _, err = self.check("--mm", SAMPLE, "--tiers", "core", "--seconds", "3")
        self.assertEqual(2, code)
        self.assertIn("is in the way, and not a build of ci/check", err)
        self.assertTrue(os.path.exists(self.path("out", "build", "thesis")))

    def test_sources(self):
        self.refused("--mm", self.write("bad.c", "int mm_init(void) { return nothing; }\n"),
                     says=["use of undeclared identifier 'nothing'", "bad.c does not compile"])
        self.refused("--mm", self.write("half.c", "int mm_init(void) { return 0; }\n"), says=[
            "no mm_malloc and no mm_free", "are required", "mm_realloc, mm_calloc are optional"])
        whole = ("#include <stddef.h>\nint mm_init(void){return 0;}\n"
                 "void *mm_malloc(size_t n){return helper(n);}\nvoid mm_free(void *p){(void)p;}\n")
        self.refused("--mm", self.write("lacks.c", whole), says="calls helper, which none of the files defines")

    def test_options(self):
        for arguments, says in (
                ((), "say what to check"), (("--mm", SAMPLE, "--malloc", "x.so"), "only one of these"),
                (("--mm", SAMPLE, "--tiers", "core,nothing"), "unknown tier 'nothing'"),
                (("--mm", SAMPLE, "--seconds", "0"), "no number of seconds"),
                (("--mm", SAMPLE, "--alignment", "12"), "invalid choice"),
                (("--mm", SAMPLE, "--init", "x"), "--init is for --heap"),
                (("--malloc", "x.so", "--prefix", "je-"), "'je-' is no beginning of a C name"),
                (("--mm", SAMPLE, "--heap-limit", "17"), "no size of at least 4K"),
                (("--mm", SAMPLE, "--seconds", "1"), "give at least --seconds"),
                (("--malloc", SAMPLE), "not a shared library")):
            self.refused(*arguments, says=says)


class SharesTest(unittest.TestCase):
    def test_each_job_has_its_turn(self):
        for seconds, cores, jobs in ((10, 2, 12), (10, 1, 6), (60, 2, 12), (9, 4, 6), (60, 8, 2)):
            keys = tier_shares.chosen(range(jobs), cores, seconds, jobs // 2)
            turns, had = tier_shares.Turns(keys, cores, seconds), dict.fromkeys(keys, 0.0)
            now = 0.0
            running = [(0.0, core, None) for core in range(cores)]
            while running:
                running.sort(key=lambda each: each[0])
                now, core, _ = running.pop(0)
                chosen = turns.next(now, [key for _, _, key in running], core)
                if chosen:
                    key, length = chosen
                    self.assertGreaterEqual(length, 1)
                    had[key] += length
                    running.append((now + length, core, key))
            self.assertTrue(all(time >= 1 for time in had.values()), (seconds, cores, jobs, had))
            self.assertLessEqual(now, seconds + 0.1)


class DriverTest(unittest.TestCase):
    """What a course's driver would have missed."""

    @staticmethod
    def finding(tier, property_id, text="allocate 0 size=9\nresize 0 size=9", diagnosis=""):
        return results.Finding("", tier, property_id, "", text=text, diagnosis=diagnosis)

    def missed(self, *findings):
        return "\n".join(driver_blind.lines(findings))

    def test_what_it_checks(self):
        for property_id in ("overlap", "bounds", "alignment", "crash"):
            self.assertNotIn("missed", self.missed(self.finding("core", property_id)))
        self.assertNotIn("missed", self.missed(self.finding("resize", "resize-prefix", diagnosis="byte 8 of")))

    def test_what_it_does_not(self):
        for finding, words in (
                (self.finding("resize", "resize-prefix", diagnosis="byte 5000 of"), "first 2048 bytes"),
                (self.finding("core", "content", text="allocate 0 size=9"), "at a resize only"),
                (self.finding("core", "outside-heap"), "past the break"),
                (self.finding("core", "touched-live-block"), "while the allocator works"),
                (self.finding("exhaustion", "crash"), "never run out"),
                (self.finding("huge", "overlap"), "no such sizes"),
                (self.finding("reinit", "invariant:reinit.I2"), "starts each trace but once")):
            self.assertIn(words, self.missed(finding))

    def test_a_tier_is_no_excuse_for_what_shows_in_all(self):
        self.assertNotIn("missed", self.missed(
            self.finding("huge", "overlap"), self.finding("core", "overlap")))


class DoubtTest(unittest.TestCase):
    """What was hardly tried is not clean."""

    def problems(self, *executions, crashes=0):
        jobs = {("core", "libfuzzer", sanitizer): results.Job("core", "libfuzzer", sanitizer=sanitizer,
                                                              executions=number, crashes=crashes)
                for sanitizer, number in zip(check_command.SANITIZERS, executions)}
        told = {}
        run = argparse.Namespace(
            interrupt=argparse.Namespace(name=""),
            campaign=argparse.Namespace(job=lambda key, problem: told.update({key: problem})))
        check_command.Run._doubt_tier(run, list(jobs.items()))
        self.assertEqual(set(told.values()), {job.problem for job in jobs.values() if job.problem})
        return list(told)

    def test_a_tier_that_nobody_tried(self):
        self.assertEqual([("core", "libfuzzer", "address")], self.problems(0, 0))
        self.assertEqual([("core", "libfuzzer", "address")], self.problems(20))

    def test_one_job_is_enough(self):
        self.assertEqual([], self.problems(0, 1000))
        self.assertEqual([], self.problems(0, 0, crashes=1))


class DialectTest(unittest.TestCase):
    def test_what_a_linker_says(self):
        self.assertEqual(["helper"], foreign_build.undefined("x.o: undefined reference to `helper'\n"))
        self.assertEqual(["team"], foreign_build.multiple("a.o: multiple definition of `team'; b.o"))

    def test_what_speaks_for_32_bits(self):
        warning = "/my home/mm.c:%d:3: warning: cast to 'x' [-W%s]\n"
        back = foreign_width.signs(warning % (7, "int-to-pointer-cast"))
        self.assertEqual("it makes pointers of 32-bit integers (mm.c:7)", back.why(""))
        away = foreign_width.signs("".join(
            warning % (line, "pointer-to-int-cast") for line in (7, 7, 9)))
        self.assertEqual("", away.why(""))
        self.assertIn("it truncates pointers (mm.c:7, mm.c:9), and a trial", away.why("it dies"))
        word = foreign_width.signs("", "#define WSIZE 4\n")
        self.assertEqual("", word.why(""))
        self.assertIn("4 bytes (WSIZE), and a trial at 64 bits failed (it dies)", word.why("it dies"))
        # A mistake alone is judged where it shows.
        self.assertEqual("", foreign_width.signs("", "#define WSIZE 8\n").why("it dies"))


class ScoreTest(unittest.TestCase):
    def told(self, text):
        with tempfile.TemporaryDirectory() as folder:
            program = os.path.join(folder, "assay.elf")
            with open(program, "w", encoding="utf-8") as file:
                file.write("#!/bin/sh\ncat <<'END'\n%s\nEND\n" % text)
            os.chmod(program, 0o755)
            return foreign_mm.score(argparse.Namespace(program=lambda name: program), ["core"], 1)

    def test_what_is_not_known_is_said(self):
        mean = {"workload": "mean", "scored": 3, "of": 4, "utilisation": 0.5, "kops": 9.0,
                "libc_utilisation": None, "libc_kops": 8.0}
        self.assertIn("utilisation 50 %, throughput 9 Kops/s, in the mean of 3 of 4 workloads (the C "
                      "library: unknown, 8 Kops/s)", self.told(json.dumps(mean)))
        self.assertIn("none of 4", self.told(json.dumps(dict(mean, scored=0))))
        self.assertIn("does not survive", self.told(""))


if __name__ == "__main__":
    PARSER = argparse.ArgumentParser()
    PARSER.add_argument("--kit", default=os.path.join(workbench.ROOT, "bazel-bin", "fuzz"))
    OPTIONS, REST = PARSER.parse_known_args()
    OPTIONS.kit = os.path.abspath(OPTIONS.kit)
    if os.path.isfile(OPTIONS.kit):
        OPTIONS.kit = os.path.dirname(OPTIONS.kit)
    with tempfile.TemporaryDirectory() as OPTIONS.cache:
        unittest.main(argv=sys.argv[:1] + REST)
