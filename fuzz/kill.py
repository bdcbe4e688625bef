#!/usr/bin/env python3
"""Passes if libFuzzer kills a planted bug, by a property that the bug expects, in time.

A bug that no fuzzer finds says nothing about strategies that look clean: killing each planted bug
is what proves the oracle. Writes kill.json into $TEST_UNDECLARED_OUTPUTS_DIR.
"""
import argparse
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import engines  # noqa: E402

ASSERTION = re.compile(r"^ASSERTION FAILED: (\S+)", re.MULTILINE)


def limit_cpu(seconds):
    """For the child: CPU time, so that a loaded machine changes nothing."""
    def apply():
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    return apply


def fuzz(options, name, folder):
    """Runs libFuzzer on the plant; returns its exit code, its log and the CPU seconds it took."""
    seeds = os.path.join(folder, "seeds")
    corpus = os.path.join(folder, "corpus")
    os.makedirs(corpus)
    engines.copy_seeds(engines.read_list(options.seeds), seeds)
    command = [
        os.path.abspath(options.program),
        "-seed=%d" % options.seed,
        "-print_final_stats=1",
        "-artifact_prefix=" + folder + "/",
        corpus,
        seeds,
    ]
    env = engines.environment(engines.SANITIZERS, ASSAY_STRATEGY=name)
    # The verdict needs no stack, and reading debug information takes longer than most kills.
    env["ASAN_OPTIONS"] += ":symbolize=0"
    env["UBSAN_OPTIONS"] += ":symbolize=0"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    try:
        result = subprocess.run(
            command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
            stdin=subprocess.DEVNULL, preexec_fn=limit_cpu(options.cpu_seconds))
    except OSError as error:
        raise engines.CannotRun("%s: %s" % (options.program, error.strerror)) from error
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return result.returncode, result.stdout.decode(errors="replace"), cpu


def judge(code, log, expected, cpu):
    """Returns the property that killed the plant, and None or why that does not count."""
    failed = ASSERTION.search(log)
    if failed:
        killer = failed.group(1)
        if killer in expected:
            return killer, None
        return killer, "killed by %s, expected %s" % (killer, " or ".join(expected))
    if code == engines.LIBFUZZER_TIMEOUT:
        return None, "an input took too long (libFuzzer's timeout), no property failed"
    if code == engines.LIBFUZZER_OOM:
        return None, "libFuzzer ran out of memory, no property failed"
    if code == engines.LIBFUZZER_CRASH:
        return None, "it crashed, but no property was named"
    return None, "survived %.1f s of CPU time (exit code %d)" % (cpu, code)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True, help="libFuzzer target with all plants")
    parser.add_argument("--facts", required=True, help="the plant, as apply_plant.py describes it")
    parser.add_argument("--seeds", required=True, help="a file that lists the start corpus")
    parser.add_argument("--seed", type=int, default=1, help="of the random numbers (%(default)s)")
    parser.add_argument("--cpu-seconds", type=int, default=60, help="at most (%(default)s)")
    options = parser.parse_args()

    folder = tempfile.mkdtemp(dir=os.environ.get("TEST_TMPDIR"))
    try:
        with open(options.facts, encoding="utf-8") as f:
            plant = json.load(f)
        code, log, cpu = fuzz(options, plant["name"], folder)
    except (engines.CannotRun, OSError) as error:
        print("assay: %s" % error, file=sys.stderr)
        return 2
    finally:
        shutil.rmtree(folder, ignore_errors=True)

    killer, problem = judge(code, log, plant["expect"], cpu)
    executions = engines.libfuzzer_stat(log, "number_of_executed_units")
    result = {
        "plant": plant["name"],
        "bug": plant["bug"],
        "expect": plant["expect"],
        "property": killer,
        "executions": executions,
        "cpu_seconds": round(cpu, 2),
        "seed": options.seed,
        "killed": problem is None,
    }
    outputs = os.environ.get("TEST_UNDECLARED_OUTPUTS_DIR")
    if outputs:
        with open(os.path.join(outputs, "kill.json"), "w", encoding="utf-8") as f:
            json.dump(result, f, indent=2)
            f.write("\n")
    if problem:
        print(log[-8000:])
        print("%s: %s" % (plant["name"], problem))
        return 1
    print("%s: killed by %s after %s executions, %.2f s of CPU time" % (
        plant["name"], killer, executions, cpu))
    return 0


if __name__ == "__main__":
    sys.exit(main())
