#!/usr/bin/env python3
"""ci/run on real programs: what they print is what they print without it. Exit codes, bad input, the
shadow model, recording."""
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

CI = os.path.dirname(os.path.abspath(__file__))
PREBUILT = os.environ.get("PREBUILT", os.path.dirname(CI))

# Those of the registry that people would take for their heap.
STRATEGIES = ("size_class", "boundary_tag", "tlsf", "hardened", "locked_free_list")

BUG = "free_list+resize_forgets_tail"

SCRIPT = """
import json, re, subprocess, threading
print(len(json.dumps([{str(i): i} for i in range(2000)])), re.sub('a+', 'b', 'aab' * 99)[:9])
found = []
threads = [threading.Thread(target=lambda: found.append(sorted(map(str, range(500))))) for _ in range(3)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(len(found), subprocess.run(['echo', 'child'], capture_output=True).stdout)
"""

SQL = """
import sqlite3
base = sqlite3.connect(':memory:')
base.execute('create table t (n integer, word text)')
base.executemany('insert into t values (?, ?)', [(i * 7919 % 1009, 'w%d' % i) for i in range(3000)])
print(base.execute('select count(*), sum(n), max(word) from t where n > 100 group by n % 3').fetchall())
"""

PERL = r"""my %h; $h{$_ % 97} .= chr(65 + $_ % 26) for 1 .. 5000;
print join(',', map { length $h{$_} } sort { $a <=> $b } keys %h), "\n";
print join(' ', sort grep { /7$/ } map { "x$_" x ($_ % 5) } 1 .. 300), "\n";"""

SOURCE = """
#include <stdio.h>
struct point { double x, y; };
static double norm(struct point p) { return p.x * p.x + p.y * p.y; }
int main(void) { struct point p = {3, 4}; printf("%g\\n", norm(p)); return 0; }
"""


class RunTest(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = temporary.name
        self.environment = {name: value for name, value in os.environ.items()
                            if not name.startswith("ASSAY_")}
        self.environment.update(PYTHONMALLOC="malloc", HOME=self.folder, GIT_CONFIG_NOSYSTEM="1",
                                LC_ALL="C", GIT_PAGER="cat")

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def command(self, *arguments):
        return [sys.executable, os.path.join(CI, "run_program_command.py"), "--prebuilt", PREBUILT,
                "--out", self.path("out"), *arguments]

    def run_it(self, *arguments, **more):
        """Exit code, stdout, stderr."""
        result = subprocess.run(self.command(*arguments), env=self.environment, text=True,
                                capture_output=True, timeout=200, check=False, **more)
        self.assertNotIn("Traceback", result.stderr)
        return result.returncode, result.stdout, result.stderr

    def plain(self, command, **more):
        result = subprocess.run(command, env=self.environment, capture_output=True, text=True,
                                timeout=200, check=False, **more)
        return result.returncode, result.stdout, result.stderr

    def same(self, command, *options, strategies=STRATEGIES, **more):
        """On each strategy the command does what it does without."""
        plain = self.plain(command, **more)
        self.assertEqual(0, plain[0], plain[2])
        for strategy in strategies:
            with self.subTest(strategy=strategy, options=options):
                self.assertEqual(plain, self.run_it(
                    "--strategy", strategy, *options, "--", *command, **more))

    def refused(self, *arguments, says, code=2):
        found, out, err = self.run_it(*arguments)
        self.assertEqual((code, ""), (found, out), err)
        self.assertIn(says, err)
        self.assertEqual(1, err.count("\n"), err)

    # ## Real programs

    def lines(self):
        path = self.path("lines")
        with open(path, "w", encoding="ascii") as file:
            for i in range(30000):
                file.write("%d line %d\n" % (i * 7919 % 30011, i))
        return path

    def test_python(self):
        self.same([sys.executable, "-c", SCRIPT])

    def test_sqlite(self):
        self.same([sys.executable, "-c", SQL])
        if shutil.which("sqlite3"):
            self.same(["sqlite3", ":memory:", "create table t (n); insert into t values (3), (4); "
                       "select sum(n), group_concat(n) from t;"])

    def test_perl(self):
        self.same(["perl", "-e", PERL])

    def test_sort(self):
        self.same(["sort", "--parallel=2", "-S", "1M", self.lines()])

    def test_xz(self):
        path = self.lines()
        packed = self.path("lines.xz")
        for strategy in STRATEGIES:
            with open(packed, "wb") as file:
                result = subprocess.run(self.command(
                    "--strategy", strategy, "--", "xz", "-T2", "-1", "--block-size=100KiB", "-c",
                    path), env=self.environment, stdout=file, stderr=subprocess.PIPE, check=False)
            self.assertEqual((0, b""), (result.returncode, result.stderr), strategy)
            unpacked = self.run_it("--strategy", strategy, "--", "xz", "-T2", "-dc", packed)
            with open(path, encoding="ascii") as file:
                self.assertEqual((0, file.read(), ""), unpacked, strategy)

    def test_gcc(self):
        source, program = self.path("point.c"), self.path("point")
        with open(source, "w", encoding="ascii") as file:
            file.write(SOURCE)
        for strategy in STRATEGIES:
            code, out, err = self.run_it("--strategy", strategy, "--", "gcc", "-O2", "-o", program,
                                         source)
            self.assertEqual((0, "", ""), (code, out, err), strategy)
            self.assertEqual((0, "25\n", ""), self.run_it("--strategy", strategy, "--", program))
            os.remove(program)

    def test_git(self):
        repository = self.path("repository")
        who = dict.fromkeys(("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME", "GIT_AUTHOR_EMAIL",
                             "GIT_COMMITTER_EMAIL"), "a@example.org")
        self.environment.update(who, GIT_AUTHOR_DATE="1700000000 +0000",
                                GIT_COMMITTER_DATE="1700000000 +0000")
        for strategy in ("size_class", "tlsf"):
            shutil.rmtree(repository, ignore_errors=True)
            for command in (["init", "-q", repository],
                            ["-C", repository, "commit", "-q", "--allow-empty", "-m", "One"],
                            ["-C", repository, "repack", "-adq"]):
                self.assertEqual((0, "", ""), self.run_it("--strategy", strategy, "--", "git",
                                                          *command), strategy)
        self.same(["git", "-C", repository, "log", "--stat"])
        self.same(["git", "-C", repository, "fsck"], strategies=("boundary_tag",))

    def test_script(self):
        script = self.path("script")
        with open(script, "w", encoding="ascii") as file:
            file.write("#!/usr/bin/env bash\nfor i in 1 2 3; do echo $(expr $i + 1); done | sort -r\n")
        os.chmod(script, 0o755)
        self.same([script])

    def test_shadow(self):
        for command in ([sys.executable, "-c", SCRIPT], ["sort", "--parallel=2", self.lines()],
                        ["perl", "-e", PERL]):
            self.same(command, "--shadow", strategies=STRATEGIES + ("page_bump", "system"))
        self.assertFalse(os.path.exists(self.path("out")))

    # ## What the shadow model finds

    def test_violation(self):
        code, out, err = self.run_it("--strategy", BUG, "--shadow", "--", sys.executable, "-c",
                                     SCRIPT)
        self.assertEqual((99, ""), (code, out), err)
        for line in ("ERROR: assay: %s: resize-prefix: " % BUG, "ASSERTION FAILED: resize-prefix",
                     "    #0 0x", "ci/run: VIOLATION of resize-prefix by " + BUG,
                     "ci/run: its trace: ",
                     "ci/run: a replay of it shows resize-prefix without the program"):
            self.assertIn(line, err)
        trace, = os.listdir(self.path("out", BUG))
        self.assertTrue(trace.startswith("resize-prefix-python"), trace)

    def test_violation_in_a_child(self):
        """What the command makes of its child's end is its own affair; the exit code is ours."""
        code, out, err = self.run_it(
            "--strategy", BUG, "--shadow", "--no-trace", "--", "sh", "-c",
            "'%s' -c 'x = [str(i) for i in range(9999)]' || echo failed" % sys.executable)
        self.assertEqual((99, "failed\n"), (code, out), err)
        self.assertNotIn("its trace", err)

    # ## Recording

    def test_record(self):
        trace = self.path("sort.trace")
        path = self.lines()
        plain = self.plain(["sort", path])
        for options in ((), ("--shadow",)):
            code, out, err = self.run_it("--strategy", "tlsf", "--record", trace, *options, "--",
                                         "sort", path)
            self.assertEqual(plain[:2], (code, out), err)
            self.assertIn("sort.trace: sort, ", err)
            replay = subprocess.run(
                [os.path.join(PREBUILT, "assay.elf"), "replay", "--strategy", "tlsf", trace],
                capture_output=True, text=True, check=False)
            self.assertEqual(0, replay.returncode, replay.stdout + replay.stderr)
            os.remove(trace)

    def test_record_children(self):
        trace = self.path("all.trace")
        code, out, err = self.run_it("--strategy", "size_class", "--record", trace, "--", "sh", "-c",
                                     "sort </dev/null; perl -e 'print 7'; exit 5")
        self.assertEqual((5, "7"), (code, out), err)
        beside = sorted(name.split(".")[1] for name in os.listdir(self.folder))
        self.assertEqual({"trace", "sort", "perl"}, set(beside))

    # ## Exit codes

    def test_exit_codes(self):
        for options in ((), ("--shadow",)):
            for script, code in (("exit 7", 7), ("kill -9 $$", 137), ("kill -TERM $$", 143)):
                found = self.run_it("--strategy", "tlsf", *options, "--", "bash", "-c", script)[0]
                self.assertIn(found, (code, 128 - code), script)    # a signal may end us as well

    def test_termination_is_passed_on(self):
        with subprocess.Popen(
                self.command("--strategy", "tlsf", "--shadow", "--", sys.executable, "-c",
                             "import time; print('ready', flush=True); time.sleep(60)"),
                env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            self.assertEqual(b"ready\n", process.stdout.readline())
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)
        self.assertEqual(128 + signal.SIGTERM, process.returncode)

    def test_misuse_ends_the_program(self):
        script = "import ctypes; libc = ctypes.CDLL(None); f = libc.free; f.argtypes = [ctypes.c_void_p];" \
                 "m = libc.malloc; m.restype = ctypes.c_void_p; p = m(40); q = m(40); f(p); f(p); print(1)"
        for options, says in (((), "free_list: double release of 0x"),
                              (("--shadow",), "the program's misuse: release of 0x")):
            code, out, err = self.run_it("--strategy", "free_list", *options, "--", sys.executable,
                                         "-c", script)
            self.assertIn(code, (-signal.SIGABRT, 128 + signal.SIGABRT), err)
            self.assertEqual("", out)
            self.assertIn("assay run: " + says, err)
        code, out, err = self.run_it("--strategy", "free_list", "--misuse", "tell", "--",
                                     sys.executable, "-c", script)
        self.assertEqual((0, "1\n"), (code, out), err)

    # ## Bad input

    def test_commands_that_cannot_be_run(self):
        self.refused("--strategy", "tlsf", "--", "no-such-command", code=127,
                     says="no-such-command: command not found")
        self.refused("--strategy", "tlsf", "--", "/no/such", code=127, says="/no/such: no such file")
        self.refused("--strategy", "tlsf", "--", "/", code=126, says="/: is a folder")
        plain = self.path("plain")
        with open(plain, "w", encoding="ascii") as file:
            file.write("text\n")
        self.refused("--strategy", "tlsf", "--", plain, code=126, says="permission denied")
        os.chmod(plain, 0o755)
        self.refused("--strategy", "tlsf", "--", plain, code=126,
                     says="neither a program nor a script")
        with open(plain, "w", encoding="ascii") as file:
            file.write("#!/no/such/interpreter\n")
        self.refused("--strategy", "tlsf", "--", plain, code=126,
                     says="its interpreter /no/such/interpreter is not there")

    def test_static_program(self):
        source, program = self.path("static.c"), self.path("static")
        with open(source, "w", encoding="ascii") as file:
            file.write("int main(void) { return 0; }\n")
        subprocess.run(["gcc", "-static", "-o", program, source], check=True)
        self.refused("--strategy", "tlsf", "--", program, says="is statically linked")

    def test_bad_options(self):
        self.refused("--", "true", says="say which: --strategy X")
        self.refused("--strategy", "tlsf", says="say what to run")
        self.refused("--strategy", "heap_of_sand", "--", "true",
                     says="unknown strategy 'heap_of_sand'; there is: bump ")
        self.refused("--strategy", "tlsf", "--variant", "x", "--", "true", says="tlsf has no variant 'x'")
        self.refused("--strategy", "tlsf", "--heap", "lots", "--", "true", says="'lots' is no size")
        self.refused("--strategy", "tlsf", "--no-trace", "--", "true", says="--no-trace goes with")
        self.refused("--strategy", "tlsf", "--record", self.folder, "--", "true",
                     says="no trace can be written there")

    def test_list(self):
        code, out, _ = self.run_it("--list")
        self.assertEqual(0, code)
        for strategy in STRATEGIES:
            self.assertIn("\n" + strategy + " ", out)
        self.assertIn("never releases", out)

    def test_interrupt(self):
        """Ctrl-C goes to the whole group of the terminal, and the command decides."""
        script = "import time\nprint('ready', flush=True)\ntry: time.sleep(60)\n" \
                 "except KeyboardInterrupt: raise SystemExit(9)"
        with subprocess.Popen(
                self.command("--strategy", "size_class", "--record", self.path("i.trace"), "--",
                             sys.executable, "-c", script),
                env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                start_new_session=True) as process:
            self.assertEqual(b"ready\n", process.stdout.readline())
            time.sleep(0.2)
            os.killpg(process.pid, signal.SIGINT)
            process.communicate(timeout=60)
        self.assertEqual(9, process.returncode)
        self.assertTrue(os.path.exists(self.path("i.trace")))


if __name__ == "__main__":
    unittest.main()
