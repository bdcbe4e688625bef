#!/usr/bin/env python3
"""Fuzzes one target for a while, with libFuzzer or AFL++.

Exit codes: 0 no finding, 1 findings (their files are named), 2 could not run.
"""
import argparse
import os
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import engines  # noqa: E402

CLEAN, FINDING, COULD_NOT_RUN = 0, 1, 2


def parse_options():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", choices=["libfuzzer", "afl"], default="libfuzzer")
    parser.add_argument("--seconds", type=int, default=60, help="how long (%(default)s)")
    parser.add_argument("--out", help="folder for corpus and findings; a session found there goes "
                                      "on (out/<target>-<engine> below the current folder)")
    parser.add_argument("--seeds", metavar="FILE", help="a file that lists the start corpus")
    wiring = parser.add_argument_group("set by the build")
    wiring.add_argument("--name", required=True, help=argparse.SUPPRESS)
    wiring.add_argument("--libfuzzer", required=True, metavar="ELF", help="the libFuzzer program")
    wiring.add_argument("--afl", required=True, metavar="ELF", help="the AFL++ program")
    wiring.add_argument("--afl-mutator", metavar="SO", help="mutator for AFL++")
    options = parser.parse_args()
    if options.seconds < 1:
        parser.error("--seconds must be at least 1")
    # A test leaves its results where Bazel collects them, a person where he stands.
    base = os.environ.get("BUILD_WORKING_DIRECTORY", os.getcwd())
    if not options.out and os.environ.get("TEST_UNDECLARED_OUTPUTS_DIR"):
        options.out = os.environ["TEST_UNDECLARED_OUTPUTS_DIR"]
    options.out = os.path.join(
        base, options.out or os.path.join("out", "%s-%s" % (options.name, options.engine)))
    return options


def program(path):
    path = os.path.abspath(path)
    if not os.access(path, os.X_OK):
        raise engines.CannotRun("%s: no such program" % path)
    return path


def findings_in(folder, since):
    """Files that the engine stored in this session."""
    if not os.path.isdir(folder):
        return []
    paths = [os.path.join(folder, name) for name in sorted(os.listdir(folder))]
    return [path for path in paths
            if os.path.basename(path) != "README.txt" and os.path.getmtime(path) >= since]


def run(command, env, log_path=None):
    """Runs an engine until it ends by itself; an interrupt is passed on, and then awaited."""
    log = open(log_path, "wb") if log_path else None
    try:
        process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=log or None,
                                   stderr=subprocess.STDOUT if log else None)
    except OSError as error:
        raise engines.CannotRun("%s: %s" % (command[0], error.strerror)) from error
    finally:
        if log:
            log.close()
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.send_signal(signal.SIGINT)
        return process.wait()


def run_libfuzzer(options, start):
    artifacts = os.path.join(options.out, "findings")
    corpus = os.path.join(options.out, "corpus")
    os.makedirs(artifacts, exist_ok=True)
    os.makedirs(corpus, exist_ok=True)
    code = run([
        program(options.libfuzzer),
        "-max_total_time=%d" % options.seconds,
        "-artifact_prefix=" + artifacts + "/",
        "-print_final_stats=1",
        corpus,
        os.path.join(options.out, "seeds"),
    ], engines.environment(engines.SANITIZERS))
    found = findings_in(artifacts, start)
    known = (engines.LIBFUZZER_CRASH, engines.LIBFUZZER_TIMEOUT, engines.LIBFUZZER_OOM)
    if code != 0 and code not in known and not found:
        raise engines.CannotRun("%s ended with exit code %d" % (options.libfuzzer, code))
    return found, "with libFuzzer", code != 0


def run_afl(options, start):
    afl_fuzz = shutil.which("afl-fuzz")
    if not afl_fuzz:
        raise engines.CannotRun("afl-fuzz is not installed: run ci/setup")
    env = engines.environment(engines.AFL)
    if options.afl_mutator:
        env["AFL_CUSTOM_MUTATOR_LIBRARY"] = program(options.afl_mutator)
    session = os.path.join(options.out, "afl")
    log = os.path.join(options.out, "afl-fuzz.log")
    # The ELF itself: a script would hide from afl-fuzz that the target is persistent.
    code = run([
        afl_fuzz, "-i", os.path.join(options.out, "seeds"), "-o", session,
        "-V", str(options.seconds), "-m", "none", "-t", "5000+", "--", program(options.afl),
    ], env, log)
    stats_path = os.path.join(session, "default", "fuzzer_stats")
    if not os.path.exists(stats_path) or os.path.getmtime(stats_path) < start:
        with open(log, encoding="utf-8", errors="replace") as f:
            print(f.read()[-4000:], file=sys.stderr)
        raise engines.CannotRun("afl-fuzz did not start fuzzing (exit code %d)" % code)
    stats = engines.afl_stats(stats_path)
    if int(stats.get("execs_done", "0")) == 0:
        raise engines.CannotRun("AFL++ executed no input")
    # afl-fuzz ends with 0 although it found crashes: count the files.
    found = (findings_in(os.path.join(session, "default", "crashes"), start) +
             findings_in(os.path.join(session, "default", "hangs"), start))
    text = "%s inputs with AFL++, %s/s, %s edges" % (
        stats["execs_done"], stats.get("execs_per_sec"), stats.get("edges_found"))
    return found, text, bool(found)


def main():
    options = parse_options()
    # File systems keep coarser time than the clock.
    start = time.time() - 1
    try:
        os.makedirs(options.out, exist_ok=True)
        names = engines.read_list(options.seeds) if options.seeds else []
        engines.copy_seeds(names, os.path.join(options.out, "seeds"))
        engine = run_libfuzzer if options.engine == "libfuzzer" else run_afl
        found, text, failed = engine(options, start)
    except engines.CannotRun as error:
        print("assay: %s" % error, file=sys.stderr)
        return COULD_NOT_RUN
    except OSError as error:
        print("assay: %s: %s" % (error.filename, error.strerror), file=sys.stderr)
        return COULD_NOT_RUN
    print("%s: %s; %d finding(s)" % (options.name, text, len(found)))
    for path in found:
        print("  " + path)
    return FINDING if failed else CLEAN


if __name__ == "__main__":
    sys.exit(main())
