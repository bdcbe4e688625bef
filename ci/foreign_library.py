"""Libraries with C's allocation functions (ci/check --malloc): what one exports, and whether it can be loaded.

Nothing of it is compiled: the programs load it when they start, beside the allocator that they use themselves
(allocators/foreign/library.c).
"""
import os
import re

from ci import elf_file, foreign_build, foreign_trial
from ci.foreign_build import Foreign
from ci.workbench import CannotRun, shown

ADAPTER = [os.path.join(foreign_build.FOLDER, name) for name in ("foreign_malloc.c", "library.c")]

REQUIRED = ("malloc", "free")
_ALIGNED = ("aligned_alloc", "posix_memalign", "memalign")
OPTIONAL = ("realloc", "calloc", "malloc_usable_size") + _ALIGNED

_HAS = {"realloc": "FOREIGN_HAS_RESIZE", "calloc": "FOREIGN_HAS_ZEROED",
        "malloc_usable_size": "FOREIGN_HAS_USABLE"}

# The largest alignment that is asked for, and bytes that are live at once, unless told otherwise.
_MOST_ALIGN = 1 << 16
_LIMIT = 20 << 20


def read(path):
    """The library's ElfFile. CannotRun if it is none that a program here could load."""
    if os.path.isdir(path):
        raise CannotRun("%s is a folder: name the library in it" % shown(path))
    try:
        file = elf_file.ElfFile(path)
    except OSError as error:
        raise CannotRun("%s: %s" % (shown(path), error.strerror)) from error
    except elf_file.NoElf as error:
        raise CannotRun("%s: not a shared library, but %s" % (shown(path), error)) from error
    if file.kind != elf_file.SHARED:
        raise CannotRun("%s: not a shared library; link it with -shared" % shown(path))
    if file.machine not in ("x86-64", "i386"):
        raise CannotRun("%s is a library for %s: it cannot run here" % (shown(path), file.machine))
    return file


def exported(file):
    return {symbol.name for symbol in file.dynamic_symbols() if symbol.defined}


def _missing(path, prefix, names, missing):
    words = "%s does not export %s" % (shown(path), " nor ".join(prefix + name for name in missing))
    # Someone's own names end like those of C.
    others = sorted({match.group(1) for match in (re.fullmatch(r"(.*?)malloc", name) for name in names)
                     if match and match.group(1) + "free" in names} - {prefix})
    if others:
        words += ": say %s" % " or ".join("--prefix %s" % other if other else "no --prefix"
                                          for other in others[:4])
    absent = [prefix + name for name in OPTIONAL if prefix + name not in names]
    words += " (%s are required%s)" % (
        " and ".join(prefix + name for name in REQUIRED),
        "; optional, and not there either: %s" % ", ".join(absent) if absent else "")
    return words


def _says_threads(file, names):
    """Whether a library deals with threads."""
    wanted = {symbol.name for symbol in file.dynamic_symbols() if not symbol.defined}
    return (file.has_thread_locals or
            any(name.startswith(("pthread_mutex_", "pthread_key_", "pthread_spin_", "mtx_"))
                for name in wanted | names))


def understand(path, prefix, file, options):
    """The Foreign of a library, not tried yet."""
    names = exported(file)
    missing = [name for name in REQUIRED if prefix + name not in names]
    if missing:
        raise CannotRun(_missing(path, prefix, names, missing))
    there = [name for name in OPTIONAL if prefix + name in names]
    foreign = Foreign("malloc", list(ADAPTER), bits=file.bits)
    foreign.tiers = [tier for tier in foreign_build.TIERS if tier != "reinit"]
    foreign.left_out = {"reinit": "a library of C's functions has no re-initialisation"}
    foreign.defines = ["FOREIGN_ELSEWHERE=1", "FOREIGN_KEEPS_STATE=1",
                       'FOREIGN_LIBRARY="%s"' % os.path.realpath(path).replace("\\", "\\\\").replace('"', '\\"'),
                       'FOREIGN_PREFIX="%s"' % prefix,
                       "FOREIGN_LIMIT=((size_t)%d)" % (options.heap_limit or _LIMIT)]
    foreign.defines += [_HAS[name] + "=1" for name in there if name in _HAS]
    if set(there) & set(_ALIGNED):
        foreign.defines += ["FOREIGN_HAS_ALIGNED=1", "FOREIGN_MAX_ALIGN=%d" % (
            options.max_alignment or _MOST_ALIGN)]
    else:
        foreign.defines.append("FOREIGN_MAX_ALIGN=%s" % (options.alignment or "_Alignof(max_align_t)"))
    if options.alignment:
        foreign.defines.append("FOREIGN_ALIGN=%d" % options.alignment)
        aligned = "alignment %d, as told" % options.alignment
    else:
        foreign.defines.append("FOREIGN_NATURAL_ALIGN=1")
        aligned = "alignment of what fits in a block, as C has it"
    threads = _says_threads(file, names)
    if threads:
        foreign.defines.append("FOREIGN_CONCURRENT=1")
    foreign.link = ["-ldl"]
    foreign.forked = "what a library keeps cannot be brought back"
    foreign.notes = ["%d bits" % file.bits, shown(path), aligned,
                     "by several threads as well" if threads else
                     "by one thread, as it does nothing about threads"]
    absent = [prefix + name for name in OPTIONAL if name not in there]
    if absent:
        foreign.notes.append("without %s, which it does not export" % ", ".join(absent))
    if "realloc" not in there:
        foreign.tiers.remove("resize")
        foreign.left_out["resize"] = "there is no %srealloc" % prefix
    return foreign


def prepare(builder, path, options, say):
    """The Foreign of a library. `options`: prefix, heap_limit, alignment, max_alignment, bits."""
    del say
    file = read(path)
    if options.bits and options.bits != file.bits:
        raise CannotRun("%s is a library of %d bits: leave --m%d out" % (shown(path), file.bits, options.bits))
    if builder.kit.bits != file.bits:
        builder = builder.at(file.bits)
        if not builder:
            raise CannotRun("%s is a library of %d bits, and there is no kit for these" % (
                shown(path), file.bits))
    foreign = understand(path, options.prefix, file, options)
    foreign.builder = builder
    # Whether it can be loaded. What it does wrong then is for fuzzing to tell.
    trial = foreign_trial.run(foreign_trial.build(builder, foreign), _LIMIT)
    if trial["failed"]:
        foreign.notes.append("in the trial run %s" % trial["failed"])
    return foreign
