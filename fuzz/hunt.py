#!/usr/bin/env python3
"""One fuzzer against one strategy: until a property fails, or executions or CPU time are used up.

    hunt.py JOB.json     runs the Job, prints its Outcome as one line of JSON

CPU time is that of the engine and all its descendants, start-up included; nothing depends on how fast
the machine is or what else it does. For a given seed and start corpus libFuzzer makes the same inputs
each time, threads and CPU limits aside: its addresses are not random, and it reads no corpus again.
"""
import ctypes
import dataclasses
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import typing

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import engines  # noqa: E402

# Not only at the beginning of a line: another thread may be writing of its own end.
ASSERTION = re.compile(r"ASSERTION FAILED: (\S+)")

# How a hunt ends. KILLED: a property failed. UNNAMED: it went wrong, but no property said how.
KILLED, UNNAMED, SURVIVED, EXHAUSTED = "killed", "unnamed", "survived", "exhausted"

# What mutates: operations of programs, or bytes as if inputs had no structure.
MUTATORS = ("operations", "bytes")

# Seconds between looks at the CPU time, and beyond the limit until the engine is ended by force.
_POLL, _GRACE = 0.05, 10.0

# personality(2), prctl(2).
_ADDR_NO_RANDOMIZE, _PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 0x40000, 1, 36


@dataclasses.dataclass
class Job:
    engine: str                     # libfuzzer, afl; replay: the start corpus only
    program: str                    # the fuzz target for that engine
    seed: int
    seeds: typing.List[str]         # files, the start corpus; none: one byte
    strategy: str = ""              # where the program knows several
    cpu_seconds: float = 60.0       # at most
    runs: typing.Optional[int] = None    # executions at most (libFuzzer only)
    mutator: str = "operations"
    afl_mutator: str = ""           # AFL++'s library for that
    keep: str = ""                  # where to put the input that ended the hunt; with `.log`, the log


@dataclasses.dataclass
class Outcome:
    """EXHAUSTED: the CPU time was used up before `runs` were."""
    end: str
    property: typing.Optional[str]  # that failed
    executions: typing.Optional[int]
    cpu_seconds: float
    note: str = ""                  # what else went wrong
    log: str = ""
    input: str = ""                 # path of the input that ended it, in the hunt's own folder

    @property
    def lived(self):
        return self.end in (SURVIVED, EXHAUSTED)


def _libc():
    return ctypes.CDLL(None, use_errno=True)


def _begin_child():
    """Where a container forbids the same addresses each time, inputs may differ: no harm."""
    _libc().personality(_ADDR_NO_RANDOMIZE)
    _libc().prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _tree(pid):
    """The process and its descendants."""
    found = [pid]
    for parent in found:
        try:
            for task in os.listdir("/proc/%d/task" % parent):
                with open("/proc/%d/task/%s/children" % (parent, task), encoding="ascii") as f:
                    found += [int(word) for word in f.read().split()]
        except OSError:
            continue
    return found


def _cpu_seconds(pids):
    """CPU time of those that live, and of the children that each has waited for."""
    ticks = 0
    for pid in pids:
        try:
            with open("/proc/%d/stat" % pid, encoding="utf-8", errors="replace") as f:
                # The command, in parentheses, may hold blanks and parentheses itself.
                ticks += sum(int(word) for word in f.read().rpartition(")")[2].split()[11:15])
        except (OSError, ValueError, IndexError):
            continue
    return ticks / os.sysconf("SC_CLK_TCK")


def _end(pids, number):
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


def _reap_orphans(spared):
    """What the engine left behind belongs to this process, and its CPU time to the engine's."""
    while True:
        left = [pid for pid in _tree(os.getpid())[1:] if pid not in spared]
        if not left:
            return
        _end(left, signal.SIGKILL)
        for pid in left:
            try:
                os.waitpid(pid, 0)
            except ChildProcessError:
                continue  # it becomes a child once its parent has ended


def _run(command, folder, env, log, cpu_seconds, found):
    """Runs an engine in a folder; returns (exit code, CPU seconds). Interrupted when the CPU time is
    used up or `found` says so."""
    _libc().prctl(_PR_SET_CHILD_SUBREAPER, 1)
    # Not the engine's: a shell may have become this process.
    spared = set(_tree(os.getpid()))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    try:
        child = subprocess.Popen(command, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=log,
                                 stderr=subprocess.STDOUT, preexec_fn=_begin_child)
    except OSError as error:
        raise engines.CannotRun("%s: %s" % (command[0], error.strerror)) from error
    asked = None
    try:
        while True:
            try:
                code = child.wait(_POLL)
                break
            except subprocess.TimeoutExpired:
                pass
            if asked is None and (found() or _cpu_seconds(_tree(child.pid)) >= cpu_seconds):
                asked = time.monotonic()
                child.send_signal(signal.SIGINT)
            elif asked is not None and time.monotonic() - asked > _GRACE:
                _end(_tree(child.pid), signal.SIGKILL)
    finally:
        if child.returncode is None:
            _end(_tree(child.pid), signal.SIGKILL)
            child.wait()
        _reap_orphans(spared)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return code, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _environment(layer, job):
    env = engines.environment(layer, ASSAY_MUTATOR=job.mutator)
    if job.strategy:
        env["ASSAY_STRATEGY"] = job.strategy
    # The verdict needs no stack, and reading debug information takes longer than most kills.
    for key in engines.SANITIZERS:
        if key in env:
            env[key] += ":symbolize=0"
    return env


def _read(path):
    with open(path, encoding="utf-8", errors="replace") as f:
        return f.read()


_LIBFUZZER_ENDS = {
    engines.LIBFUZZER_TIMEOUT: "an input took too long (libFuzzer's timeout), no property failed",
    engines.LIBFUZZER_OOM: "libFuzzer ran out of memory, no property failed",
    engines.LIBFUZZER_CRASH: "it crashed, but no property was named",
}

_LIBFUZZER_INTERRUPTED = 72


def _libfuzzer(job, folder):
    corpus = os.path.join(folder, "corpus")
    os.makedirs(corpus)
    engines.copy_seeds(job.seeds, os.path.join(folder, "seeds"))
    # By name, and so in the same order on every file system. From the folder that libFuzzer runs in:
    # it takes a comma in a path for the end of one, and leaves out what it does not find.
    seeds = sorted(os.path.join("seeds", name) for name in os.listdir(os.path.join(folder, "seeds")))
    with open(os.path.join(folder, "list"), "w", encoding="utf-8") as f:
        f.write(",".join(seeds))
    runs = 0 if job.engine == "replay" else -1 if job.runs is None else job.runs
    command = [os.path.abspath(job.program), "-seed=%d" % job.seed, "-print_final_stats=1",
               "-reload=0", "-runs=%d" % runs, "-artifact_prefix=" + folder + os.sep,
               "-seed_inputs=@" + f.name, corpus]
    log = os.path.join(folder, "log")
    with open(log, "wb") as f:
        code, cpu = _run(command, folder, _environment(engines.SANITIZERS, job), f, job.cpu_seconds,
                         lambda: False)
    text = _read(log)
    executions = engines.libfuzzer_stat(text, "number_of_executed_units")
    failed = ASSERTION.search(text)
    stored = next((os.path.join(folder, name) for name in sorted(os.listdir(folder))
                   if name.partition("-")[0] in ("crash", "timeout", "oom", "leak")), "")
    if failed:
        return Outcome(KILLED, failed.group(1), executions, cpu, log=text, input=stored)
    if code == 0:
        return Outcome(SURVIVED, None, executions, cpu, log=text)
    if code == _LIBFUZZER_INTERRUPTED:
        return Outcome(SURVIVED if job.runs is None else EXHAUSTED, None, executions, cpu, log=text)
    note = _LIBFUZZER_ENDS.get(code)
    if note is None:
        raise engines.CannotRun("%s ended with exit code %d: %s" % (
            os.path.basename(job.program), code, (text.strip().splitlines() or ["no word"])[-1]))
    return Outcome(UNNAMED, None, executions, cpu, note, text, stored)


def _replay(job, path):
    """The property that fails on one input, or None; whether the program ended well; its output."""
    try:
        result = subprocess.run([os.path.abspath(job.program), path], text=True, errors="replace",
                                env=_environment(engines.AFL, job), stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60,
                                check=False, preexec_fn=_begin_child)
    except subprocess.TimeoutExpired:
        return None, False, "an input takes more than a minute"
    except OSError as error:
        raise engines.CannotRun("%s: %s" % (job.program, error.strerror)) from error
    failed = ASSERTION.search(result.stdout)
    return failed and failed.group(1), result.returncode == 0, result.stdout


def _stored(folder):
    """afl-fuzz's files of a kind."""
    try:
        return sorted(name for name in os.listdir(folder) if name.startswith("id:"))
    except OSError:
        return []


def _afl(job, folder):
    afl_fuzz = shutil.which("afl-fuzz")
    if not afl_fuzz:
        raise engines.CannotRun("afl-fuzz is not installed: run ci/setup")
    seeds, work = os.path.join(folder, "seeds"), os.path.join(folder, "work")
    engines.copy_seeds(job.seeds, seeds)
    env = _environment(engines.AFL, job)
    env["AFL_NO_CRASH_README"] = env["AFL_BENCH_UNTIL_CRASH"] = "1"
    env.pop("AFL_CUSTOM_MUTATOR_LIBRARY", None)
    if job.mutator == "operations":
        env["AFL_CUSTOM_MUTATOR_LIBRARY"] = os.path.abspath(job.afl_mutator)
    command = [afl_fuzz, "-i", seeds, "-o", work, "-s", str(job.seed), "-m", "none", "-t", "5000+",
               "--", os.path.abspath(job.program)]
    crashes = os.path.join(work, "default", "crashes")
    log = os.path.join(folder, "log")
    with open(log, "wb") as f:
        code, cpu = _run(command, folder, env, f, job.cpu_seconds, lambda: bool(_stored(crashes)))
    text, executions = _read(log), None
    try:
        executions = int(engines.afl_stats(os.path.join(work, "default", "fuzzer_stats"))
                         ["execs_done"])
    except (engines.CannotRun, KeyError, ValueError):
        pass
    suspects = [os.path.join(crashes, name) for name in _stored(crashes)]
    if executions is None and not suspects:
        # It refuses to start where every seed crashes.
        suspects = sorted(os.path.join(seeds, name) for name in os.listdir(seeds))
    for count, path in enumerate(suspects):
        failed, well, output = _replay(job, path)
        if failed:
            return Outcome(KILLED, failed, count + 1 if executions is None else executions, cpu,
                           log=output, input=path)
        if not well:
            return Outcome(UNNAMED, None, executions, cpu, "it crashed, but no property was named",
                           output, path)
    if _stored(crashes):
        return Outcome(UNNAMED, None, executions, cpu, "it crashed, but not again", text)
    if executions is None:
        lines = [line for line in text.splitlines() if "PROGRAM ABORT" in line]
        raise engines.CannotRun("afl-fuzz ended with exit code %d: %s" % (
            code, (lines or text.strip().splitlines() or ["no word"])[-1]))
    return Outcome(SURVIVED, None, executions, cpu, log=text)


_ENGINES = {"afl": _afl, "libfuzzer": _libfuzzer, "replay": _libfuzzer}


def hunt(job):
    """Returns the Outcome; raises engines.CannotRun."""
    folder = os.path.abspath(tempfile.mkdtemp(prefix="hunt-", dir=os.environ.get("TEST_TMPDIR")))
    try:
        outcome = _ENGINES[job.engine](job, folder)
        if job.keep and outcome.input:
            shutil.copyfile(outcome.input, job.keep)
            with open(job.keep + ".log", "w", encoding="utf-8", errors="replace") as f:
                f.write(outcome.log)
        return outcome
    except OSError as error:
        raise engines.CannotRun("%s: %s" % (error.filename or folder, error.strerror)) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main():
    # Ended by SIGTERM, it leaves neither processes nor files.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(2))
    with open(sys.argv[1], encoding="utf-8") as f:
        job = Job(**json.load(f))
    try:
        outcome = dataclasses.asdict(hunt(job))
    except engines.CannotRun as error:
        print(json.dumps({"problem": str(error)}))
        return 2
    del outcome["log"], outcome["input"]
    print(json.dumps(outcome))
    return 0


if __name__ == "__main__":
    sys.exit(main())
