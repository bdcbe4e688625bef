"""What Bazel makes of a collection: its library, and the driver that tests it."""

load("@rules_cc//cc:defs.bzl", "cc_library")

# Floor 1 is the same code in a kernel as under a fuzzer.
COLLECTION_COPTS = ["-ffreestanding"]

def collection(name, sources = None):
    """Describes one collection: collections/<name>.h, and the driver harness/drive_<name>.c.

    Args:
      name: a C identifier; the driver exports <name>_strategy (harness/collection.h).
      sources: its files in collections/; None: <name>.c. Each has a header of the same name.

    Returns:
      An element of COLLECTIONS.
    """
    sources = sources or [name + ".c"]
    return struct(
        name = name,
        sources = sources,
        library = "//collections:" + name,
        driver = "//harness:drive_" + name,  # its file is that and .c
        # What a C compiler is told to build it by hand, in the top folder.
        recipe = " ".join(["collections/" + s for s in sources]),
    )

def collection_libraries(collections):
    """One cc_library per collection, named like the collection.

    Args:
      collections: a list of collection().
    """
    for c in collections:
        cc_library(
            name = c.name + "_header",
            hdrs = [s[:-len(".c")] + ".h" for s in c.sources],
            visibility = ["//visibility:public"],
            deps = [":handle"],
        )
        cc_library(
            name = c.name,
            srcs = c.sources,
            copts = COLLECTION_COPTS,
            features = ["counters_only"],
            visibility = ["//visibility:public"],
            deps = [":%s_header" % c.name],
        )

        # Planted bugs are patched copies of these.
        native.exports_files(c.sources)

def collection_drivers(collections, deps):
    """One cc_library per collection: drive_<name>, with the collection.

    Args:
      collections: a list of collection().
      deps: what drivers are written on.
    """
    for c in collections:
        cc_library(
            name = "drive_" + c.name,
            srcs = ["drive_%s.c" % c.name],
            features = ["testbed"],
            visibility = ["//visibility:public"],
            deps = deps + [c.library],
        )
        native.exports_files(["drive_%s.c" % c.name])
