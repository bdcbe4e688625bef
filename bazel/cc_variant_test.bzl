"""cc_variant_test: a C test, run once per sanitizer and once under Valgrind."""

load("@rules_cc//cc:defs.bzl", "cc_binary")
load(":variants.bzl", "has_variant", "skipped_test", "variant_test")

# Every error is an exit code of its own, so that a test cannot pass over it.
VALGRIND = ["valgrind", "-q", "--error-exitcode=99", "--leak-check=full"]

DRD = ["valgrind", "-q", "--tool=drd", "--error-exitcode=99"]

# Tools that run the program, by variant.
LAUNCHERS = {
    "drd": DRD,
    "valgrind": VALGRIND,
}

DEFAULT_VARIANTS = ["plain", "asan", "m32", "msan", "valgrind"]

# What finds data races.
THREAD_VARIANTS = ["tsan", "drd"]

def cc_variant_test(
        name,
        srcs,
        deps = [],
        variants = DEFAULT_VARIANTS,
        size = "small",
        args = [],
        tags = [],
        **kwargs):
    """A C test run once per variant: <name>_<variant> each, and <name>_all for the lot.

    Args:
      name: prefix of the tests.
      srcs: sources with a main() that returns 0 if all is well.
      deps: cc_library targets.
      variants: keys of VARIANTS, or "valgrind". Add THREAD_VARIANTS to a test that has threads.
      size: test size, for every variant; under Valgrind a small test is a medium one.
      args: arguments of the test.
      tags: tags for every test; each also has its variant as a tag.
      **kwargs: passed to cc_binary (copts, data, linkopts ...).
    """
    cc_binary(
        name = name + "_bin",
        testonly = True,
        srcs = srcs,
        deps = deps,
        **kwargs
    )
    for v in variants:
        if not has_variant(v):
            skipped_test(name = "%s_%s" % (name, v), size = size, tags = tags + [v], variant = v)
            continue
        variant_test(
            name = "%s_%s" % (name, v),
            size = "medium" if v == "valgrind" and size == "small" else size,
            args = args,
            binary = ":" + name + "_bin",
            launcher = LAUNCHERS.get(v, []),
            tags = tags + [v],
            variant = "plain" if v == "valgrind" else v,
        )
    native.test_suite(
        name = name + "_all",
        # Without "manual", //... would expand the suite and run manual tests.
        tags = ["manual"],
        tests = ["%s_%s" % (name, v) for v in variants],
    )

def cc_variant_tests(srcs, threads = [], linkopts = [], variants = DEFAULT_VARIANTS, **kwargs):
    """One cc_variant_test per source file, named after it.

    Args:
      srcs: sources, each a test of its own.
      threads: those of `srcs` that start threads: linked with -pthread, and run under race detectors too.
      linkopts: for every test.
      variants: of every test.
      **kwargs: passed to every cc_variant_test.
    """
    for src in srcs:
        threaded = src in threads
        cc_variant_test(
            name = src[:-len(".c")],
            srcs = [src],
            linkopts = linkopts + (["-pthread"] if threaded else []),
            variants = variants + (THREAD_VARIANTS if threaded else []),
            **kwargs
        )
