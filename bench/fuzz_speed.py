#!/usr/bin/env python3
"""Measures what fuzz targets cost, and prints each ratio beside its bound.

Executions per CPU second under ASan, tier full, against a target that only decodes the same kind of
input, at 64 B and 1 KiB; and AFL++ persistent executions per second against an empty target. Medians
of interleaved rounds with minimum and maximum.
"""
import argparse
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile

STRATEGIES = ["bump", "free_list", "page_bump"]
SIZES = [(64, 0.4), (1024, 0.12)]


def run(command, env=None):
    """Runs a program to its end; returns its output and the CPU seconds it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    output = result.stdout.decode(errors="replace")
    if result.returncode != 0:
        sys.exit("fuzz_speed: %s left with exit code %d:\n%s"
                 % (command[0], result.returncode, output[-2000:]))
    return output, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def seed_file(folder, size):
    """A program of exactly that size: allocations, releases and resizes of small blocks, on 8 KiB."""
    records = [bytes(8) + (8192).to_bytes(8, "little")]
    for i in range(size // 16 - 1):
        code, slot = (0, i % 8) if i % 3 == 0 else (2, (i - 1) % 8) if i % 3 == 1 else (3, i % 8)
        records.append(bytes([code, 3, 0, 0]) + slot.to_bytes(4, "little")
                       + (16 + 24 * (i % 5)).to_bytes(8, "little"))
    path = os.path.join(folder, "seed-%d" % size)
    with open(path, "wb") as file:
        file.write(b"".join(records))
    return path


def libfuzzer_rate(program, folder, size, runs):
    """Executions per CPU second, the start of the process taken off."""
    corpus = os.path.join(folder, "corpus")
    os.makedirs(corpus, exist_ok=True)
    for name in os.listdir(corpus):
        os.remove(os.path.join(corpus, name))
    seed = seed_file(folder, size)
    os.link(seed, os.path.join(corpus, "seed"))
    env = dict(os.environ, ASAN_OPTIONS="detect_leaks=0")
    common = ["-seed=1", "-max_len=%d" % size, "-len_control=0", "-reduce_inputs=0", corpus]
    cpu = run([program, "-runs=%d" % runs] + common, env)[1]
    start = run([program, "-runs=1"] + common, env)[1]
    return runs / max(cpu - start, 1e-6)


def afl_rate(program, mutator, folder, seconds):
    """Executions per second, as AFL++ counts them."""
    seeds = os.path.join(folder, "seeds")
    os.makedirs(seeds, exist_ok=True)
    os.replace(seed_file(folder, 64), os.path.join(seeds, "seed"))
    out = tempfile.mkdtemp(dir=folder)
    env = dict(os.environ, AFL_NO_UI="1", AFL_SKIP_CPUFREQ="1", AFL_NO_AFFINITY="1",
               AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES="1", AFL_CUSTOM_MUTATOR_LIBRARY=mutator,
               AFL_CUSTOM_MUTATOR_ONLY="1")
    run(["afl-fuzz", "-i", seeds, "-o", out, "-V", str(seconds), "-m", "none", "-t", "5000",
         "-G", "64", "--", program], env)
    with open(os.path.join(out, "default", "fuzzer_stats"), encoding="utf-8") as file:
        return float(re.search(r"^execs_per_sec\s*: ([\d.]+)", file.read(), re.M).group(1))


def show(what, above, below, bound):
    """One line: the median ratio, its spread, and whether it is at least the bound."""
    ratios = sorted(a / b for a, b in zip(above, below))
    median = statistics.median(ratios)
    print("  %-44s %9.0f /s  %5.2fx  (%.2f to %.2f)  at least %.2fx: %s"
          % (what, statistics.median(above), median, ratios[0], ratios[-1], bound,
             "held" if median >= bound else "NOT HELD"), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="(%(default)s)")
    parser.add_argument("--runs", type=int, default=40000,
                        help="executions of libFuzzer in a round (%(default)s)")
    parser.add_argument("--afl-seconds", type=int, default=4,
                        help="of AFL++ in a round, 0: leave it out (%(default)s)")
    options = parser.parse_args()
    here = os.path.abspath(".")
    with tempfile.TemporaryDirectory() as folder:
        for size, bound in SIZES:
            names = ["bench/decode_libfuzzer.elf"] + ["fuzz/%s_libfuzzer.elf" % s for s in STRATEGIES]
            rates = {name: [] for name in names}
            for _ in range(options.rounds):
                for name in names:
                    rates[name].append(
                        libfuzzer_rate(os.path.join(here, name), folder, size, options.runs))
            print("libFuzzer, ASan, tier full, %d bytes; decoding alone %.0f /s"
                  % (size, statistics.median(rates[names[0]])))
            for strategy, name in zip(STRATEGIES, names[1:]):
                show(strategy, rates[name], rates[names[0]], bound)
        if options.afl_seconds:
            names = ["bench/empty_afl.elf"] + ["fuzz/%s_afl.elf" % s for s in STRATEGIES]
            rates = {name: [] for name in names}
            mutator = os.path.join(here, "fuzz/mutator_afl.so")
            for _ in range(options.rounds):
                for name in names:
                    rates[name].append(afl_rate(os.path.join(here, name), mutator, folder,
                                                options.afl_seconds))
            print("AFL++ persistent, 64 bytes; an empty target %.0f /s"
                  % statistics.median(rates[names[0]]))
            for strategy, name in zip(STRATEGIES, names[1:]):
                show(strategy, rates[name], rates[names[0]], 0.8)


if __name__ == "__main__":
    main()
