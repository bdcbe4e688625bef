"""find_clang for MODULE.bazel (Bazel 7 and later)."""

load(":find_clang.bzl", "find_clang")

def _impl(_ctx):
    find_clang(name = "assay_clang")

clang = module_extension(implementation = _impl)
