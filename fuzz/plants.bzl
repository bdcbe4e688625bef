"""Planted bugs: clean strategies with one known defect each, and the tests that kill them.

A plant is one file, plants/<strategy>.<bug>.patch, or bugs/<strategy>.<bug>.patch if it is one of
the benchmark of historical bugs; apply_plant.py says what is in it.
"""

load("@rules_cc//cc:defs.bzl", "cc_binary", "cc_library")
load("@rules_shell//shell:sh_test.bzl", "sh_test")
load("//allocators:strategies.bzl", "strategy_copts", "strategy_recipe", "strategy_registry")
load("//bazel:variants.bzl", "variant_binary")

def _parse(patch, strategies):
    """Returns the strategy() that a patch is for, and the name of the bug."""
    parts = patch.split("/")[-1].split(".")
    if len(parts) != 3 or parts[2] != "patch":
        fail("%s: the name of a plant must be <strategy>.<bug>.patch" % patch)
    found = [s for s in strategies if s.name == parts[0]]
    if not found:
        fail("%s: there is no strategy named %s in allocators/registry.bzl" % (patch, parts[0]))
    return found[0], parts[1]

# buildifier: disable=unnamed-macro
def planted_bugs(patches, strategies):
    """Makes a library of every patch.

    Args:
      patches: names of patch files in this package.
      strategies: STRATEGIES.

    Returns:
      A list for strategy_registry(plants = ...), with `name`, which is `<strategy>.<bug>`, and the
      `folder` of each as well.
    """
    plants = []
    for patch in patches:
        s, bug = _parse(patch, strategies)
        name = "%s.%s" % (s.name, bug)
        if name in [p.name for p in plants]:
            fail("%s: another folder has a plant of that name" % patch)
        stem = "planted/" + name
        source = "//allocators:" + s.source
        rename = "-D{s}_strategy={s}__{b}_strategy".format(s = s.name, b = bug)
        native.genrule(
            name = stem + "_apply",
            srcs = [patch, source, "//harness:property.h"],
            outs = [stem + ".c", stem + ".json"],
            cmd = " ".join([
                "python3 $(execpath apply_plant.py)",
                "--patch $(execpath %s)" % patch,
                "--source $(execpath %s)" % source,
                "--properties $(execpath //harness:property.h)",
                "--output $(execpath %s.c)" % stem,
                "--facts $(execpath %s.json)" % stem,
            ]),
            tools = ["apply_plant.py"],
        )
        cc_library(
            name = stem,
            srcs = [stem + ".c"],
            # It includes what lies beside the original, and must not collide with it.
            copts = strategy_copts(s) + ["-Iallocators", rename],
            features = ["counters_only"],
            linkopts = s.linkopts,
            deps = ["//allocators:strategy"] + s.deps,
        )
        plants.append(struct(
            name = name,
            folder = patch.split("/")[0],
            library = "//fuzz:" + stem,
            facts = "//fuzz:%s.json" % stem,
            source = "//fuzz:%s.c" % stem,
            recipe = rename + " " + strategy_recipe(s, "bazel-bin/fuzz/%s.c" % stem),
        ))
    return plants

def planted_programs(plants, deps):
    """One fuzzer of each plant alone, for each engine: <strategy>.<bug>_{libfuzzer,afl}.

    Only built when asked for. Faster than a program that holds all plants, whose coverage is larger;
    and one that cannot be built leaves the others be.

    Args:
      plants: what planted_bugs returned.
      deps: libraries with LLVMFuzzerTestOneInput and all it needs, a registry aside.
    """
    for p in plants:
        registry = "planted/%s_registry" % p.name
        strategy_registry(
            name = registry,
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

def kill_tests(plants, binary, seeds):
    """One test per plant, kill_<strategy>.<bug>: is it killed by a property that it expects?

    Args:
      plants: what planted_bugs returned.
      binary: name of a libFuzzer variant_binary in this package, with all plants in its registry.
      seeds: a file_list, the start corpus.
    """
    for p in plants:
        sh_test(
            name = "kill_" + p.name,
            # Most take a second. A slow machine must not make a bug look harder than it is.
            size = "large",
            srcs = ["kill.py"],
            args = [
                "--program fuzz/%s.elf" % binary,
                "--facts $(rootpath %s)" % p.facts,
                "--seeds $(rootpath %s)" % seeds,
            ],
            data = [
                "engines.py",
                "hunt.py",
                binary,
                p.facts,
                seeds,
            ],
            tags = ["kill"],
        )
