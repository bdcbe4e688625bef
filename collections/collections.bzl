"""What Bazel makes of a collection: its library, and the driver that tests it."""

load("@rules_cc//cc:defs.bzl", "cc_library")

# Floor 1 is the same code in a kernel as under a fuzzer.
COLLECTION_COPTS = ["-ffreestanding"]

def collection(name, parts = []):
    """Describes one collection: collections/<name>.{h,c}, and the driver harness/drive_<name>.c.

    Args:
      name: a C identifier; the driver exports <name>_strategy (harness/collection.h).
      parts: of collections/, further libraries that are tested with it: each of one C file and one
        header of the library's name.

    Returns:
      An element of COLLECTIONS.
    """
    sources = [part + ".c" for part in parts + [name]]
    return struct(
        name = name,
        parts = parts,
        sources = sources,
        library = "//collections:" + name,
        driver = "//harness:drive_" + name,
        # What a C compiler is told to build it by hand, in the top folder.
        recipe = " ".join(["collections/" + s for s in sources]),
    )

def collection_libraries(collections, deps):
    """Of each collection one cc_library, named like the collection, and what plants need of it.

    Args:
      collections: a list of collection().
      deps: what headers of collections include.
    """
    for c in collections:
        cc_library(
            name = c.name,
            srcs = [c.name + ".c"],
            hdrs = [c.name + ".h"],
            copts = COLLECTION_COPTS,
            features = ["counters_only"],
            visibility = ["//visibility:public"],
            deps = deps + [":" + part for part in c.parts],
        )

        # Planted bugs are patched copies, and share the headers alone.
        cc_library(
            name = c.name + "_headers",
            hdrs = [part + ".h" for part in c.parts + [c.name]],
            visibility = ["//visibility:public"],
            deps = deps,
        )
    native.exports_files({source: None for c in collections for source in c.sources}.keys())

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
