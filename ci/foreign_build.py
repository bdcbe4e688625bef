"""Builds programs of the testbed around an allocator that somebody brings: ci/check without Bazel's wait.

Bazel makes the kit (//fuzz:kit): objects with everything but the allocator. Here the user's sources are
compiled, made one object whose state can be restored, and linked with the kit, an adapter, the tiers and
a registry of these, into a folder that is laid out like bazel-bin. All of it in parallel, and nothing
twice: what was compiled once from the same text is taken from a cache.
"""
import concurrent.futures
import contextlib
import dataclasses
import fcntl
import glob
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import typing

from ci import elf_file, workbench
from ci.workbench import CannotRun, shown

ROOT = workbench.ROOT

# Of adapters, and of what they are linked with.
FOLDER = os.path.join(ROOT, "allocators", "foreign")
PRISTINE = os.path.join(FOLDER, "pristine.c")
TIER_SOURCES = [os.path.join(FOLDER, "tiers.c"), PRISTINE]

# All that there may be (allocators/foreign/tiers.c).
TIERS = ("core", "resize", "reinit", "exhaustion", "huge", "edge")

# In the folder of a build: what it was made of, and the allocator's plain object.
RECIPE, OBJECT = "check.json", "allocator.o"

ADDRESS, PLAIN = VARIANTS = ("address", "plain")

# What makes code of that many bits. Headers of the kernel lie where only compilers for 64 bits look, unless
# gcc-multilib is there, which cannot be installed beside compilers for other machines.
WIDTHS = {64: ["-m64"], 32: ["-m32", "-idirafter", "/usr/include/x86_64-linux-gnu"]}

# What the programs are made of: the kit's object, and the variant of the allocator.
PROGRAMS = {
    "fuzz/foreign_libfuzzer.elf": ("libfuzzer", ADDRESS),
    "fuzz/foreign_plain_libfuzzer.elf": ("plain_libfuzzer", PLAIN),
    "assay.elf": ("optimized", PLAIN),
    "assay_asan.elf": ("asan", ADDRESS),
}

# What stands for those with ASan where an allocator cannot be run with it.
_UNGUARDED = {"fuzz/foreign_libfuzzer.elf": "fuzz/foreign_plain_libfuzzer.elf", "assay_asan.elf": "assay.elf"}

# UBSan for what goes wrong, not for what every allocator does with addresses. The offset of a member is
# often told by an address in no object at all; whoever accesses that dies anyway.
_UNDEFINED = ["-fsanitize=undefined", "-fno-sanitize-recover=undefined",
              "-fno-sanitize=alignment,null,object-size,pointer-overflow,shift-base,function,"
              "nonnull-attribute,returns-nonnull-attribute"]
_SANITIZE = {ADDRESS: ["-fsanitize=address"] + _UNDEFINED, PLAIN: []}

# Coverage as of the strategies of the house: edges only, since programs are mutated and not bytes.
_COVERAGE = ["-fsanitize=fuzzer-no-link", "-fno-sanitize-coverage=trace-cmp,indirect-calls,stack-depth"]

# No call of the allocator is replaced by what a compiler knows of C's functions: copies are judged at
# the call, and an allocator that is named malloc is no malloc to optimise with.
_FOREIGN = ["-O1", "-g", "-gdwarf-4", "-fno-omit-frame-pointer", "-fno-builtin", "-fno-strict-aliasing",
            "-fno-delete-null-pointer-checks"]

_OURS = ["-std=c17", "-O2", "-g", "-gdwarf-4", "-fno-omit-frame-pointer", "-D_GNU_SOURCE=", "-I" + ROOT]

# Sections whose bytes are the allocator's state; they get names that a linker marks begin and end of.
_STATE = ((re.compile(r"\.l?data(\..+)?"), "foreign_data"), (re.compile(r"\.l?bss(\..+)?"), "foreign_bss"))

# Cached objects that were not used for longest go when there are more.
_CACHED = 400

# Seconds: a compiler that takes longer for a file has met something that it cannot deal with.
_PATIENCE = 120


class BuildFailed(CannotRun):
    """A tool refused. `said` is what it printed."""

    def __init__(self, message, said=""):
        super().__init__(message)
        self.said = said

    @property
    def missing(self):
        """The names that a linker did not find."""
        return undefined(self.said)


def run_tool(command, message):
    """Runs a compiler or linker; returns what it printed."""
    try:
        result = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, timeout=_PATIENCE, check=False,
                                env=dict(os.environ, LC_ALL="C"))
    except OSError as error:
        raise CannotRun("%s: %s: run ci/setup" % (command[0], error.strerror)) from error
    except subprocess.TimeoutExpired as error:
        raise BuildFailed("%s: gave up after %d s" % (message, _PATIENCE)) from error
    said = result.stdout.decode(errors="replace")
    if result.returncode != 0:
        raise BuildFailed(message, said)
    return said


# ## The kit

def _kit_sources():
    """All that the kit is made of, as (path, size, time)."""
    for pattern in ("allocators/*.[ch]", "allocators/*.bzl", "allocators/BUILD", "collections/*.h",
                    "harness/*", "fuzz/*.[ch]", "fuzz/*.bzl", "fuzz/BUILD", "bazel/**", "WORKSPACE", ".bazelrc*"):
        for path in glob.glob(os.path.join(glob.escape(ROOT), pattern), recursive=True):
            status = os.stat(path)
            yield path, status.st_size, status.st_mtime_ns


class Kit:
    """The objects to link with, for one width."""

    def __init__(self, folder, bits=64):
        self._folder = folder
        self._infix = "" if bits == 64 else "m32_"
        self.bits = bits

    def _path(self, name):
        path = os.path.join(self._folder, name)
        if not os.path.exists(path):
            raise CannotRun("%s is not there: the build did not make it" % shown(path))
        return path

    @property
    def compiler(self):
        with open(self._path("kit.compiler"), encoding="utf-8") as file:
            return file.read().strip()

    def object(self, variant):
        return self._path("kit_%s%s.o" % (self._infix, variant))

    def options(self, variant):
        with open(self._path("kit_%s%s.options" % (self._infix, variant)), encoding="utf-8") as file:
            return file.read().split()

    @property
    def available(self):
        return os.path.exists(os.path.join(self._folder, "kit_%sasan.o" % self._infix))


class Kits:
    """Kits of either width, made when they are asked for; `folder`: where all lie already."""

    def __init__(self, cache, folder="", say=lambda line: None):
        self._cache, self._folder, self._say = cache, folder, say

    def get(self, bits):
        """None if there is none of that width."""
        kit = Kit(self._folder or _kit_folder(self._cache, bits, self._say), bits)
        return kit if kit.available else None


def _kit_folder(cache, bits, say):
    """The folder of a kit that is as the sources are now. Bazel is asked only if these have changed."""
    wanted = hashlib.sha256(repr(sorted(_kit_sources())).encode()).hexdigest()[:16]
    folder = os.path.join(cache, "kit" if bits == 64 else "kit_m32")
    os.makedirs(folder, exist_ok=True)
    with _claimed(os.path.join(folder, "lock")):
        stamp = os.path.join(folder, "stamp")
        with contextlib.suppress(OSError), open(stamp, encoding="utf-8") as file:
            if file.read() == wanted and os.path.exists(os.path.join(folder, wanted, "kit.compiler")):
                return os.path.join(folder, wanted)
        workbench.set_up()
        say("building the testbed for %d bits (from nothing this takes a minute)" % bits)
        bench = workbench.Workbench()
        bench.build(["//fuzz:" + os.path.basename(folder)])
        new = os.path.join(folder, wanted)
        shutil.rmtree(new, ignore_errors=True)
        os.makedirs(new)
        made = os.path.dirname(bench.program("fuzz/kit.compiler"))
        for name in os.listdir(made):
            if name.startswith("kit_m32_") != (bits == 32) and name != "kit.compiler":
                continue
            if name.startswith("kit_") and name.endswith((".o", ".options")) or name == "kit.compiler":
                shutil.copy(os.path.join(made, name), new)
                os.chmod(os.path.join(new, name), 0o644)
        with open(stamp, "w", encoding="utf-8") as file:
            file.write(wanted)
        for name in os.listdir(folder):
            if name not in (wanted, "stamp", "lock"):
                shutil.rmtree(os.path.join(folder, name), ignore_errors=True)
        return new


@contextlib.contextmanager
def _claimed(path):
    """Of several processes one at a time."""
    with open(path, "w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


# ## What is built

@dataclasses.dataclass
class Foreign:
    """An allocator that somebody brings, as far as it is understood; of foreign_mm and its like."""
    api: str                                  # mm, malloc or heap
    adapter: typing.List[str]                 # C sources
    objects: typing.Dict[str, str] = dataclasses.field(default_factory=dict)      # by variant
    defines: typing.List[str] = dataclasses.field(default_factory=list)           # FOREIGN_...
    link: typing.List[str] = dataclasses.field(default_factory=list)              # further options
    tiers: typing.List[str] = dataclasses.field(default_factory=list)
    left_out: typing.Dict[str, str] = dataclasses.field(default_factory=dict)     # tier: why
    notes: typing.List[str] = dataclasses.field(default_factory=list)             # how it was built
    bits: int = 64
    includes: typing.List[str] = dataclasses.field(default_factory=list)          # for the adapter
    flags: typing.List[str] = dataclasses.field(default_factory=list)             # for the sources
    sources: typing.List[str] = dataclasses.field(default_factory=list)
    functions: typing.Dict[str, str] = dataclasses.field(default_factory=dict)    # by slot of the vtable
    renamed: bool = False                     # the object has other names than the sources
    fixed: bool = False                       # it runs at one address only, where ASan has no room
    forked: str = ""                          # why each program needs a process of its own
    builder: typing.Optional["Builder"] = None    # of its width


class Builder:
    """Compiles and links for one allocator, in `folder`; `cache` may be shared with others."""

    def __init__(self, folder, cache, kits, bits=64, workers=None):
        self.folder = folder
        self.kit = kits.get(bits)
        if not self.kit:
            raise CannotRun("there is no kit for %d bits: ci/setup installs what it needs" % bits)
        kit, self._kits = self.kit, kits
        self._cache = os.path.join(cache, "objects")
        self.compiler = kit.compiler
        os.makedirs(self._cache, exist_ok=True)
        os.makedirs(folder, exist_ok=True)
        self.pool = concurrent.futures.ThreadPoolExecutor(
            workers or len(os.sched_getaffinity(0)))
        self._width = WIDTHS[self.kit.bits]

    def close(self):
        self.pool.shutdown(cancel_futures=True)

    def at(self, bits):
        """The same for another width; None if there is no kit for it."""
        try:
            return Builder(self.folder, os.path.dirname(self._cache), self._kits, bits)
        except CannotRun:
            return None

    # The user's sources.

    def compile(self, source, variant, flags):
        """Compiles one of the user's files. Returns (object, what the compiler said)."""
        name = hashlib.sha256(repr((source, variant, flags, self.kit.bits)).encode()).hexdigest()[:12]
        target = os.path.join(self.folder, "foreign-%s.o" % name)
        said = run_tool(
            [self.compiler, *self._width, *_FOREIGN, *_SANITIZE[variant], *_COVERAGE, *flags, "-c",
             os.path.abspath(source), "-o", target],
            "%s does not compile" % shown(source))
        return target, said

    def one_object(self, objects, variant):
        """All of the user's objects as one, common symbols allocated, so that its state is in sections."""
        target = os.path.join(self.folder, "whole-%s-%d.o" % (variant, self.kit.bits))
        run_tool(["ld", "-m", "elf_x86_64" if self.kit.bits == 64 else "elf_i386", "-r", "-d", "-o", target,
                  *objects], "the sources do not fit together")
        return target

    def finish(self, whole, variant, rename, keep):
        """The object to link with: its state in sections of their own, symbols renamed as in
        {old: new}, and none of its names in the way of the testbed's but those that are to be kept."""
        file = elf_file.ElfFile(whole)
        options = []
        for name in dict.fromkeys(section.name for section in file.sections if section.writable):
            for pattern, new in _STATE:
                if pattern.fullmatch(name) and not name.startswith((".data.rel.ro", ".ldata.rel.ro")):
                    options += ["--rename-section", "%s=%s" % (name, new)]
        for old, new in rename.items():
            options += ["--redefine-sym", "%s=%s" % (old, new)]
        for name in keep:
            options += ["--keep-global-symbol", name]
        target = os.path.join(self.folder, "allocator-%s-%d.o" % (variant, self.kit.bits))
        run_tool(["objcopy", *options, whole, target], "objcopy failed")
        return target

    # Our own.

    def _ours(self, source, variant, flags):
        """The object of a source of ours, from the cache if it was made of the same text before."""
        command = [self.compiler, *self._width, *_OURS,
                   *(["-DBUILT_WITH_ASAN"] if variant == ADDRESS else []), *flags]
        digest = hashlib.sha256(repr(command).encode())
        folder = os.path.join(ROOT, "allocators")
        for path in [source] + sorted(glob.glob(os.path.join(glob.escape(folder), "*.h")) + glob.glob(
                os.path.join(glob.escape(folder), "foreign", "**", "*.h"), recursive=True)):
            with open(path, "rb") as file:
                digest.update(path.encode() + b"\0" + file.read())
        target = os.path.join(self._cache, digest.hexdigest()[:24] + ".o")
        if os.path.exists(target):
            os.utime(target)
            return target
        temporary = "%s.%d.%d.tmp" % (target, os.getpid(), id(source))
        run_tool([*command, "-c", source, "-o", temporary], "%s does not compile" % shown(source))
        os.replace(temporary, target)
        return target

    def ours(self, sources, variant, flags):
        """Futures of their objects."""
        return [self.pool.submit(self._ours, source, variant, flags) for source in sources]

    def _flags(self, foreign):
        return ["-D" + define for define in foreign.defines] + ["-I" + i for i in foreign.includes]

    def registry(self, tiers, recipe):
        """The source of a registry of the tiers."""
        table = os.path.join(self.folder, "registry_table.c")
        command = [sys.executable, os.path.join(ROOT, "allocators", "generate_registry.py"), "--output",
                   table]
        for tier in tiers:
            command += ["--strategy", tier, recipe]
        run_tool(command, "the registry could not be written")
        return table

    def link(self, foreign, programs=None, recipe=""):
        """Makes the programs, all or those named, below the folder."""
        made_of = {name: PROGRAMS[_UNGUARDED.get(name, name) if foreign.fixed else name]
                   for name in programs or PROGRAMS}
        flags = self._flags(foreign)
        table = self.registry(foreign.tiers, recipe)
        ours = {variant: self.ours([*foreign.adapter, *TIER_SOURCES, table], variant, flags)
                for variant in {variant for _, variant in made_of.values()}}
        links = [self.pool.submit(self._link, name, kit, variant, foreign, [o.result() for o in ours[variant]])
                 for name, (kit, variant) in made_of.items()]
        for link in links:
            link.result()
        self._sweep()

    def _link(self, name, kit, variant, foreign, objects):
        target = os.path.join(self.folder, name)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        sanitize = _SANITIZE[variant] + [
            "-fsanitize=fuzzer" if "libfuzzer" in kit else "-fsanitize=fuzzer-no-link"]
        self.link_program(target, variant, sanitize, [self.kit.object(kit), *objects], foreign,
                          self.kit.options(kit))

    def link_program(self, target, variant, options, objects, foreign, last=()):
        allocator = [foreign.objects[variant]] if variant in foreign.objects else []
        run_tool([self.compiler, *self._width, *options, *objects, *allocator, *foreign.link, *last, "-lm",
                  "-Wl,-z,relro,-z,now", "-o", target], "the allocator does not link")

    def _sweep(self):
        """Keeps the cache small."""
        with contextlib.suppress(OSError):
            paths = sorted(glob.glob(os.path.join(glob.escape(self._cache), "*.o")), key=os.path.getmtime)
            for path in paths[:-_CACHED]:
                os.unlink(path)


def write_recipe(folder, arguments, foreign):
    """So that a finding can be replayed, and it all be built again."""
    write_json(os.path.join(folder, RECIPE), {
        "schema": 1, "arguments": arguments, "folder": os.getcwd(), "tiers": foreign.tiers,
        "sources": list(map(os.path.abspath, foreign.sources))})
    if PLAIN in foreign.objects:
        shutil.copy(foreign.objects[PLAIN], os.path.join(folder, OBJECT))


def is_build(folder):
    """Whether ci/check has made it, and may make it anew."""
    return os.path.exists(os.path.join(folder, RECIPE))


def stored_with(path):
    """(folder of the build, what its recipe says) of a finding that ci/check has stored; else None."""
    folder = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(path)))), "build")
    try:
        with open(os.path.join(folder, RECIPE), encoding="utf-8") as file:
            recipe = json.load(file)
        return (folder, recipe) if isinstance(recipe["tiers"], list) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def check_files(files):
    """CannotRun unless each can be read and has something in it."""
    for path in files:
        if os.path.isdir(path):
            raise CannotRun("%s is a folder: name the files in it" % shown(path))
        if not os.path.exists(path):
            raise CannotRun("%s: no such file" % shown(path))
        if not os.access(path, os.R_OK):
            raise CannotRun("%s: may not be read" % shown(path))
        if os.path.getsize(path) == 0:
            raise CannotRun("%s is empty" % shown(path))


def undefined(said):
    """The names that a linker misses."""
    return list(dict.fromkeys(re.findall(r"undefined (?:reference to|symbol:) [`']?([\w.@]+)", said)))


def multiple(said):
    """The names that it has twice."""
    return list(dict.fromkeys(re.findall(r"multiple definition of [`']?([\w.@]+)", said)))


def quoted(words):
    return " ".join(shlex.quote(word) for word in words)


def write_json(path, value):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(value, file, indent=1)
        file.write("\n")
