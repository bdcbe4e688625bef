"""Every strategy of the house: one line each, and all that is made of a strategy follows."""

load(":strategies.bzl", "adapter", "locked", "strategy")

STRATEGIES = [
    strategy("bump"),
    strategy("bump_atomic", threads = True),
    strategy("page_bump"),
    strategy("slab"),
    strategy("arena"),
    strategy("free_list"),
    strategy("boundary_tag"),
    strategy("buddy"),
    strategy("tlsf"),
    strategy("hardened"),
    locked("free_list"),
    strategy("mark_sweep"),
    strategy("mapped_heap"),
    adapter("system"),
    strategy("size_class", threads = True),
]
