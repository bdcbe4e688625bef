#!/usr/bin/env python3
"""Records real programs with `assay record`, checks their traces, and replays these.

    record_test.py --assay PROGRAM [--preload RECORDER] [--strategy NAME]...

Each trace is checked here, independently of the C code that wrote it, and then replayed on each
strategy with the oracle on.
"""
import argparse
import collections
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import zlib

PACKAGES = {"sort": "coreutils", "python3": "python3", "gcc": "gcc", "git": "git"}

Operation = collections.namedtuple("Operation", "kind count align thread slot size")
Trace = collections.namedtuple("Trace", "path program peak_bytes unknown threads operations")

ALLOCATE, ZEROED, RELEASE, RESIZE = range(4)

# Calls each function once, with sizes to be recognised by; then many threads at once.
THREADED = r"""
#define _GNU_SOURCE
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

static void *volatile box[16];

static void *work(void *number) {
  unsigned seed = (unsigned)(size_t)number;
  for (int i = 0; i < 20000; i++) {
    unsigned r = rand_r(&seed);
    void *block = __atomic_exchange_n(&box[r % 16], NULL, __ATOMIC_ACQ_REL);
    if (r / 16 % 4 == 0) block = realloc(block, r / 64 % 600 + 1);
    else { free(block); block = malloc(r / 64 % 300); }
    free(__atomic_exchange_n(&box[r / 4 % 16], block, __ATOMIC_ACQ_REL));
  }
  return NULL;
}

int main(void) {
  pthread_t threads[4];
  void *p;
  p = malloc(10001);
  p = realloc(p, 10002);
  p = reallocarray(p, 10003, 2);
  free(p);
  p = calloc(3, 10004);
  p = calloc(10005, 3);
  p = aligned_alloc(256, 10240);
  p = memalign(512, 10006);
  if (posix_memalign(&p, 1024, 10007)) return 9;
  p = valloc(10008);
  p = pvalloc(10009);
  p = malloc(0);
  if (malloc((size_t)-1000)) return 9;
  for (size_t i = 0; i < 4; i++) pthread_create(&threads[i], NULL, work, (void *)(i + 1));
  for (size_t i = 0; i < 4; i++) pthread_join(threads[i], NULL);
  _exit(0);
}
"""
THREADED_CALLS = [
    Operation(ALLOCATE, 1, 16, 0, None, 10001),
    Operation(RESIZE, 1, 16, 0, None, 10002),
    Operation(RESIZE, 1, 16, 0, None, 20006),
    Operation(ZEROED, 3, 16, 0, None, 10004),
    Operation(ZEROED, 1, 16, 0, None, 30015),
    Operation(ALLOCATE, 1, 256, 0, None, 10240),
    Operation(ALLOCATE, 1, 512, 0, None, 10006),
    Operation(ALLOCATE, 1, 1024, 0, None, 10007),
    Operation(ALLOCATE, 1, os.sysconf("SC_PAGESIZE"), 0, None, 10008),
    Operation(ALLOCATE, 1, os.sysconf("SC_PAGESIZE"), 0, None,
              10009 + -10009 % os.sysconf("SC_PAGESIZE")),
    Operation(ALLOCATE, 1, 16, 0, None, 1),
]


class Failure(Exception):
    """What did not hold, for people."""


def check(condition, message, *details):
    if not condition:
        raise Failure(message + "".join("\n    %s" % (detail,) for detail in details))


def align_of(code):
    if code < 64:
        return 1 << code
    return 0 if code == 64 else None


def read_trace(path):
    """Parses a trace and follows its slots: only live ones may be released or resized."""
    with open(path, "rb") as file:
        data = file.read()
    magic, version, checksum, records, peak_bytes, peak_blocks, unknown, threads, reserved = (
        struct.unpack_from("<8sIIQQQQQQ", data))
    check(magic == b"assaytrc" and version == 1 and reserved == 0, "%s: not a trace" % path)
    check(zlib.crc32(data[16:]) == checksum, "%s: wrong checksum" % path)
    check(len(data) == 64 + 16 * records, "%s: wrong length" % path)
    operations, live, most = [], {}, 0
    slots = 1 << ((struct.unpack_from("<H", data, 66)[0] >> 8) + 6) % 25
    for code, align, thread, slot, size in struct.iter_unpack("<BBHIQ", data[80:]):
        operation = Operation(code & 15, (code >> 4) + 1, align_of(align), thread, slot, size)
        check(slot < slots, "%s: a slot beyond the heap's" % path, operation)
        if operation.kind in (ALLOCATE, ZEROED):
            check(slot not in live, "%s: a live slot is allocated into" % path, operation)
            live[slot] = size * operation.count
        elif operation.kind == RELEASE:
            check(slot in live, "%s: an empty slot is released" % path, operation)
            del live[slot]
        else:
            check(operation.kind == RESIZE and slot in live, "%s: wrong" % path, operation)
            live[slot] = size
        most = max(most, len(live))
        operations.append(operation)
    check(most == peak_blocks, "%s: %d blocks lived, not %d" % (path, most, peak_blocks))
    program = os.path.basename(path).split(".")[0]
    return Trace(path, program, peak_bytes, unknown, threads, operations)


class Recorder:
    """Runs `assay record` into a fresh directory each time."""

    def __init__(self, arguments, directory):
        self.assay = os.path.abspath(arguments.assay)
        self.strategies = arguments.strategy
        self.directory = directory
        self.runs = 0
        self.options = []
        if arguments.preload:
            self.options = ["--preload", os.path.abspath(arguments.preload)]

    def command(self, out, command):
        return [self.assay, "record", "--out", out] + self.options + ["--"] + command

    def run(self, command, out=None, **settings):
        """Returns the finished process and the traces."""
        self.runs += 1
        out = out or os.path.join(self.directory, "out%d" % self.runs)
        process = subprocess.run(
            self.command(out, command), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            timeout=300, check=False, **settings)
        return process, self.traces(out)

    def traces(self, out):
        if not os.path.isdir(out):
            return []
        names = sorted(os.listdir(out))
        check(all(name.endswith(".trace") for name in names), "%s holds more than traces" % out,
              names)
        return [read_trace(os.path.join(out, name)) for name in names]

    def clean(self, command, **settings):
        """As run, for a command that succeeds and whose traces replay cleanly."""
        process, traces = self.run(command, **settings)
        check(process.returncode == 0, "%s exits with %d" % (command[0], process.returncode),
              process.stderr.decode())
        lines = process.stderr.decode().splitlines()
        check(len(lines) == len(traces), "not one line a trace", *lines)
        for strategy in self.strategies:
            replay = subprocess.run(
                [self.assay, "replay", "--strategy", strategy, "--tier", "fast"]
                + [trace.path for trace in traces],
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600, check=False)
            check(replay.returncode == 0, "replay on %s finds something" % strategy,
                  replay.stdout.decode())
        return process, traces


def count_programs(traces):
    return collections.Counter(trace.program for trace in traces)


def test_sort(recorder, directory):
    path = os.path.join(directory, "lines")
    with open(path, "w", encoding="ascii") as file:
        for i in range(20000):
            file.write("%d line %d\n" % (i * 7919 % 20011, i))
    process, traces = recorder.clean(["sort", path])
    plain = subprocess.run(["sort", path], stdout=subprocess.PIPE, check=True)
    check(process.stdout == plain.stdout, "sort's output is changed by recording")
    check(count_programs(traces) == {"sort": 1}, "not one trace of sort", count_programs(traces))
    check(traces[0].peak_bytes > 100000, "sort needed no memory?", traces[0].peak_bytes)


def test_python(recorder, _):
    script = "import os, sys; x = [str(i) * 9 for i in range(5000)]; print(sum(map(len, x)))"
    environment = dict(os.environ, PYTHONMALLOC="malloc")
    process, traces = recorder.clean(["python3", "-c", script], env=environment)
    check(process.stdout == b"170010\n", "python's output is changed", process.stdout)
    pythons = [trace for trace in traces if trace.program.startswith("python")]
    check(len(pythons) >= 1, "no trace of python", count_programs(traces))
    check(max(len(trace.operations) for trace in pythons) > 20000, "python allocated little")


def test_gcc(recorder, directory):
    source = os.path.join(directory, "small.c")
    with open(source, "w", encoding="ascii") as file:
        for i in range(200):
            file.write("int f%d(int x) { return x * %d + f%d(x - 1); }\n" % (i, i, max(i - 1, 0)))
    to = os.path.join(directory, "small.o")
    _, traces = recorder.clean(["gcc", "-w", "-c", "-o", to, source])
    programs = count_programs(traces)
    check(os.path.getsize(to) > 1000, "gcc wrote no object")
    check(programs["cc1"] == 1 and sum("gcc" in name for name in programs) == 1,
          "not one trace each of gcc and cc1", programs)


def test_git(recorder, directory):
    repository = os.path.join(directory, "repository")
    environment = dict(os.environ, HOME=directory, GIT_CONFIG_NOSYSTEM="1", GIT_PAGER="cat")
    for who in ("AUTHOR", "COMMITTER"):
        environment["GIT_%s_NAME" % who] = "A"
        environment["GIT_%s_EMAIL" % who] = "a@example.org"
    subprocess.run(["git", "init", "-q", repository], env=environment, check=True)
    for i in range(20):
        subprocess.run(["git", "-C", repository, "commit", "-q", "--allow-empty", "-m",
                        "Change %d" % i], env=environment, check=True)
    process, traces = recorder.clean(["git", "-C", repository, "log"], env=environment)
    check(process.stdout.count(b"Change") == 20, "git log shows other commits")
    check(count_programs(traces) == {"git": 1}, "not one trace of git", count_programs(traces))


def test_threads(recorder, directory):
    source, program = os.path.join(directory, "threaded.c"), os.path.join(directory, "threaded")
    with open(source, "w", encoding="ascii") as file:
        file.write(THREADED)
    subprocess.run(["gcc", "-O0", "-w", "-pthread", "-o", program, source], check=True)
    _, (trace,) = recorder.clean([program])
    check(trace.threads == 5 and trace.unknown == 0, "5 threads, all known", trace[:5])
    check({operation.thread for operation in trace.operations} == set(range(5)), "threads differ")
    calls = [operation._replace(slot=None) for operation in trace.operations]
    first = calls.index(THREADED_CALLS[0])
    found = [call for call in calls[first:] if call.kind != RELEASE][:len(THREADED_CALLS)]
    check(found == THREADED_CALLS, "the calls are recorded otherwise", *found)


def test_processes(recorder, _):
    script = "x=$(printf a); (exit 3); printf '%s' \"$x\" | cat; sort </dev/null; exec cat </dev/null"
    process, traces = recorder.run(["bash", "-c", script])
    programs = count_programs(traces)
    check(process.returncode == 0 and process.stdout == b"a", "the script fails", process.stderr)
    # One is the command, others are what it forked; the last `cat` is the command's process.
    check(programs["bash"] >= 4 and programs["sort"] == 1 and programs["cat"] == 2,
          "not one trace a process", programs)
    check(len({trace.path for trace in traces}) == len(traces), "traces share a name")


def test_input_and_names(recorder, directory):
    out = os.path.join(directory, "twice", "below")
    for round_number in (1, 2):
        process, traces = recorder.run(["cat"], out=out, input=b"through\n")
        check(process.stdout == b"through\n", "cat's input is not its own", process.stdout)
        check(len(traces) == round_number, "a second recording removes the first", traces)


def test_exit_codes(recorder, directory):
    for script, code in (("exit 7", 7), ("kill -9 $$", 137), ("kill -TERM $$", 143)):
        process, traces = recorder.run(["bash", "-c", script])
        check(process.returncode == code, "%s: %d" % (script, process.returncode))
        check(len(traces) == 1 and traces[0].operations, "%s leaves no trace" % script)
    process, traces = recorder.run(["/no/such/command"])
    check(process.returncode == 127 and process.stderr ==
          b"assay: /no/such/command: command not found\n", "a missing command", process)
    plain = os.path.join(directory, "plain")
    with open(plain, "w", encoding="ascii") as file:
        file.write("text")
    process, traces = recorder.run([plain])
    check(process.returncode == 126 and process.stderr.endswith(b": Permission denied\n"),
          "a file that is no program", process)


def test_misuse(recorder, directory):
    def complains(arguments, text, **settings):
        process = subprocess.run([recorder.assay, "record"] + arguments, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, check=False, **settings)
        check(process.returncode == 2 and text in process.stderr.decode()
              and process.stderr.count(b"\n") == 1, "not one line about %r" % text, process)

    complains([], "no command to record")
    complains(["--"], "no command to record")
    complains(["--frobnicate", "ls"], "--frobnicate: unknown option")
    complains(["--out"], "--out: unknown option, or its value is missing")
    complains(["--preload", "/no/such.so", "ls"], "/no/such.so: cannot be read")
    odd = os.path.join(directory, "odd name.so")
    open(odd, "w", encoding="ascii").close()
    complains(["--preload", odd, "ls"], "the loader takes no blank or colon")
    complains(["--collect", "/no/such", "--out", directory], "/no/such: cannot be read")
    complains(["--collect", directory, "ls"], "--collect runs no command")
    complains(recorder.options + ["--out", "/dev/null/x", "ls"], "no traces can be put there")
    complains(recorder.options + ["--out", os.path.join(directory, "nothing"), "true"],
              "true: nothing was recorded")
    help_text = subprocess.run([recorder.assay, "record", "--help"], stdout=subprocess.PIPE,
                               check=True).stdout
    check(help_text.startswith(b"usage: assay record"), "no help", help_text)


def test_full_disk(recorder, _):
    """A limit on the size of files stands for a full disk."""
    script = ("ulimit -f 1000; exec python3 -c "
              "'x = [str(i) for i in range(100000)]; print(len(x))'")
    environment = dict(os.environ, PYTHONMALLOC="malloc")
    process, traces = recorder.run(["bash", "-c", script], env=environment)
    check(process.returncode == 0 and process.stdout == b"100000\n", "the program is harmed",
          process)
    stopped = [line for line in process.stderr.decode().splitlines()
               if line.startswith("assay record: ")]
    check(len(stopped) == 1 and ".raw: the log cannot go on: File too large" in stopped[0],
          "not one line that says so", *stopped)
    check(b"incomplete, for recording stopped early: File too large" in process.stderr,
          "the trace is not said to be incomplete", process.stderr.decode())
    pythons = [trace for trace in traces if trace.program.startswith("python")]
    check(pythons and len(pythons[-1].operations) > 1000, "what was recorded is lost")


def test_interrupt(recorder, directory):
    """Ctrl-C goes to the whole group of the terminal."""
    out = os.path.join(directory, "interrupted")
    script = "import time; print('ready', flush=True); time.sleep(60)"
    with subprocess.Popen(recorder.command(out, ["python3", "-c", script]),
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          start_new_session=True) as process:
        check(process.stdout.readline() == b"ready\n", "the command does not start")
        time.sleep(0.2)
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    check(process.returncode == 130, "exit code %d" % process.returncode, errors.decode())
    check(len(recorder.traces(out)) >= 1, "what was recorded is not converted", errors.decode())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--assay", required=True, help="the program")
    parser.add_argument("--preload", help="the recorder, if assay does not find it by itself")
    parser.add_argument("--strategy", action="append", default=[], help="replay on it")
    arguments = parser.parse_args()
    for tool, package in PACKAGES.items():
        if not shutil.which(tool):
            sys.exit("record_test: %s is not installed: apt-get install %s" % (tool, package))

    failed = 0
    with tempfile.TemporaryDirectory(dir=os.environ.get("TEST_TMPDIR")) as directory:
        recorder = Recorder(arguments, directory)
        for name, test in sorted(globals().items()):
            if not name.startswith("test_"):
                continue
            start = time.monotonic()
            try:
                test(recorder, directory)
                result = "ok"
            except (Failure, OSError, subprocess.SubprocessError) as failure:
                failed += 1
                result = "FAILED: %s" % failure
            print("%s (%.1f s): %s" % (name, time.monotonic() - start, result), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
