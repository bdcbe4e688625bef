"""What Bazel makes of a strategy: its library, and registries of any set of strategies."""

load("@rules_cc//cc:defs.bzl", "cc_library")

# Floor 1 is the same code in a kernel as under a fuzzer.
_FREESTANDING = ["-ffreestanding"]

def strategy(
        name,
        source = None,
        defines = [],
        inner = [],
        threads = False,
        freestanding = True,
        deps = [],
        linkopts = []):
    """Describes one strategy: a C file that exports <name>_strategy and nothing else.

    Args:
      name: a C identifier.
      source: the file; None: <name>.c.
      defines: preprocessor definitions, where one file makes several strategies.
      inner: names of strategies that this one is built on.
      threads: True if several threads may call it at once: it is tested under race detectors too.
      freestanding: False for an adapter to a foreign allocator, which needs its libc.
      deps: further cc_library labels.
      linkopts: further linker options.

    Returns:
      An element of STRATEGIES.
    """
    return struct(
        name = name,
        source = source or name + ".c",
        defines = defines,
        inner = inner,
        threads = threads,
        freestanding = freestanding,
        deps = deps + ["//allocators:" + i for i in inner],
        linkopts = linkopts,
    )

def adapter(name, **kwargs):
    """A foreign allocator made to look like a strategy, which needs its libc.

    Args:
      name: a C identifier.
      **kwargs: passed to strategy().

    Returns:
      An element of STRATEGIES.
    """
    return strategy(name, freestanding = False, **kwargs)

def locked(name, **kwargs):
    """Strategy `name`, made thread-safe by one lock: locked_<name>.

    Args:
      name: of the inner strategy, which STRATEGIES has as well.
      **kwargs: passed to strategy().

    Returns:
      An element of STRATEGIES.
    """
    return strategy(
        "locked_" + name,
        source = "locked.c",
        defines = ["LOCKED_INNER=" + name],
        inner = [name],
        threads = True,
        **kwargs
    )

def strategy_copts(s):
    """The compiler options of strategy `s`, for its own file and for a patched copy of it."""
    return (_FREESTANDING if s.freestanding else []) + ["-D" + d for d in s.defines]

def strategy_recipe(s, source = None):
    """What a C compiler is told to build `s` by hand, in the top folder.

    Args:
      s: a strategy().
      source: path of a patched copy of its file, or None.

    Returns:
      Words in one string.
    """
    return " ".join(["-D" + d for d in s.defines] + [source or "allocators/" + s.source] +
                    ["allocators/%s.c" % i for i in s.inner])

def strategy_libraries(strategies):
    """One cc_library per strategy, named like the strategy.

    Args:
      strategies: a list of strategy().
    """
    for s in strategies:
        cc_library(
            name = s.name,
            srcs = [s.source],
            copts = strategy_copts(s),
            features = ["counters_only"],
            linkopts = s.linkopts,
            visibility = ["//visibility:public"],
            deps = [":strategy"] + s.deps,
        )

    # Planted bugs are patched copies of these.
    native.exports_files({s.source: None for s in strategies}.keys())

def strategy_registry(name, strategies, plants = [], collections = [], beneath = [], **kwargs):
    """A library that defines registry[] (registry.h), with these strategies, in this order.

    Args:
      name: the library; its source is <name>_table.c.
      strategies: a list of strategy().
      plants: a list of planted bugs, as //fuzz:plants.bzl makes them: structs of `libraries`, labels
        of the patched strategy, `facts`, the label of its description, `recipe`, and `collection`,
        whether it is one.
      collections: a list of collection(), //collections:collections.bzl.
      beneath: strategies that collections are tested over, adapters aside: they are in the table
        behind all others, if it has a collection.
      **kwargs: passed to cc_library, and its tags to the other rules as well.
    """
    generator = "//allocators:generate_registry.py"
    table = name + "_table.c"
    over = []
    if collections or [p for p in plants if p.collection]:
        over = [s for s in beneath if s.freestanding]
    native.genrule(
        name = name + "_table",
        srcs = [p.facts for p in plants],
        outs = [table],
        cmd = " ".join(
            ["python3 $(execpath %s) --output $@" % generator] +
            ["--strategy %s '%s'" % (s.name, strategy_recipe(s)) for s in strategies] +
            ["--strategy %s '%s'" % (c.name, c.recipe) for c in collections] +
            ["--beneath %s '%s'" % (s.name, strategy_recipe(s)) for s in over] +
            ["--plant $(execpath %s) '%s'" % (p.facts, p.recipe) for p in plants],
        ),
        tags = kwargs.get("tags"),
        tools = [generator],
    )
    libraries = {"//allocators:" + s.name: None for s in strategies + over}
    for c in collections:
        libraries[c.driver] = None
    for p in plants:
        libraries.update({library: None for library in p.libraries})
    cc_library(
        name = name,
        srcs = [table],
        # Whatever asks for `registry` may stand on either side of it on the linker's line.
        alwayslink = True,
        deps = ["//allocators:registry_header"] + libraries.keys(),
        **kwargs
    )
