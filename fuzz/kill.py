#!/usr/bin/env python3
"""Passes if libFuzzer kills a planted bug, by a property that the bug expects.

A bug that no fuzzer finds says nothing about strategies that look clean: killing each planted bug
is what proves the oracle. What is limited are executions, so that a slow machine changes nothing;
the CPU time only keeps a test from running for ever. Writes kill.json into
$TEST_UNDECLARED_OUTPUTS_DIR.
"""
import argparse
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import engines  # noqa: E402
import hunt  # noqa: E402


def judge(outcome, expected):
    """None, or why the outcome is no kill that counts."""
    if outcome.end == hunt.KILLED:
        if outcome.property in expected:
            return None
        return "killed by %s, expected %s" % (outcome.property, " or ".join(expected))
    if outcome.lived:
        return "survived"
    return outcome.note


def hunt_all(options, name, expect):
    """One hunt after the other, until one ends other than by survival. Returns the last one's seed
    and outcome, executions of all, CPU seconds of all."""
    executions, cpu = 0, 0.0
    for seed in range(1, options.seeds_tried + 1):
        outcome = hunt.hunt(hunt.Job(
            "libfuzzer", options.program, seed, engines.read_list(options.seeds), strategy=name,
            runs=options.runs, cpu_seconds=options.cpu_seconds - cpu))
        executions += outcome.executions or 0
        cpu += outcome.cpu_seconds
        # Which property is the first to fail may be luck as well.
        if judge(outcome, expect) is None or outcome.end == hunt.EXHAUSTED:
            break
    return seed, outcome, executions, cpu


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True, help="libFuzzer target with all plants")
    parser.add_argument("--facts", required=True, help="the plant, as apply_plant.py describes it")
    parser.add_argument("--seeds", required=True, help="a file that lists the start corpus")
    parser.add_argument("--seeds-tried", type=int, default=3, metavar="N",
                        help="of the random numbers, one after the other: 1 to N (%(default)s)")
    parser.add_argument("--runs", type=int, default=300000,
                        help="executions for each seed, at most (%(default)s)")
    parser.add_argument("--cpu-seconds", type=int, default=600,
                        help="for all seeds, at most (%(default)s)")
    options = parser.parse_args()
    try:
        with open(options.facts, encoding="utf-8") as f:
            plant = json.load(f)
        seed, outcome, executions, cpu = hunt_all(options, plant["name"], plant["expect"])
    except (engines.CannotRun, OSError) as error:
        print("assay: %s" % error, file=sys.stderr)
        return 2

    problem = judge(outcome, plant["expect"])
    result = {
        "plant": plant["name"],
        "bug": plant["bug"],
        "expect": plant["expect"],
        "property": outcome.property,
        "executions": executions,
        "cpu_seconds": round(cpu, 2),
        "seed": seed,
        "killed": problem is None,
    }
    outputs = os.environ.get("TEST_UNDECLARED_OUTPUTS_DIR")
    if outputs:
        with open(os.path.join(outputs, "kill.json"), "w", encoding="utf-8") as f:
            json.dump(result, f, indent=2)
            f.write("\n")
    spent = "%d executions, %.2f s of CPU time; seed %d of %d, at most %d executions each" % (
        executions, cpu, seed, options.seeds_tried, options.runs)
    if problem is None:
        print("%s: killed by %s (%s)" % (plant["name"], outcome.property, spent))
        return 0
    print(outcome.log[-8000:])
    if outcome.end == hunt.EXHAUSTED:
        problem = ("undecided: the %d s of CPU time were used up before the executions were; on this "
                   "machine the test needs a larger --cpu-seconds" % options.cpu_seconds)
    print("%s: %s (%s)" % (plant["name"], problem, spent))
    return 1


if __name__ == "__main__":
    sys.exit(main())
