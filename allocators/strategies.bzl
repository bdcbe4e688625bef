"""What Bazel makes of a strategy: its library, and registries of any set of strategies."""

load("@rules_cc//cc:defs.bzl", "cc_library")

# Floor 1 is the same code in a kernel as under a fuzzer.
_FREESTANDING = ["-ffreestanding"]

def strategy(name, freestanding = True, deps = [], linkopts = []):
    """Describes one strategy, which is <name>.c and exports <name>_strategy and nothing else.

    Args:
      name: a C identifier.
      freestanding: False for an adapter to a foreign allocator, which needs its libc.
      deps: further cc_library labels.
      linkopts: further linker options.

    Returns:
      An element of STRATEGIES.
    """
    return struct(name = name, freestanding = freestanding, deps = deps, linkopts = linkopts)

def strategy_copts(s):
    """The compiler options of strategy `s`, for its own file and for a patched copy of it."""
    return _FREESTANDING if s.freestanding else []

def strategy_libraries(strategies):
    """One cc_library per strategy, named like the strategy.

    Args:
      strategies: a list of strategy().
    """
    for s in strategies:
        cc_library(
            name = s.name,
            srcs = [s.name + ".c"],
            copts = strategy_copts(s),
            features = ["counters_only"],
            linkopts = s.linkopts,
            visibility = ["//visibility:public"],
            deps = [":strategy"] + s.deps,
        )

    # Planted bugs are patched copies of these.
    native.exports_files([s.name + ".c" for s in strategies])

def strategy_registry(name, strategies, plants = [], **kwargs):
    """A library that defines registry[] (registry.h), with exactly these strategies.

    Args:
      name: the library; its source is <name>_table.c.
      strategies: a list of strategy().
      plants: a list of planted bugs, as //fuzz:plants.bzl makes them: structs of `library`, the
        label of the patched strategy, and `facts`, the label of its description.
      **kwargs: passed to cc_library.
    """
    generator = "//allocators:generate_registry.py"
    table = name + "_table.c"
    native.genrule(
        name = name + "_table",
        srcs = [p.facts for p in plants],
        outs = [table],
        cmd = " ".join(
            ["python3 $(execpath %s) --output $@" % generator] +
            ["--strategy " + s.name for s in strategies] +
            ["--plant $(execpath %s)" % p.facts for p in plants],
        ),
        tools = [generator],
    )
    cc_library(
        name = name,
        srcs = [table],
        # Whatever asks for `registry` may stand on either side of it on the linker's line.
        alwayslink = True,
        deps = ["//allocators:registry_header"] +
               ["//allocators:" + s.name for s in strategies] +
               [p.library for p in plants],
        **kwargs
    )
