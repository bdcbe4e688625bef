"""The fuzz targets of one strategy or collection; see fuzz_target.bzl for what they are."""

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

# What differs between the variants of a replay differs in the strategies beneath, where it is tested;
# of a collection's own, the sanitizers see the most, and 32 bits are another size_t.
_COLLECTION_VARIANTS = ["asan", "m32", "msan"]

# buildifier: disable=unnamed-macro
def collection_targets(collections, beneath, seeds = "//corpus:collection_seeds.list", inputs = "//corpus:collection_replay.list"):
    """All fuzz targets of all collections.

    Args:
      collections: COLLECTIONS.
      beneath: STRATEGIES, that they are tested over.
      seeds: a file_list, the start corpus of fuzzing.
      inputs: a file_list, what the regression tests replay.
    """
    for c in collections:
        strategy_registry(
            name = c.name + "_registry",
            beneath = beneath,
            collections = [c],
            strategies = [],
        )
        fuzz_target(
            name = c.name,
            afl_mutator = "//fuzz:mutator_afl.so",
            inputs = inputs,
            seeds = seeds,
            # All are one program as far as AFL++ is concerned.
            smoke = c == collections[0],
            variants = _COLLECTION_VARIANTS,
            deps = PROGRAM_TARGET + [c.name + "_registry"],
        )
