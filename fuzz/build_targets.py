#!/usr/bin/env python3
"""Builds every fuzz target without Bazel, as OSS-Fuzz and ClusterFuzzLite ask for it.

The compiler, its flags and the engine come from the environment alone:

  CC CFLAGS              for C; CFLAGS carries the sanitizer's and the engine's flags
  CXX CXXFLAGS           for linking
  LIB_FUZZING_ENGINE     what to link with: an archive, or an option such as -fsanitize=fuzzer
  FUZZING_ENGINE         libfuzzer, afl ...; `none`: no engine, the targets replay files
  SANITIZER              address, memory, undefined, coverage ... (only where more than flags differs)
  OUT                    where the targets go
  WORK                   for objects; a temporary folder if it is not set

https://google.github.io/oss-fuzz/getting-started/new-project-guide/#buildsh

Strategies come from allocators/registry.bzl, collections from collections/registry.bzl, and everything
else from what lies in the folders, so that a new one needs no line here. Each target <x> is one file, with
<x>_seed_corpus.zip, <x>.options and <x>.dict beside it.
"""
import argparse
import concurrent.futures
import fnmatch
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import types
import zipfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# No part of any target: mains of other programs, tests, and what Bazel builds apart from the rest.
_LEFT_OUT = ["*_test.c", "*_fuzz.c", "*_preload.c", "assay_*.c", "mutator_afl.c", "bug_benchmark.c",
             "foreign_probe.c", "drive_*.c",
             "import_inflate.c", "import_zip.c", "import_zstd.c", "import_unpackers.c"]

# The testbed's parsers are fuzzed as well, and so they are covered: //harness:program and :import.
_PARSED = ["harness/file.c", "harness/import*.c", "harness/program*.c", "harness/record_*.c",
           "harness/trace_build.c"]

# Of collections, the part that no collection needs, and that has a target of its own.
_PRINT = "collections/print.c"

# What nothing refers to, or only weakly: linked whole, not from the archive.
_PROGRAM_PARTS = ["fuzz/target.c"]
_MUTATOR = "fuzz/mutator_libfuzzer.c"
_MAIN = "fuzz/replay_main.c"

# As //harness says: overlapping copies are caught at the call.
_LINK = ["-Wl,--wrap=memcpy", "-Wl,--undefined=__wrap_memcpy", "-pthread", "-lm"]

# Of strategies libFuzzer counts edges only, as with Bazel's feature counters_only: what mutates
# programs has no use for the comparisons that are watched for byte mutations.
_COUNTERS_ONLY = ["-fno-sanitize-coverage=trace-cmp,indirect-calls,stack-depth"]

# What tests the allocators is not to be covered itself: its edges would drown theirs. The
# sanitizer stays on in it, since MSan is wrong where only half of a program has it.
_UNCOVERED = ["-fno-sanitize-coverage=inline-8bit-counters,pc-table,trace-cmp,indirect-calls,"
              "stack-depth"]

_OPTIONS = """\
[libfuzzer]
max_len = 65536
timeout = 10

[asan]
allocator_may_return_null = 1

[msan]
allocator_may_return_null = 1
"""


class CannotBuild(Exception):
    """One line that says why, or a compiler's own words."""


def _read_registry(folder, name):
    """A list of <folder>/registry.bzl. Starlark is Python as far as these files go."""
    def run(leaf, scope):
        path = os.path.join(ROOT, folder, leaf)
        with open(path, encoding="utf-8") as file:
            code = compile(file.read(), path, "exec")
        exec(code, scope)  # pylint: disable=exec-used
        return scope

    def load(label, *names):
        """Only what stands in the same folder is used while strategies are described."""
        if label.startswith(":"):
            loaded = run(label[1:], {"load": load, "struct": types.SimpleNamespace})
            scope.update({name: loaded[name] for name in names})

    scope = {"load": load, "struct": types.SimpleNamespace}
    try:
        return run("registry.bzl", scope)[name]
    except (OSError, KeyError, NameError, TypeError) as error:
        raise CannotBuild("%s/registry.bzl: %s" % (folder, error)) from error


def read_strategies():
    """STRATEGIES of allocators/registry.bzl."""
    return _read_registry("allocators", "STRATEGIES")


def read_collections():
    """COLLECTIONS of collections/registry.bzl."""
    return _read_registry("collections", "COLLECTIONS")


def sources(folder, *patterns):
    """C files of a folder, from the top, in a fixed order."""
    return ["%s/%s" % (folder, name) for name in sorted(os.listdir(os.path.join(ROOT, folder)))
            if any(fnmatch.fnmatch(name, pattern) for pattern in patterns) and
            not any(fnmatch.fnmatch(name, pattern) for pattern in _LEFT_OUT)]


def seeds(*folders):
    """Paths of the inputs in these folders of corpus/."""
    return sorted(os.path.join(folder, name)
                  for folder, _, files in os.walk(os.path.join(ROOT, "corpus")) for name in files
                  if os.path.basename(folder) in folders)


def words(name, default=""):
    return shlex.split(os.environ.get(name, default))


class Build:
    """One build: objects in `work`, targets in `out`."""

    def __init__(self, out, work):
        self._out, self._work = out, work
        self._engine = os.environ.get("FUZZING_ENGINE", "libfuzzer")
        self._coverage = os.environ.get("SANITIZER") == "coverage"
        self._cc = words("CC", "clang")
        self._objects = {}      # key: path
        self._pool = concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0)))

    def _run(self, command, env=None):
        result = subprocess.run(command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        if result.returncode != 0:
            raise CannotBuild("%s\n%s" % (shlex.join(command),
                                          result.stdout.decode(errors="replace").strip()))

    def _compile(self, source, flags, testbed=False, name=None):
        """The object of a source, compiled in the background: a future."""
        name = name or source[:-len(".c")].replace("/", "-")
        target = os.path.join(self._work, name + ".o")
        command = self._cc + ["-std=c17", "-I."] + words("CFLAGS") + flags
        env = None
        if testbed and self._engine == "libfuzzer" and not self._coverage:
            command += _UNCOVERED
        if testbed and self._engine == "afl":
            env = dict(os.environ, AFL_LLVM_DENYLIST=self._nothing)
        command += ["-c", source, "-o", target]

        def work():
            self._run(command, env)
            return target
        return self._pool.submit(work)

    def _strategies(self, strategies):
        """{name: (objects of its own and of those that it is built on, linker options)}."""
        futures = {}
        for s in strategies:
            foreign = [label for label in s.deps if label not in
                       ["//allocators:" + inner for inner in s.inner]]
            if foreign:
                raise CannotBuild("strategy %s needs %s: teach fuzz/build_targets.py to build that" %
                                  (s.name, " ".join(foreign)))
            flags = (["-ffreestanding"] if s.freestanding else []) + ["-D" + d for d in s.defines]
            if self._engine == "libfuzzer" and not self._coverage:
                flags += _COUNTERS_ONLY
            futures[s.name] = self._compile("allocators/" + s.source, flags, name="s-" + s.name)
        known = {s.name: s for s in strategies}

        def closure(name):
            names = [name]
            for inner in known[name].inner:
                names += [n for n in closure(inner) if n not in names]
            return names
        return {s.name: ([futures[n] for n in closure(s.name)],
                         [o for n in closure(s.name) for o in known[n].linkopts])
                for s in strategies}

    def _collections(self, collections):
        """{name: objects of its own and of its driver}."""
        flags = ["-ffreestanding"]
        if self._engine == "libfuzzer" and not self._coverage:
            flags += _COUNTERS_ONLY
        return {c.name: [self._compile("collections/" + source, flags) for source in c.sources] +
                [self._compile("harness/drive_%s.c" % c.name, ["-D_GNU_SOURCE="], testbed=True)]
                for c in collections}

    def _registry(self, name, strategies, beneath=()):
        """The object that defines registry[] with these strategies or collections."""
        table = os.path.join(self._work, name + "_table.c")
        command = [sys.executable, "allocators/generate_registry.py", "--output", table]
        for option, named in (("--strategy", strategies), ("--beneath", beneath)):
            for s in named:
                command += [option, s.name, ""]
        self._run(command)
        return self._compile(table, [], testbed=True, name=name + "_table")

    def _archive(self, objects):
        path = os.path.join(self._work, "libtestbed.a")
        if os.path.exists(path):
            os.unlink(path)
        ar = "llvm-ar" if shutil.which("llvm-ar") else "ar"
        self._run([os.environ.get("AR", ar), "rcs", path] + [o.result() for o in objects])
        return path

    def _link(self, name, objects, archive, options):
        objects = [o.result() for o in objects]
        engine = [] if self._engine == "none" else words("LIB_FUZZING_ENGINE", "-fsanitize=fuzzer")
        # The archive once more behind the engine: its main() asks for the target's functions.
        self._run(words("CXX", "clang++") + words("CXXFLAGS") + words("LDFLAGS") + objects + [archive] +
                  engine + [archive] + _LINK + options + ["-o", os.path.join(self._out, name)])

    def _beside(self, name, inputs):
        """What belongs to a target, named after it."""
        with zipfile.ZipFile(os.path.join(self._out, name + "_seed_corpus.zip"), "w",
                             zipfile.ZIP_DEFLATED) as corpus:
            for path in inputs:
                # The date that ZIP files begin with, so that the same seeds give the same file.
                with open(path, "rb") as file:
                    corpus.writestr(zipfile.ZipInfo(os.path.basename(path)), file.read())
        with open(os.path.join(self._out, name + ".options"), "w", encoding="utf-8") as file:
            file.write(_OPTIONS)
        folder = os.path.join(ROOT, "fuzz", "dictionaries")
        own = os.path.join(folder, name + ".dict")
        shutil.copyfile(own if os.path.exists(own) else os.path.join(folder, "program.dict"),
                        os.path.join(self._out, name + ".dict"))

    def run(self, wanted):
        """Builds the targets `wanted`, or all; returns their names."""
        self._nothing = os.path.join(self._work, "uninstrumented.txt")
        with open(self._nothing, "w", encoding="utf-8") as file:
            file.write("src: *\n")
        strategies, collections = read_strategies(), read_collections()
        # What collections are tested over.
        beneath = [s for s in strategies if s.freestanding]
        others = [name[:-len("_fuzz.c")] for name in sorted(os.listdir(os.path.join(ROOT, "fuzz")))
                  if name.endswith("_fuzz.c")]
        names = [s.name for s in strategies + collections] + others
        unknown = [name for name in wanted if name not in names]
        if unknown:
            raise CannotBuild("no fuzz target '%s'; there is: %s" % (unknown[0], " ".join(names)))
        wanted = wanted or names
        driven = [c for c in collections if c.name in wanted]
        needed = strategies if "differential" in wanted else [
            s for s in strategies if driven and s in beneath or
            any(s.name in [w] + getattr(k, "inner", [])
                for w in wanted for k in strategies if k.name == w)]

        built = self._strategies(needed)
        built_collections = self._collections(driven)
        hosted = ["-D_GNU_SOURCE="]
        support = [self._compile(s, hosted, testbed=not any(fnmatch.fnmatch(s, p) for p in _PARSED))
                   for s in sources("harness", "*.c")]
        support += [self._compile(s, [], testbed=True)
                    for s in sources("allocators", "source_*.c", "registry.c") + sources("fuzz", "*.c")
                    if s not in _PROGRAM_PARTS + [_MUTATOR, _MAIN]]
        support.append(self._compile(_PRINT, ["-ffreestanding"]))
        parts = [self._compile(s, [], testbed=True) for s in _PROGRAM_PARTS]
        engine = []
        if self._engine == "none":
            engine.append(self._compile(_MAIN, [], testbed=True))
        # Other engines' drivers bring no LLVMFuzzerMutate for it, and would not call it.
        mutator = [self._compile(_MUTATOR, [], testbed=True)] if self._engine == "libfuzzer" else []

        plans = {}      # name: objects, linker options
        for s in needed:
            if s.name in wanted:
                objects, options = built[s.name]
                plans[s.name] = (parts + mutator + [self._registry(s.name, [s])] + objects, options)
        for c in driven:
            objects = [o for s in beneath for o in built[s.name][0]]
            options = [o for s in beneath for o in built[s.name][1]]
            plans[c.name] = (parts + mutator + [self._registry(c.name, [c], beneath)] +
                             built_collections[c.name] + list(dict.fromkeys(objects)), options)
        for name in others:
            if name not in wanted:
                continue
            # A parser is what is to be covered; the differential target, as the testbed, is not.
            compared = name == "differential"
            objects = [self._compile("fuzz/%s_fuzz.c" % name, [], testbed=compared)]
            options = []
            if compared:
                objects += mutator + [self._registry(name, strategies)]
                objects += list(dict.fromkeys(o for s in strategies for o in built[s.name][0]))
                options = [o for s in strategies for o in built[s.name][1]]
            plans[name] = (objects, options)
        archive = self._archive(support)
        links = [self._pool.submit(self._link, name, engine + objects, archive, options)
                 for name, (objects, options) in plans.items()]
        for link in links:
            link.result()
        for name in plans:
            of_collections = name in built_collections
            self._beside(name, seeds("collections" if of_collections else "seeds", "regression"))
        return list(plans)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="only these (all)")
    parser.add_argument("--list", action="store_true", help="print the strategies, and end")
    options = parser.parse_args()
    try:
        if options.list:
            print("\n".join(s.name for s in read_strategies() + read_collections()))
            return 0
        out = os.environ.get("OUT")
        if not out:
            raise CannotBuild("OUT is not set: say where the targets go")
        os.makedirs(out, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=os.environ.get("WORK")) as work:
            built = Build(os.path.abspath(out), work).run(options.targets)
    except (CannotBuild, OSError) as error:
        print("fuzz/build_targets.py: %s" % error, file=sys.stderr)
        return 1
    print("%d fuzz targets in %s: %s" % (len(built), out, " ".join(built)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
