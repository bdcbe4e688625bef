"""Finds the compilers on this machine: the newest usable clang, and AFL++'s if there is one.

The repository made here holds nothing but what was found (`found.bzl`); config.bzl turns it
into a toolchain. So the search runs once per Bazel server and the rest stays plain Starlark.
"""

load(":cross_tools.bzl", "CROSS_ENVIRONMENT", "find_cross_tools")

_OLDEST = 14
_NEWEST = 30

# A clang without these can compile, but not one sanitizer or fuzz target would link.
_RUNTIMES = ["asan", "fuzzer", "msan", "tsan", "ubsan_standalone"]

def _output(ctx, command, environment = {}):
    """The first line that a command prints, or None if it fails."""
    result = ctx.execute(command, environment = environment)
    lines = result.stdout.strip().splitlines()
    return lines[0] if result.return_code == 0 and lines else None

def _version_key(version):
    return [int(part) for part in version.split(".")[:3] if part.isdigit()]

def _missing_runtimes(ctx, resource_dir, cpu, runtimes = _RUNTIMES):
    missing = []
    for runtime in runtimes:
        # Debian's layout first, then LLVM's per-target layout.
        places = [
            "%s/lib/linux/libclang_rt.%s-%s.a" % (resource_dir, runtime, cpu),
            "%s/lib/%s-unknown-linux-gnu/libclang_rt.%s.a" % (resource_dir, cpu, runtime),
            "%s/lib/%s-pc-linux-gnu/libclang_rt.%s.a" % (resource_dir, cpu, runtime),
        ]
        if not [place for place in places if ctx.path(place).exists]:
            missing.append(runtime)
    return missing

def _inspect(ctx, name, cpu):
    """Returns (clang, reason): a struct for a usable clang, or why it is not usable."""
    path = ctx.which(name)
    if not path:
        return None, None
    version = _output(ctx, [path, "-dumpversion"])
    resource_dir = _output(ctx, [path, "-print-resource-dir"])
    if not version or not resource_dir:
        return None, "%s does not run" % path
    key = _version_key(version)
    if not key or key[0] < _OLDEST:
        return None, "%s is only %s" % (path, version)
    missing = _missing_runtimes(ctx, resource_dir, cpu)
    if missing:
        return None, "%s lacks the compiler-rt of %s" % (path, ", ".join(missing))
    return struct(path = str(path), version = version, key = key, resource_dir = resource_dir), None

def _tool(ctx, clang, name):
    """An LLVM tool of the same version as clang, or a path that says what is missing."""
    llvm = clang.resource_dir.rsplit("/lib/clang/", 1)[0]
    beside = "%s/bin/%s" % (llvm, name)
    if ctx.path(beside).exists:
        return beside
    return str(ctx.which("%s-%d" % (name, clang.key[0])) or ctx.which(name) or "/missing/" + name)

def _has_m32(ctx, clang, cpu):
    """Whether that clang makes 32-bit programs too: it needs a C library, C++'s for libFuzzer, and runtimes."""
    if cpu != "x86_64":
        return False
    for name in ["crt1.o", "crtbegin.o", "libstdc++.so"]:
        path = _output(ctx, [clang.path, "-m32", "-print-file-name=" + name])
        if not path or not path.startswith("/"):
            return False
    needed = [r for r in _RUNTIMES if r not in ["msan", "tsan"]]
    return not _missing_runtimes(ctx, clang.resource_dir, "i386", needed)

def _impl(ctx):
    cpu = _output(ctx, ["uname", "-m"])
    if cpu not in ["x86_64", "aarch64"]:
        fail("assay: no toolchain for a %s machine, only for x86_64 and aarch64" % cpu)

    best = None
    reasons = []
    for name in ["clang-%d" % n for n in range(_NEWEST, _OLDEST - 1, -1)] + ["clang"]:
        clang, reason = _inspect(ctx, name, cpu)
        if reason:
            reasons.append(reason)
        if clang and (not best or clang.key > best.key):
            best = clang
    if not best:
        fail("assay: no clang >= %d with its sanitizer and libFuzzer runtimes (%s): run ci/setup" %
             (_OLDEST, "; ".join(reasons) or "there is no clang at all"))

    # AFL++ brings its own clang: its headers must be declared too.
    afl = ctx.which("afl-clang-fast")
    afl_dir = afl and _output(ctx, [afl, "-print-resource-dir"], {"AFL_QUIET": "1"})

    # buildifier: disable=print
    print("assay: C toolchain is %s (%s)%s" % (
        best.path,
        best.version,
        "" if afl_dir else ", without AFL++ (run ci/setup for it)",
    ))
    cross, cross_versions = find_cross_tools(ctx)
    found = struct(
        afl = str(afl) if afl_dir else "missing",
        clang = best.path,
        cpu = cpu,
        cross_versions = cross_versions,
        include_dirs = [best.resource_dir] + ([afl_dir] if afl_dir else []),
        llvm_cov = _tool(ctx, best, "llvm-cov"),
        llvm_profdata = _tool(ctx, best, "llvm-profdata"),
        m32 = _has_m32(ctx, best, cpu),
        symbolizer = _tool(ctx, best, "llvm-symbolizer"),
        version = best.version,
        **cross
    )
    ctx.file("BUILD", "")
    ctx.file("found.bzl", "\"\"\"What find_clang found.\"\"\"\n\nFOUND = %r\n" % found)

find_clang = repository_rule(
    implementation = _impl,
    doc = "Makes @<name>//:found.bzl with the struct FOUND.",
    environ = ["PATH"] + CROSS_ENVIRONMENT,
    # Looks at the machine, so look again at every start of the Bazel server.
    local = True,
)
