"""Programs for worlds without a libc: machines other than this one, and this one's bare kernel.

A program is made of ordinary cc_library targets. An aspect compiles their sources once more for each
world, with the same options and the world's compiler, so that what is built for the host is built for
a board without another line. What is not there is told by has_world, and a test that needs it is
skipped_world_test.
"""

load("@assay_clang//:found.bzl", "FOUND")
load("@rules_cc//cc/common:cc_info.bzl", "CcInfo")
load("//bazel/toolchain:cross_tools.bzl", "CROSS_TOOLS")
load(":variants.bzl", "skipped_because_test")

_ROOMY = "-DHARNESS_LIMITS=\"freestanding/limits_roomy.h\""

# `compiler` is a field of FOUND, and so is `emulator`, unless this machine runs the program itself.
# `machine` are options for compiling and linking, `copts` for compiling alone. `run` is how the emulator is
# called: {elf} is the program, {arguments} what it is given, by semihosting or on its command line.
WORLDS = {
    "cortex_m3": struct(
        compiler = "arm_gcc",
        emulator = "qemu_arm",
        machine = ["-mcpu=cortex-m3", "-mthumb"],
        copts = ["-Os", "-DHARNESS_LIMITS=\"freestanding/limits_tight.h\""],
        # 128 ns an instruction: SysTick tells how many there were (freestanding/cortex_m3/time.c).
        run = "-M lm3s6965evb -display none -monitor none -serial stdio -icount shift=7,sleep=off " +
              "-semihosting-config enable=on,target=native{arguments} -kernel {elf}",
        semihosting = True,
    ),
    "linux_aarch64": struct(
        compiler = "aarch64_gcc",
        emulator = "qemu_aarch64",
        # The libgcc that finds out about newer atomics asks a libc.
        machine = ["-march=armv8-a"],
        copts = ["-mno-outline-atomics", "-O2", _ROOMY],
        run = "{elf}{arguments}",
        semihosting = False,
    ),
    "linux_x86_64": struct(
        compiler = "clang",
        emulator = None,
        machine = [],
        copts = ["-O2", _ROOMY],
        run = "{elf}{arguments}",
        semihosting = False,
    ),
    "riscv32": struct(
        compiler = "riscv_gcc",
        emulator = "qemu_riscv32",
        machine = ["-march=rv32imac", "-mabi=ilp32"],
        # By the name with the extension, which its assembler wants, the compiler does not find its libgcc.
        copts = ["-march=rv32imac_zicsr", "-mcmodel=medany", "-Os", _ROOMY],
        # 1 ns an instruction: rdinstret reads nanoseconds.
        run = "-M virt -m 32M -bios none -display none -monitor none -serial stdio -icount shift=0,sleep=off " +
              "-semihosting-config enable=on,target=native{arguments} -kernel {elf}",
        semihosting = True,
    ),
}

# As the toolchain's own C files are compiled (//bazel/toolchain:config.bzl).
_WARNINGS = ["-std=c17", "-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Werror"]

# What nobody calls is left out of the image, which also keeps what only a hosted world has.
_COPTS = _WARNINGS + [
    "-ffreestanding",
    "-fno-common",
    "-fno-stack-protector",
    "-fno-pic",
    "-fno-asynchronous-unwind-tables",
    "-ffunction-sections",
    "-fdata-sections",
    "-g",
    "-gdwarf-4",
    "-Ifreestanding/libc",
]

# A function that copies bytes in a loop must not become a call of itself.
_COPTS_OF = {"clang": ["-fno-builtin", "-fno-unwind-tables"]}
_COPTS_OF_GCC = ["-fno-tree-loop-distribute-patterns", "-fno-unwind-tables"]

_LINKOPTS = ["-static", "-nostdlib", "-Wl,--gc-sections", "-Wl,--fatal-warnings", "-Wl,--build-id=none"]

# Objects of a target and all it depends on, for one world.
CrossInfo = provider(fields = {"objects": "depset of File"})

def _tools(world):
    return [f for f in [WORLDS[world].compiler, WORLDS[world].emulator] if f]

def missing_packages(world, hidden = []):
    """What Debian has to install for a world's programs to be built and run.

    Args:
      world: a key of WORLDS.
      hidden: fields of FOUND that count as not there, for tests of this file.

    Returns:
      A list of packages, empty if all is there.
    """
    return [CROSS_TOOLS[f].package for f in _tools(world) if f in hidden or not getattr(FOUND, f)]

def has_world(world):
    """Whether this machine can build programs of a world, and run them."""
    if world.startswith("linux_") and not WORLDS[world].emulator and world != "linux_" + FOUND.cpu:
        return False
    return not missing_packages(world)

def skipped_world_test(name, world, hidden = [], **kwargs):
    """Instead of a test of a world for which has_world says no.

    Args:
      name: of the test.
      world: a key of WORLDS.
      hidden: fields of FOUND that count as not there, for tests of this file.
      **kwargs: tags and size of the test.
    """
    packages = missing_packages(world, hidden)
    want = " ".join(packages) + ": ci/setup --all installs it" if packages else "its own kind of processor"
    skipped_because_test(name = name, reason = "%s needs %s" % (world, want), **kwargs)

def _compiler(world):
    return getattr(FOUND, WORLDS[world].compiler)

def _environment(world):
    """Has the compiler's version, so that another in the same place is another action."""
    path = _compiler(world)
    return {
        "ASSAY_CC_VERSION": FOUND.cross_versions.get(path, FOUND.version),
        "PATH": "/usr/local/bin:/usr/bin:/bin",
    }

def _compile(ctx, world, srcs, headers, includes, copts):
    """Compiles C and assembly sources, an action each. Returns the objects."""
    kind = WORLDS[world].compiler
    objects = []
    for source in srcs:
        if source.extension not in ["c", "S"]:
            continue
        output = ctx.actions.declare_file("_world/%s/%s/%s.o" % (world, ctx.label.name, source.short_path))
        flags = _COPTS + _COPTS_OF.get(kind, _COPTS_OF_GCC) + WORLDS[world].machine + WORLDS[world].copts
        ctx.actions.run(
            executable = _compiler(world),
            arguments = flags + copts + includes + ["-c", source.path, "-o", output.path],
            inputs = depset([source] + ctx.files._libc_headers, transitive = [headers]),
            outputs = [output],
            env = _environment(world),
            mnemonic = "CrossCompile",
            progress_message = "Compiling %s for %s" % (source.short_path, world),
        )
        objects.append(output)
    return objects

def _is_header(file):
    return file.extension not in ["c", "S"]

def _includes(context):
    """Compiler flags for a CcInfo's compilation_context."""
    return (["-iquote" + d for d in context.quote_includes.to_list()] +
            ["-isystem" + d for d in context.system_includes.to_list()] +
            ["-I" + d for d in context.includes.to_list()] +
            ["-D" + d for d in context.defines.to_list()])

_LIBC_HEADERS = attr.label(default = "//freestanding:libc_headers")

def _aspect_impl(target, ctx):
    attributes = ctx.rule.attr
    deps = [d[CrossInfo].objects for d in getattr(attributes, "deps", []) if CrossInfo in d]
    if CcInfo not in target or not hasattr(ctx.rule.files, "srcs"):
        return [CrossInfo(objects = depset(transitive = deps))]
    context = target[CcInfo].compilation_context
    sources = ctx.rule.files.srcs
    objects = _compile(
        ctx,
        ctx.attr.world,
        sources,
        depset([f for f in sources if _is_header(f)], transitive = [context.headers]),
        _includes(context),
        attributes.copts + ["-D" + d for d in attributes.local_defines],
    )
    return [CrossInfo(objects = depset(objects, transitive = deps))]

cross_aspect = aspect(
    implementation = _aspect_impl,
    attr_aspects = ["deps"],
    attrs = {
        "world": attr.string(values = WORLDS.keys()),
        "_libc_headers": _LIBC_HEADERS,
    },
)

def _objects(ctx):
    """Objects of a rule's own sources, and of all it depends on."""
    contexts = [d[CcInfo].compilation_context for d in ctx.attr.deps if CcInfo in d]
    headers = depset([f for f in ctx.files.srcs if _is_header(f)], transitive = [c.headers for c in contexts])
    includes = {flag: None for c in contexts for flag in _includes(c)}
    own = _compile(ctx, ctx.attr.world, ctx.files.srcs, headers, ["-iquote."] + includes.keys(), ctx.attr.copts)
    return depset(own, transitive = [d[CrossInfo].objects for d in ctx.attr.deps + ctx.attr.parts])

_ATTRS = {
    "copts": attr.string_list(),
    "deps": attr.label_list(aspects = [cross_aspect]),
    "parts": attr.label_list(providers = [CrossInfo]),
    "srcs": attr.label_list(allow_files = True),
    "world": attr.string(mandatory = True, values = WORLDS.keys()),
    "_libc_headers": _LIBC_HEADERS,
}

def _library_impl(ctx):
    return [CrossInfo(objects = _objects(ctx))]

_cross_library = rule(
    implementation = _library_impl,
    attrs = _ATTRS,
)

def cross_library(name, world, **kwargs):
    """Sources that only programs of one world have; nothing where has_world says no.

    Args:
      name: what a cross_binary has among its `parts`.
      world: a key of WORLDS.
      **kwargs: srcs, deps, parts, copts, as of cross_binary.
    """
    if has_world(world):
        _cross_library(name = name, world = world, **kwargs)

_SCRIPT = """#!/bin/sh
# usage: {name} [FILE]   (FILE: what the program may read)
elf="$0.elf"
{arguments}
exec {command} </dev/null
"""

# Semihosting's options are separated by commas, and so none may be in a name.
_ARGUMENTS = {
    True: """arguments=",arg=program"
for word in "$@"; do
  case "$word" in *,*) echo "{name}: no comma may be in $word" >&2; exit 2 ;; esac
  arguments="$arguments,arg=$word"
done""",
    False: "",
}

def _binary_impl(ctx):
    world = ctx.attr.world
    facts = WORLDS[world]
    objects = _objects(ctx).to_list()
    elf = ctx.actions.declare_file(ctx.label.name + ".elf")
    script = ctx.file.linker_script
    ctx.actions.run(
        executable = _compiler(world),
        arguments = facts.machine + _LINKOPTS + ctx.attr.linkopts +
                    (["-Wl,-T," + script.path] if script else []) +
                    ["-o", elf.path] + [o.path for o in objects] +
                    ([] if facts.compiler == "clang" else ["-lgcc"]),
        inputs = objects + ([script] if script else []),
        outputs = [elf],
        env = _environment(world),
        mnemonic = "CrossLink",
        progress_message = "Linking %s for %s" % (ctx.label.name, world),
    )

    start = ctx.actions.declare_file(ctx.label.name)
    command = [getattr(FOUND, facts.emulator)] if facts.emulator else []
    command.append(facts.run.format(
        arguments = "\"$arguments\"" if facts.semihosting else " \"$@\"",
        elf = "\"$elf\"",
    ))
    ctx.actions.write(start, _SCRIPT.format(
        arguments = _ARGUMENTS[facts.semihosting].format(name = ctx.label.name),
        command = " ".join(command),
        name = ctx.label.name,
    ), is_executable = True)
    return [DefaultInfo(
        executable = start,
        files = depset([start, elf]),
        runfiles = ctx.runfiles(files = [start, elf]),
    )]

_cross_binary = rule(
    implementation = _binary_impl,
    attrs = dict(
        _ATTRS,
        linker_script = attr.label(allow_single_file = True),
        linkopts = attr.string_list(),
    ),
    doc = "<name>.elf is the program; <name> a script that runs it, under an emulator if need be.",
    executable = True,
)

# Where a world's :start is, which begins its programs; and its :board.ld, if it has no kernel to load it.
_HOME = {
    "cortex_m3": ("//freestanding/cortex_m3", True),
    "linux_aarch64": ("//freestanding/linux", False),
    "linux_x86_64": ("//freestanding/linux", False),
    "riscv32": ("//freestanding/riscv32", True),
}

def cross_binary(name, world, parts = [], **kwargs):
    """A program (freestanding/world.h) for one world; nothing where has_world says no.

    Args:
      name: a script that runs the program <name>.elf. Its argument is the file that world_read reads.
      world: a key of WORLDS.
      parts: cross_library targets of that world.
      **kwargs: srcs, C files and headers of its own, one of which may define program_main; deps, cc_library
        targets, whose sources are compiled for that world, and those that they depend on; copts, linkopts,
        and what all rules have.
    """
    if not has_world(world):
        return
    home, board = _HOME[world]
    _cross_binary(
        name = name,
        linker_script = home + ":board.ld" if board else None,
        world = world,
        parts = parts + ["//freestanding:libc_" + world, "%s:start_%s" % (home, world)],
        **kwargs
    )

_TEST = """#!/bin/sh
# Runs a program, and demands its exit code and lines of its output.
output="${{TEST_TMPDIR:-/tmp}}/output"
{program} {arguments} >"$output"
code=$?
cat "$output"
if [ $code -ne {exit_code} ]; then
  echo "FAILED: exit code $code, not {exit_code}"
  exit 1
fi
failed=0
while IFS= read -r line; do
  tr -d '\\r' <"$output" | grep -qxF -e "$line" || {{ echo "FAILED: no line says: $line"; failed=1; }}
done <<'LINES'
{lines}
LINES
exit $failed
"""

def _test_impl(ctx):
    script = ctx.actions.declare_file(ctx.label.name)
    program = ctx.executable.program
    ctx.actions.write(script, _TEST.format(
        arguments = " ".join([f.short_path for f in ctx.files.pack]),
        exit_code = ctx.attr.exit_code,
        lines = "\n".join(ctx.attr.lines),
        program = "./" + program.short_path,
    ), is_executable = True)
    runfiles = ctx.runfiles(files = ctx.files.pack).merge(ctx.attr.program[DefaultInfo].default_runfiles)
    return [DefaultInfo(executable = script, runfiles = runfiles)]

_cross_test = rule(
    implementation = _test_impl,
    attrs = {
        "exit_code": attr.int(),
        "lines": attr.string_list(mandatory = True, allow_empty = False),
        "pack": attr.label(allow_single_file = True),
        "program": attr.label(cfg = "target", executable = True, mandatory = True),
    },
    test = True,
)

def cross_test(name, program, world, lines, size = "small", tags = [], **kwargs):
    """Runs a cross_binary and looks at what it says; skipped where has_world says no.

    Args:
      name: of the test.
      program: a cross_binary of that world.
      world: a key of WORLDS.
      lines: whole lines that its output must have.
      size: of the test.
      tags: of the test, to which the world is added.
      **kwargs: pack, a file for world_read, and exit_code, which is 0 unless told otherwise.
    """
    if not has_world(world):
        skipped_world_test(name = name, world = world, size = size, tags = tags + [world])
        return
    _cross_test(name = name, program = program, lines = lines, size = size, tags = tags + [world], **kwargs)
