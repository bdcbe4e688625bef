"""allocator_check: all targets of an allocator that is not one of the house's strategies.

    load("@assay//bazel:allocator_check.bzl", "allocator_check")

    allocator_check(name = "pool", srcs = ["pool.c", "pool.h"], api = "heap",
                    init = "pool_init", alloc = "pool_alloc", free = "pool_free")

makes

  pool              test: a short campaign over all tiers, which must be clean
  pool_run          bazel run :pool_run -- --seconds 600; what it finds is in out/check/pool
  pool_regression   test: replays `programs` in each tier, such as findings that were mended; only if there are any
"""

load("@rules_shell//shell:sh_binary.bzl", "sh_binary")
load("@rules_shell//shell:sh_test.bzl", "sh_test")

_COMMAND = Label("//ci:check_command.py")
_COMPILER = Label("//fuzz:kit.compiler")
_LAUNCHER = Label("//ci:allocator_check.sh")
_DATA = [Label(label) for label in [
    "//allocators:all_sources",
    "//allocators:generate_registry.py",
    "//allocators/foreign:all_sources",
    "//allocators/foreign:mm_headers",
    "//ci:sources",
    "//corpus:regression",
    "//corpus:seeds",
    "//fuzz:all_sources",
    "//fuzz:kit",
    "//fuzz:kit_m32",
    "//harness:all_sources",
    "//reports:sources",
]]

_FUNCTIONS = ["init", "alloc", "free", "realloc", "align"]

def _arguments(name, srcs, api, functions, options):
    sources = ["$(rootpath %s)" % s for s in srcs if not s.endswith(".h")]
    arguments = [name, "$(rootpath %s)" % _COMMAND, "$(rootpath %s)" % _COMPILER, "--" + api] + sources
    for function, value in functions.items():
        arguments += ["--" + function, value]
    return arguments + options

def allocator_check(
        name,
        srcs,
        api = "mm",
        init = None,
        alloc = None,
        free = None,
        realloc = None,
        align = None,
        seconds = 10,
        tiers = [],
        cflags = [],
        options = [],
        programs = [],
        size = "large",
        tags = [],
        **kwargs):
    """Makes the targets listed on top of this file.

    Args:
      name: of the test.
      srcs: C sources and headers; of api "malloc" one shared library.
      api: "mm" (malloc lab), "malloc" (a library with C's functions), "heap" (over one buffer).
      init: of api "heap": the functions' names, here and in the four that follow.
      alloc: see init.
      free: see init.
      realloc: see init; may be left out.
      align: see init; may be left out.
      seconds: that the test fuzzes.
      tiers: names; all, if none are given.
      cflags: for the compiler.
      options: further ones of ci/check.
      programs: files that the regression test replays.
      size: of the tests.
      tags: of all targets.
      **kwargs: passed to the tests.
    """
    functions = {
        function: value
        for function, value in zip(_FUNCTIONS, [init, alloc, free, realloc, align])
        if value
    }
    all_options = options + ["--cflag=" + f for f in cflags] + (["--tiers=" + ",".join(tiers)] if tiers else [])
    arguments = _arguments(name, srcs, api, functions, all_options)
    data = srcs + _DATA + [_COMMAND, _COMPILER]
    sh_test(
        name = name,
        size = size,
        srcs = [_LAUNCHER],
        args = arguments + ["--seconds=%s" % seconds],
        data = data,
        tags = tags + ["cpu:2"],
        **kwargs
    )
    sh_binary(
        name = name + "_run",
        srcs = [_LAUNCHER],
        args = arguments,
        data = data,
        tags = tags,
    )
    if programs:
        sh_test(
            name = name + "_regression",
            size = size,
            srcs = [_LAUNCHER],
            args = arguments + ["--replay"] + ["$(rootpath %s)" % p for p in programs],
            data = data + programs,
            tags = tags,
            **kwargs
        )
