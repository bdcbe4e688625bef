"""A C toolchain on the clang that find_clang found, with one feature per sanitizer and engine.

A binary is built for another purpose by switching features on, never by another toolchain:
see //bazel:variants.bzl.
"""

load("@assay_clang//:found.bzl", "FOUND")
load("@rules_cc//cc:action_names.bzl", "ACTION_NAMES")
load(
    "@rules_cc//cc:cc_toolchain_config_lib.bzl",
    "env_entry",
    "env_set",
    "feature",
    "flag_group",
    "flag_set",
    "tool_path",
    "with_feature_set",
)
load("@rules_cc//cc/common:cc_common.bzl", "cc_common")
load("@rules_cc//cc/toolchains:cc_toolchain_config_info.bzl", "CcToolchainConfigInfo")

_COMPILE = [
    ACTION_NAMES.assemble,
    ACTION_NAMES.preprocess_assemble,
    ACTION_NAMES.c_compile,
    ACTION_NAMES.cpp_compile,
    ACTION_NAMES.linkstamp_compile,
    ACTION_NAMES.cpp_header_parsing,
]
_LINK_EXE = [ACTION_NAMES.cpp_link_executable]
_LINK = _LINK_EXE + [
    ACTION_NAMES.cpp_link_dynamic_library,
    ACTION_NAMES.cpp_link_nodeps_dynamic_library,
]

_ENGINES = ["libfuzzer", "afl"]

def _flags(actions, flags, on = [], off = []):
    """Flags for some actions, if the features `on` are on and all of `off` are off."""
    conditions = [with_feature_set(features = on, not_features = off)] if on or off else []
    return flag_set(actions = actions, flag_groups = [flag_group(flags = flags)], with_features = conditions)

def _compiler(path, on = [], off = []):
    """Lets cc.sh run `path`."""
    return env_set(
        actions = _COMPILE + _LINK,
        env_entries = [
            env_entry(key = "ASSAY_CC", value = path),
            env_entry(key = "AFL_QUIET", value = "1"),
        ],
        with_features = [with_feature_set(features = on, not_features = off)],
    )

def _sanitizer(name, flags, provides = [], testbed_flags = [], all_code = False, replay_flags = []):
    """A feature that passes `flags` to compiler and linker alike.

    Targets with the feature `testbed` are compiled with `testbed_flags` instead in fuzzers, unless
    the sanitizer needs `all_code`. `replay_flags` are left out of fuzzers.
    """
    instrumented = [] if all_code else [
        with_feature_set(not_features = ["testbed"]),
        with_feature_set(features = ["testbed"], not_features = _ENGINES),
    ]
    return feature(
        name = name,
        flag_sets = [
            flag_set(
                actions = _COMPILE,
                flag_groups = [flag_group(flags = flags)],
                with_features = instrumented,
            ),
            _flags(_LINK, flags),
        ] + ([_flags(_COMPILE + _LINK, replay_flags, off = _ENGINES)] if replay_flags else []) + [
            _flags(_COMPILE, testbed_flags, on = ["testbed", engine])
            for engine in _ENGINES
            if testbed_flags
        ],
        # A fuzzer's worth is its speed, and a sanitizer at -O1 halves it.
        implies = ["optimize"],
        # Two features that provide the same string cannot be on together.
        provides = provides,
    )

def _default_flags():
    return feature(
        name = "default_flags",
        enabled = True,
        env_sets = [
            _compiler(FOUND.clang, off = ["afl"]),
            _compiler(FOUND.clang, on = ["afl", "testbed"]),
            _compiler(FOUND.afl, on = ["afl"], off = ["testbed"]),
        ],
        flag_sets = [
            # DWARF 4: Debian 12's valgrind 3.19 cannot read clang's DWARF 5.
            _flags(_COMPILE, ["-g", "-gdwarf-4", "-fno-omit-frame-pointer"]),
            _flags(_COMPILE, ["-O1"], on = ["fastbuild"], off = ["optimize"]),
            _flags(_COMPILE, ["-O0"], on = ["dbg"]),
            _flags(_COMPILE, ["-O2"], on = ["opt"], off = ["optimize"]),
            _flags([ACTION_NAMES.c_compile], [
                "-std=c17",
                "-Wall",
                "-Wextra",
                "-Wshadow",
                "-Wconversion",
                "-Werror",
            ]),
            # Reproducible objects: no absolute directory, no build date.
            _flags(_COMPILE, [
                "-Wno-builtin-macro-redefined",
                "-D__DATE__=\"redacted\"",
                "-D__TIME__=\"redacted\"",
                "-D__TIMESTAMP__=\"redacted\"",
                "-ffile-compilation-dir=.",
            ], off = ["afl"]),
            _flags(_LINK, ["-Wl,-z,relro,-z,now", "-lm"]),
        ],
    )

def _features():
    return [
        feature(name = "supports_pic", enabled = True),
        feature(name = "dbg"),
        feature(name = "opt"),
        feature(name = "fastbuild"),
        _default_flags(),
        # The other word size: half as many bits for addresses and sizes, and so other sums that wrap.
        # Files are as large as ever.
        feature(name = "m32", flag_sets = [
            _flags(_COMPILE + _LINK, ["-m32"]),
            _flags(_COMPILE, ["-D_FILE_OFFSET_BITS=64"]),
            # Headers of the kernel. Debian's gcc-multilib has them for both widths in a place that
            # compilers look in by themselves, but cannot be installed beside compilers for other machines.
            _flags(_COMPILE, ["-idirafter", "/usr/include/x86_64-linux-gnu"]),
        ]),
        # -O2 for one variant, whatever the compilation mode; -c dbg still means dbg.
        feature(name = "optimize", flag_sets = [_flags(_COMPILE, ["-O2"], off = ["dbg"])]),
        # What tests the allocators: not itself instrumented in fuzzers, where its coverage would
        # drown theirs, and its checks cost half of the executions.
        feature(name = "testbed"),
        feature(name = "counters_only"),
        # For drd, which sees no atomics: allocators/lock.h tells it what they order.
        feature(name = "order_hooks", flag_sets = [_flags(
            _COMPILE,
            ["-DALLOCATORS_ORDER_HOOKS=\"allocators/order_valgrind.h\""],
        )]),
        _sanitizer("asan", ["-fsanitize=address"], ["sanitizer"], ["-DBUILT_WITH_ASAN"]),
        # What uninstrumented code writes or passes on counts as uninitialised. Where a value comes
        # from, a replay tells: a fuzzer that knew would be half as fast.
        _sanitizer(
            "msan",
            ["-fsanitize=memory"],
            ["sanitizer"],
            all_code = True,
            replay_flags = ["-fsanitize-memory-track-origins"],
        ),
        # It must see how the testbed hands blocks from thread to thread, or calls that races.
        _sanitizer("tsan", ["-fsanitize=thread"], ["sanitizer"], all_code = True),
        _sanitizer("ubsan", ["-fsanitize=undefined", "-fno-sanitize-recover=undefined"]),
        # Instruments every library; a target with the `fuzz_target` feature gets libFuzzer's
        # main() as well.
        feature(
            name = "libfuzzer",
            flag_sets = [
                _flags(_COMPILE, ["-fsanitize=fuzzer-no-link"], off = ["testbed"]),
                # Comparisons guide mutations of bytes. Where programs are mutated as such, watching
                # them only costs time.
                _flags(
                    _COMPILE,
                    ["-fno-sanitize-coverage=trace-cmp,indirect-calls,stack-depth"],
                    on = ["counters_only"],
                    off = ["testbed"],
                ),
                _flags(_COMPILE, ["-DENGINE_LIBFUZZER"]),
            ],
            implies = ["optimize"],
            provides = ["engine"],
        ),
        feature(
            name = "fuzz_target",
            flag_sets = [_flags(_LINK_EXE, ["-fsanitize=fuzzer"], on = ["libfuzzer"])],
        ),
        # AFL++ replaces the compiler, not just flags: see _compiler.
        feature(
            name = "afl",
            flag_sets = [_flags(_COMPILE, ["-DENGINE_AFL"])],
            implies = ["optimize"],
            provides = ["engine"],
        ),
        # Which lines of the allocators run. Counted where a process that is killed leaves them: the
        # counters can be mapped from a file (LLVM_PROFILE_FILE with %c).
        feature(
            name = "line_coverage",
            flag_sets = [
                _flags(_COMPILE, [
                    "-fprofile-instr-generate",
                    "-fcoverage-mapping",
                    "-mllvm",
                    "-runtime-counter-relocation",
                ], off = ["testbed"]),
                _flags(_LINK, ["-fprofile-instr-generate"]),
            ],
            provides = ["profile"],
        ),
        feature(
            name = "coverage",
            # AFL++'s clang writes profiles that another version's llvm-profdata rejects.
            flag_sets = [
                _flags(_COMPILE, ["-fprofile-instr-generate", "-fcoverage-mapping"], off = ["afl"]),
                _flags(_LINK, ["-fprofile-instr-generate"], off = ["afl"]),
            ],
            provides = ["profile"],
        ),
    ]

def _impl(ctx):
    tools = {
        "ar": "/usr/bin/ar",
        "cpp": "/usr/bin/cpp",
        "dwp": "/usr/bin/dwp",
        "gcc": "cc.sh",
        "gcov": FOUND.llvm_profdata,
        "ld": "/usr/bin/ld",
        "llvm-cov": FOUND.llvm_cov,
        "llvm-profdata": FOUND.llvm_profdata,
        "nm": "/usr/bin/nm",
        "objcopy": "/usr/bin/objcopy",
        "objdump": "/usr/bin/objdump",
        "strip": "/usr/bin/strip",
    }
    return cc_common.create_cc_toolchain_config_info(
        ctx = ctx,
        abi_libc_version = "local",
        abi_version = "local",
        compiler = "clang",
        cxx_builtin_include_directories = [
            "/usr/include",
            "/usr/local/include",
        ] + FOUND.include_dirs,
        features = _features(),
        host_system_name = "local",
        target_cpu = "k8" if FOUND.cpu == "x86_64" else FOUND.cpu,
        target_libc = "glibc",
        target_system_name = "local",
        tool_paths = [tool_path(name = name, path = path) for name, path in tools.items()],
        toolchain_identifier = "assay-clang-" + FOUND.version,
    )

clang_toolchain_config = rule(
    implementation = _impl,
    provides = [CcToolchainConfigInfo],
)
