"""One binary under several toolchain features, in a single invocation of Bazel.

A variant is a set of features (//bazel/toolchain:config.bzl). variant_binary and variant_test
build their `binary` under it, whatever the command line's own --features are.
"""

load("@assay_clang//:found.bzl", "FOUND")

VARIANTS = {
    "afl": ["afl"],
    "afl_asan": ["afl", "asan", "ubsan"],
    "asan": ["asan", "ubsan"],
    "coverage": ["line_coverage"],
    "drd": ["order_hooks"],
    "libfuzzer": ["libfuzzer", "asan", "ubsan"],
    "m32": ["m32"],
    "m32_asan": ["m32", "asan", "ubsan"],
    "m32_libfuzzer": ["m32", "libfuzzer", "asan", "ubsan"],
    "m32_optimized": ["m32", "optimize"],
    "m32_plain_libfuzzer": ["m32", "libfuzzer"],
    "msan": ["msan"],
    "msan_libfuzzer": ["libfuzzer", "msan"],
    "optimized": ["optimize"],
    "plain": [],
    "plain_libfuzzer": ["libfuzzer"],
    "tsan": ["tsan"],
    "tsan_libfuzzer": ["libfuzzer", "tsan"],
}

# Features that a variant owns: dropped from the command line's --features first, so that
# `bazel test --features=asan //...` does not ask for MSan plus ASan.
_OWNED = ["afl", "asan", "libfuzzer", "line_coverage", "m32", "msan", "optimize", "order_hooks", "tsan", "ubsan"]

# Prepended to what the user has set, so that the user wins.
_ENVIRONMENT = {
    "ASAN_OPTIONS": "abort_on_error=1:detect_leaks=1:strict_string_checks=1:allocator_may_return_null=1",
    "MSAN_OPTIONS": "abort_on_error=1:allocator_may_return_null=1",
    "TSAN_OPTIONS": "abort_on_error=1:halt_on_error=1",
    "UBSAN_OPTIONS": "abort_on_error=1:print_stacktrace=1",
}

# The sanitizers look in PATH for this name only, and another version's cannot read their DWARF.
_SYMBOLIZERS = ["ASAN_SYMBOLIZER_PATH", "MSAN_SYMBOLIZER_PATH", "TSAN_SYMBOLIZER_PATH", "UBSAN_SYMBOLIZER_PATH"]

def _transition_impl(settings, attr):
    outer = settings["//command_line_option:features"]
    return {
        "//command_line_option:features": [f for f in outer if f not in _OWNED] + VARIANTS[attr.variant],
    }

_variant_transition = transition(
    implementation = _transition_impl,
    inputs = ["//command_line_option:features"],
    outputs = ["//command_line_option:features"],
)

def _binary(ctx):
    # An attribute with a transition is a list of one.
    return ctx.attr.binary[0] if type(ctx.attr.binary) == type([]) else ctx.attr.binary

def _script(ctx):
    """The lines of the start script: sets the sanitizers up, then becomes the program."""
    lines = ["#!/bin/sh"]
    for key, value in _ENVIRONMENT.items():
        lines.append("export {k}=\"{v}${{{k}:+:${k}}}\"".format(k = key, v = value))
    for key in _SYMBOLIZERS:
        lines.append("export {k}=\"${{{k}:-{v}}}\"".format(k = key, v = FOUND.symbolizer))
    if ctx.attr.launcher:
        tool = ctx.attr.launcher[0]
        lines.append("command -v {t} >/dev/null || {{ echo \"assay: {t} is not installed: run ci/setup\" >&2; exit 2; }}".format(t = tool))

    # The program lies beside the script both in bazel-bin and in any runfiles tree.
    lines.append("exec {} \"$0.elf\" \"$@\"".format(" ".join(ctx.attr.launcher)))
    return lines

def _impl(ctx):
    binary = _binary(ctx)
    built = binary[DefaultInfo].files_to_run.executable

    # A name of its own: in a runfiles tree that holds two variants of one binary, the same
    # short_path would make one shadow the other.
    program = ctx.actions.declare_file(ctx.label.name + ".elf")
    ctx.actions.symlink(output = program, target_file = built, is_executable = True)
    script = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.write(script, "\n".join(_script(ctx)) + "\n", is_executable = True)

    # A test keeps the original name too: `bazel coverage` looks the program up by it.
    data = [
        f
        for f in binary[DefaultInfo].default_runfiles.files.to_list()
        if f != built or hasattr(ctx.attr, "_lcov_merger")
    ]
    return [
        DefaultInfo(
            executable = script,
            files = depset([script, program]),
            runfiles = ctx.runfiles(files = [program] + data),
        ),
        coverage_common.instrumented_files_info(ctx, dependency_attributes = ["binary"]),
    ]

def _file_impl(ctx):
    built = _binary(ctx)[DefaultInfo].files_to_run.executable
    output = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.symlink(output = output, target_file = built, is_executable = True)
    return [DefaultInfo(files = depset([output]), runfiles = ctx.runfiles(files = [output]))]

def _object_impl(ctx):
    output = ctx.actions.declare_file(ctx.label.name)
    archives, options = {}, []  # what several dependencies share, once
    for dep in ctx.attr.deps:
        for linker_input in dep[CcInfo].linking_context.linker_inputs.to_list():
            options += linker_input.user_link_flags
            for library in linker_input.libraries:
                archive = library.static_library or library.pic_static_library
                archives[archive.path] = archive
    outputs = [output]
    flags = ["-m32"] if "m32" in VARIANTS[ctx.attr.variant] else []
    if ctx.outputs.options:
        # Whoever links with it does so with these options.
        ctx.actions.write(ctx.outputs.options, "".join([o + "\n" for o in {o: None for o in options}]))
        outputs.append(ctx.outputs.options)
    else:
        # What stands for another symbol must be settled here: the object is linked by strangers.
        flags += [f for f in options if f.startswith("-Wl,--wrap=")]
    if ctx.attr.strip_debug:
        flags.append("-Wl,--strip-debug")
    ctx.actions.run(
        executable = FOUND.clang,
        arguments = ["-r", "-nostdlib", "-o", output.path, "-Wl,--whole-archive"] +
                    archives.keys() + ["-Wl,--no-whole-archive"] +
                    {f: None for f in flags}.keys(),
        inputs = archives.values(),
        outputs = [output],
        mnemonic = "CppLink",
        # For the linker, which the compiler looks for there.
        use_default_shell_env = True,
    )
    return [DefaultInfo(files = depset(outputs), runfiles = ctx.runfiles(files = outputs))]

_BINARY_ATTRS = {
    "binary": attr.label(cfg = _variant_transition, executable = True, mandatory = True),
    "variant": attr.string(mandatory = True, values = VARIANTS.keys()),
    "_allowlist_function_transition": attr.label(
        default = "@bazel_tools//tools/allowlists/function_transition_allowlist",
    ),
}

_PROGRAM_ATTRS = dict(
    _BINARY_ATTRS,
    launcher = attr.string_list(doc = "A command that runs the program, such as valgrind and its options."),
)

variant_binary = rule(
    implementation = _impl,
    attrs = _PROGRAM_ATTRS,
    doc = "<name> is a script that sets the sanitizers up and runs <name>.elf, the program itself.",
    executable = True,
)

variant_test = rule(
    implementation = _impl,
    attrs = dict(
        _PROGRAM_ATTRS,
        # What makes `bazel coverage` work for a test rule written in Starlark.
        _collect_cc_coverage = attr.label(
            default = "@bazel_tools//tools/test:collect_cc_coverage",
            allow_single_file = True,
            cfg = "exec",
            executable = True,
        ),
        _lcov_merger = attr.label(
            default = "@bazel_tools//tools/test:lcov_merger",
            cfg = "exec",
            executable = True,
        ),
    ),
    doc = "A variant_binary that is a test.",
    test = True,
)

# For people, and in the form of JUnit for ci/count_tests.py.
_SKIPPED = """#!/bin/sh
echo 'SKIPPED: {reason}'
[ -z "${{XML_OUTPUT_FILE:-}}" ] || cat >"$XML_OUTPUT_FILE" <<'END'
<testsuites><testsuite name="{name}" tests="1" failures="0" errors="0" skipped="1">
<testcase name="{name}"><skipped message="{reason}"/></testcase>
</testsuite></testsuites>
END
"""

def _skipped_impl(ctx):
    script = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.write(script, _SKIPPED.format(
        name = ctx.label.name,
        reason = ctx.attr.reason,
    ), is_executable = True)
    return [DefaultInfo(executable = script, runfiles = ctx.runfiles(files = [script]))]

skipped_because_test = rule(
    implementation = _skipped_impl,
    attrs = {"reason": attr.string(doc = "Plain text: none of <>&'\".", mandatory = True)},
    doc = "Stands for a test that this machine cannot run: says so, which ci/count_tests.py counts.",
    test = True,
)

def has_variant(variant):
    """Whether programs of that variant can be built on this machine."""
    return FOUND.m32 or not variant.startswith("m32")

def skipped_test(name, variant, **kwargs):
    """Instead of a test of a variant that cannot be built here.

    Args:
      name: of the test.
      variant: one for which has_variant says no.
      **kwargs: tags and size of the test.
    """
    skipped_because_test(
        name = name,
        reason = "%s needs a 32-bit C and C++ library: install g++-12-multilib (ci/setup)" % variant,
        **kwargs
    )

variant_file = rule(
    implementation = _file_impl,
    attrs = _BINARY_ATTRS,
    doc = "Just the built file, under the target's own name: for shared objects.",
)

variant_object = rule(
    implementation = _object_impl,
    attrs = {
        "deps": attr.label_list(cfg = _variant_transition, mandatory = True, providers = [CcInfo]),
        "options": attr.output(doc = "A file to hold the linker options that the object needs, one " +
                                     "in a line; without it symbols that stand for others are settled."),
        "strip_debug": attr.bool(doc = "Leave out what only debuggers read: it links faster."),
        "variant": attr.string(mandatory = True, values = VARIANTS.keys()),
        "_allowlist_function_transition": attr.label(
            default = "@bazel_tools//tools/allowlists/function_transition_allowlist",
        ),
    },
    doc = "All code of its cc_library dependencies in one object file, for other build systems.",
)
