"""Planted bugs: clean strategies and collections with one known defect each, and the tests that
kill them.

A plant is one file, plants/<strategy>.<bug>.patch, or bugs/<strategy>.<bug>.patch if it is one of
the benchmark of historical bugs; apply_plant.py says what is in it.
"""

load("@rules_cc//cc:defs.bzl", "cc_binary", "cc_library")
load("@rules_shell//shell:sh_test.bzl", "sh_test")
load("//allocators:strategies.bzl", "strategy_copts", "strategy_recipe", "strategy_registry")
load("//bazel:variants.bzl", "variant_binary")
load("//collections:collections.bzl", "COLLECTION_COPTS")

def _parse(patch, known):
    """Returns the strategy() or collection() that a patch is for, and the name of the bug."""
    parts = patch.split("/")[-1].split(".")
    if len(parts) != 3 or parts[2] != "patch":
        fail("%s: the name of a plant must be <strategy>.<bug>.patch" % patch)
    found = [s for s in known if s.name == parts[0]]
    if not found:
        fail("%s: there is nothing named %s in allocators/registry.bzl or collections/registry.bzl" %
             (patch, parts[0]))
    return found[0], parts[1]

def _apply(stem, patch, sources, outputs, further = {}):
    """Makes `outputs`, patched, and the facts; `further`: {option: file that is read}, or a file made."""
    native.genrule(
        name = stem + "_apply",
        srcs = [patch, "//harness:property.h"] + sources + [f for f in further.values() if f[0] == "/"],
        outs = outputs + [stem + ".json"] + [f for f in further.values() if f[0] != "/"],
        cmd = " ".join([
            "python3 $(execpath apply_plant.py)",
            "--patch $(execpath %s)" % patch,
            "--source " + " ".join(["$(execpath %s)" % s for s in sources]),
            "--properties $(execpath //harness:property.h)",
            "--output " + " ".join(["$(execpath %s)" % o for o in outputs]),
            "--facts $(execpath %s.json)" % stem,
        ] + ["--%s $(execpath %s)" % option for option in further.items()]),
        tools = ["apply_plant.py"],
    )

def _strategy_plant(s, bug, stem, patch):
    """Returns (libraries, sources, recipe) of a strategy's plant."""
    rename = "-D{s}_strategy={s}__{b}_strategy".format(s = s.name, b = bug)
    _apply(stem, patch, ["//allocators:" + s.source], [stem + ".c"])
    cc_library(
        name = stem,
        srcs = [stem + ".c"],
        # It includes what lies beside the original, and must not collide with it.
        copts = strategy_copts(s) + ["-Iallocators", rename],
        features = ["counters_only"],
        linkopts = s.linkopts,
        deps = ["//allocators:strategy"] + s.deps,
    )
    recipe = rename + " " + strategy_recipe(s, "bazel-bin/fuzz/%s.c" % stem)
    return ["//fuzz:" + stem], ["//fuzz:%s.c" % stem], recipe

def _collection_plant(c, stem, patch):
    """Returns (libraries, sources, recipe) of a collection's plant."""
    outputs = ["%s/%s" % (stem, source) for source in c.sources]
    rename = stem + ".h"
    _apply(
        stem,
        patch,
        ["//collections:" + source for source in c.sources],
        outputs,
        {
            "driver": c.driver + ".c",
            "rename": rename,
        },
    )
    cc_library(
        name = stem,
        srcs = outputs + [rename],
        copts = COLLECTION_COPTS + [
            "-Icollections",
            "-include",
            "fuzz/" + rename,
            # A defect may be that something is not called.
            "-Wno-unused-function",
        ],
        features = ["counters_only"],
        deps = [c.library + "_headers"],
    )
    cc_library(
        name = stem + "_driver",
        srcs = [
            rename,
            c.driver + ".c",
        ],
        copts = [
            "-include",
            "fuzz/" + rename,
        ],
        features = ["testbed"],
        deps = [
            stem,
            "//harness",
        ],
    )
    return (
        ["//fuzz:%s_driver" % stem],
        ["//fuzz:" + output for output in outputs],
        # Alone it needs no names of its own.
        " ".join(["bazel-bin/fuzz/" + output for output in outputs]),
    )

# buildifier: disable=unnamed-macro
def planted_bugs(patches, strategies, collections = []):
    """Makes a library of every patch.

    Args:
      patches: names of patch files in this package.
      strategies: STRATEGIES.
      collections: COLLECTIONS.

    Returns:
      A list for strategy_registry(plants = ...), with `name`, which is `<strategy>.<bug>`, the
      `folder` and the patched `sources` of each as well.
    """
    plants = []
    for patch in patches:
        s, bug = _parse(patch, strategies + collections)
        name = "%s.%s" % (s.name, bug)
        if name in [p.name for p in plants]:
            fail("%s: another folder has a plant of that name" % patch)
        stem = "planted/" + name
        if s in collections:
            libraries, sources, recipe = _collection_plant(s, stem, patch)
        else:
            libraries, sources, recipe = _strategy_plant(s, bug, stem, patch)
        plants.append(struct(
            name = name,
            folder = patch.split("/")[0],
            collection = s in collections,
            libraries = libraries,
            facts = "//fuzz:%s.json" % stem,
            sources = sources,
            recipe = recipe,
        ))
    return plants

def planted_programs(plants, deps, beneath):
    """One fuzzer of each plant alone, for each engine: <strategy>.<bug>_{libfuzzer,afl}.

    Only built when asked for. Faster than a program that holds all plants, whose coverage is larger;
    and one that cannot be built leaves the others be.

    Args:
      plants: what planted_bugs returned.
      deps: libraries with LLVMFuzzerTestOneInput and all it needs, a registry aside.
      beneath: STRATEGIES, that collections are tested over.
    """
    for p in plants:
        registry = "planted/%s_registry" % p.name
        strategy_registry(
            name = registry,
            beneath = beneath,
            plants = [p],
            strategies = [],
            tags = ["manual"],
        )
        cc_binary(
            name = p.name + "_fuzz",
            features = ["fuzz_target"],
            tags = ["manual"],
            deps = deps + [registry],
        )
        for engine in ["libfuzzer", "afl"]:
            variant_binary(
                name = "%s_%s" % (p.name, engine),
                binary = p.name + "_fuzz",
                tags = ["manual"],
                variant = engine,
            )

def some_plants(plants, known, strategies, each):
    """A few planted bugs of each strategy, of those with a smallest known program.

    Args:
      plants: what planted_bugs returned.
      known: names of files of programs in this package, <folder>/<strategy>.<bug>.txt.
      strategies: a list of strategy().
      each: how many of each, at most.

    Returns:
      A list like `plants`.
    """
    chosen = []
    for s in strategies:
        chosen += [
            p
            for p in plants
            if p.name.startswith(s.name + ".") and "%s/%s.txt" % (p.folder, p.name) in known
        ][:each]
    return chosen

def in_parts(strategies, most = 5):
    """What programs for a small flash hold each, so that no strategy more makes one too large.

    Args:
      strategies: a list of strategy().
      most: how many in each.

    Returns:
      A list of lists.
    """
    return [strategies[at:at + most] for at in range(0, len(strategies), most)]

def kill_tests(plants, binary, seeds, collection_seeds):
    """One test per plant, kill_<strategy>.<bug>: is it killed by a property that it expects?

    Args:
      plants: what planted_bugs returned.
      binary: name of a libFuzzer variant_binary in this package, with all plants in its registry.
      seeds: a file_list, the start corpus.
      collection_seeds: the same, of collections.
    """
    for p in plants:
        start = collection_seeds if p.collection else seeds
        sh_test(
            name = "kill_" + p.name,
            # Most take a second. A slow machine must not make a bug look harder than it is.
            size = "large",
            srcs = ["kill.py"],
            args = [
                "--program fuzz/%s.elf" % binary,
                "--facts $(rootpath %s)" % p.facts,
                "--seeds $(rootpath %s)" % start,
            ],
            data = [
                "engines.py",
                "hunt.py",
                binary,
                p.facts,
                start,
            ],
            tags = ["kill"],
        )
