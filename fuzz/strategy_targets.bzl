"""strategy_targets: the fuzz targets of one strategy; see fuzz_target.bzl for what they are."""

load("//allocators:strategies.bzl", "strategy_registry")
load(":fuzz_target.bzl", "fuzz_target")

# What a target that runs programs on strategies consists of, its registry aside.
PROGRAM_TARGET = [
    "//fuzz:target",
    "//fuzz:mutator_libfuzzer",
    "//fuzz:replay_main",
    "//harness:harness",
]

# buildifier: disable=unnamed-macro
def strategy_targets(strategy, seeds = "//corpus:seeds.list", inputs = "//corpus:replay.list"):
    """All fuzz targets of a strategy.

    Args:
      strategy: an element of STRATEGIES.
      seeds: a file_list, the start corpus of fuzzing.
      inputs: a file_list, what the regression tests replay.
    """
    strategy_registry(
        name = strategy.name + "_registry",
        strategies = [strategy],
    )
    fuzz_target(
        name = strategy.name,
        afl_mutator = "//fuzz:mutator_afl.so",
        inputs = inputs,
        seeds = seeds,
        threads = strategy.threads,
        deps = PROGRAM_TARGET + [strategy.name + "_registry"],
    )
