"""fuzz_target: everything that is made of one fuzz target, on every engine.

For a target x:

  x_fuzz                                      the program, in the command line's configuration
  x_libfuzzer, x_afl                          fuzzers; bazel-bin/fuzz/x_afl.elf is the program
  x_afl_asan                                  AFL++ with sanitizers, only built when asked for
  x_{plain,msan}_libfuzzer                    without a sanitizer, and under MSan; likewise
  x_replay, x_replay_{asan,m32,msan,valgrind} replay the files that they are given
  x_regression_{plain,asan,m32,msan,valgrind} tests: replay corpus/
  x_afl_smoke                                 test: AFL++ runs it, and finds nothing in 3 s
  x_{replay,regression}_{tsan,drd}            the same under race detectors, for x with threads
  x_tsan_libfuzzer                            a fuzzer that finds data races, for x with threads; likewise
  x_coverage                                  replays files, and counts the allocator's lines that run
  x_run                                       bazel run //fuzz:x_run -- --help
"""

load("@rules_cc//cc:defs.bzl", "cc_binary")
load("@rules_shell//shell:sh_binary.bzl", "sh_binary")
load("@rules_shell//shell:sh_test.bzl", "sh_test")
load("//bazel:cc_variant_test.bzl", "LAUNCHERS", "THREAD_VARIANTS")
load("//bazel:variants.bzl", "has_variant", "skipped_test", "variant_binary")

_REPLAYS = {
    "asan": "x_replay_asan",
    "m32": "x_replay_m32",
    "msan": "x_replay_msan",
    "plain": "x_replay",
    "valgrind": "x_replay_valgrind",
}

# What is built only when asked for, beside x_libfuzzer and x_afl: further fuzzers, and a replay that
# counts the lines that run.
_FURTHER = ["afl_asan", "coverage", "msan_libfuzzer", "plain_libfuzzer"]

def libfuzzer_binary(name, deps, further = {}, **kwargs):
    """A fuzz target on libFuzzer alone: <name>, made of <name>_fuzz.

    Args:
      name: the variant_binary.
      deps: libraries with LLVMFuzzerTestOneInput and all it needs.
      further: {name: variant} of the same, built only when asked for.
      **kwargs: passed to cc_binary.
    """
    cc_binary(
        name = name + "_fuzz",
        features = ["fuzz_target"],
        # main() is the engine's.
        tags = ["manual"],
        deps = deps,
        **kwargs
    )
    variant_binary(
        name = name,
        binary = name + "_fuzz",
        variant = "libfuzzer",
    )
    for other, variant in further.items():
        variant_binary(
            name = other,
            binary = name + "_fuzz",
            tags = ["manual"],
            variant = variant,
        )

def _replays(threads, variants):
    replays = dict(_REPLAYS, **{v: "x_replay_" + v for v in THREAD_VARIANTS if threads})
    return {v: replay for v, replay in replays.items() if not variants or v in variants}

def _programs(name, threads, variants):
    further = _FURTHER + (["tsan_libfuzzer"] if threads else [])
    for variant in ["libfuzzer", "afl"] + further:
        variant_binary(
            name = "%s_%s" % (name, variant),
            binary = name + "_fuzz",
            tags = ["manual"] if variant in further else [],
            variant = variant,
        )
    for variant, replay in _replays(threads, variants).items():
        if not has_variant(variant):
            continue
        variant_binary(
            name = replay.replace("x", name, 1),
            binary = name + "_fuzz",
            launcher = LAUNCHERS.get(variant, []),
            variant = "plain" if variant == "valgrind" else variant,
        )

def _regression_tests(name, inputs, threads, variants):
    for variant, replay in _replays(threads, variants).items():
        program = replay.replace("x", name, 1)
        test = "%s_regression_%s" % (name, variant)
        if not has_variant(variant):
            skipped_test(name = test, tags = ["regression", variant], variant = variant)
            continue
        sh_test(
            name = test,
            # Should they fail, Valgrind takes most of a second to start, once per input.
            size = "medium",
            srcs = ["replay_each.py"],
            args = [
                "--program fuzz/" + program,
                "--inputs $(rootpath %s)" % inputs,
            ],
            data = [
                "bounded.py",
                "engines.py",
                inputs,
                program,
            ],
            env = {"ASSAY_TIER": "paranoid"},
            tags = ["regression", variant],
        )

def _sessions(name, seeds, afl_mutator, smoke):
    afl = name + "_afl"
    libfuzzer = name + "_libfuzzer"
    args = [
        "--name " + name,
        "--libfuzzer fuzz/%s.elf" % libfuzzer,
        "--afl fuzz/%s.elf" % afl,
        "--seeds $(rootpath %s)" % seeds,
    ] + (["--afl-mutator $(rootpath %s)" % afl_mutator] if afl_mutator else [])
    data = ["engines.py", afl, seeds] + ([afl_mutator] if afl_mutator else [])
    sh_binary(
        name = name + "_run",
        srcs = ["run_fuzzer.py"],
        args = args,
        data = data + [libfuzzer],
    )
    if not smoke:
        return
    sh_test(
        name = name + "_afl_smoke",
        size = "small",
        srcs = ["run_fuzzer.py"],
        args = args + ["--engine afl", "--seconds 3"],
        data = data,
        tags = ["afl"],
    )

def fuzz_target(
        name,
        deps,
        seeds,
        inputs,
        afl_mutator = None,
        threads = False,
        variants = [],
        smoke = True,
        **kwargs):
    """Makes the targets listed on top of this file.

    Args:
      name: x.
      deps: libraries: LLVMFuzzerTestOneInput and all it needs, and //fuzz:replay_main.
      seeds: a file_list, the start corpus of fuzzing.
      inputs: a file_list, what the regression tests replay.
      afl_mutator: a shared object with AFL++'s custom mutator functions.
      threads: True if it starts threads: it is replayed under race detectors too.
      variants: of x_replay and x_regression, only these; none: all.
      smoke: False: no x_afl_smoke.
      **kwargs: passed to cc_binary.
    """
    cc_binary(
        name = name + "_fuzz",
        features = ["fuzz_target"],
        deps = deps,
        **kwargs
    )
    _programs(name, threads, variants)
    _regression_tests(name, inputs, threads, variants)
    _sessions(name, seeds, afl_mutator, smoke)
