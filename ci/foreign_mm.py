"""What people hand in at courses (ci/check --mm): finds out how such a source wants to be compiled and called.

Nothing is taken on trust but the functions' names: which there are is read from the compiled object, flags
are tried when it does not compile without them, and a trial run tells the alignment and the width that it
was written for.
"""
import contextlib
import dataclasses
import json
import os
import re
import subprocess

from ci import elf_file, foreign_build, foreign_trial, foreign_width
from ci.foreign_build import PLAIN, TIERS, VARIANTS, BuildFailed, Foreign
from ci.workbench import CannotRun, shown

INCLUDE = os.path.join(foreign_build.FOLDER, "include")
ADAPTER = os.path.join(foreign_build.FOLDER, "foreign_mm.c")

# Files of the course's own driver, which the testbed stands in for.
_DRIVER = ("memlib.c", "mdriver.c", "fsecs.c", "fcyc.c", "clock.c", "ftimer.c", "stree.c", "tracefile.c")

# As lenient as the compilers that such sources were written with.
_LENIENT = ["-Wno-everything", "-Wno-unknown-warning-option"] + ["-Wno-error=" + warning for warning in (
    "implicit-function-declaration", "implicit-int", "int-conversion", "incompatible-pointer-types",
    "incompatible-function-pointer-types", "return-mismatch", "return-type", "unused-command-line-argument")]

# Tried one after the other when a source does not compile; with what is said of each.
_ATTEMPTS = (
    ([], ""),
    (["-std=gnu89", "-fgnu89-inline"], "-std=gnu89"),
    (["-std=gnu99"], "-std=gnu99"),
)
_COMMON = (["-fcommon"], "-fcommon, as it defines variables more than once")
_INLINE = (["-fgnu89-inline"], "-fgnu89-inline, as it has inline functions without static")

REQUIRED = ("mm_init", "mm_malloc", "mm_free")

# Other names of what there may be. A source of the newer kind defines the functions of C themselves.
_ALIASES = {
    "mm_malloc": ("malloc", "my_malloc"), "mm_free": ("free", "my_free"),
    "mm_realloc": ("realloc", "my_realloc"), "mm_calloc": ("calloc", "my_calloc"),
    "mm_init": ("my_init", "malloc_init"),
}

_HAS = {"mm_realloc": "FOREIGN_HAS_RESIZE", "mm_calloc": "FOREIGN_HAS_ZEROED"}

# What its own checker may be called.
_CHECKERS = ("mm_checkheap", "mm_check", "mm_checkHeap", "mm_heapcheck", "mm_check_heap", "mm_heap_check",
             "checkheap", "checkHeap", "check_heap", "heap_check")

# Which of them serves which slot of the vtable.
_SLOTS = {"create": "mm_init", "reset": "mm_init", "allocate": "mm_malloc", "release": "mm_free",
          "resize": "mm_realloc", "allocate_zeroed": "mm_calloc"}

# Bytes of heap that the course gives.
LIMIT = 20 << 20


def kept_sources(files, say):
    """The files to compile; those of a driver are left out, and that is said."""
    kept = [path for path in files if path.endswith((".c", ".C"))]
    kept = [path for path in kept if os.path.basename(path) not in _DRIVER]
    for path in files:
        if path not in kept and not path.endswith(".h"):
            say("%s is left out: %s" % (shown(path), "the testbed brings its own" if
                                        path.endswith((".c", ".C")) else "it is no C source"))
    if not kept:
        raise CannotRun("%s: no source of an allocator among these" % " ".join(map(shown, files)))
    return kept


def text_of(path):
    """A source without comments and strings, as far as that can be told without a compiler."""
    with open(path, encoding="utf-8", errors="replace") as file:
        text = file.read()
    return re.sub(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"', " ", text, flags=re.DOTALL)


@dataclasses.dataclass
class _Compiled:
    """One width's objects, and what was learnt while they were made."""
    wholes: dict             # by variant
    flags: list
    notes: list
    signs: foreign_width.Signs


@dataclasses.dataclass
class _Tried:
    """What there is at one width, and what came of a trial run."""
    compiled: _Compiled
    trial: dict
    foreign: Foreign


class Source:
    """The user's files, on their way to a Foreign."""

    def __init__(self, files, options, say):
        foreign_build.check_files(files)
        self._options, self._say = options, say
        self._limit = options.heap_limit or LIMIT
        self.files = kept_sources(files, say)
        self._texts = {path: text_of(path) for path in self.files}
        self._all = "\n".join(self._texts.values())

    # ## Compiling

    def _flags(self):
        folders = dict.fromkeys(os.path.dirname(os.path.abspath(path)) for path in self.files)
        flags = _LENIENT + foreign_width.WARNINGS
        for folder in [*map(os.path.abspath, self._options.include), *folders, INCLUDE]:
            flags += ["-I", folder]
        # Which the headers declare; other declarations are the source's own.
        for name, define in (("mm_init", "FOREIGN_MM_INIT"), ("mm_checkheap", "FOREIGN_MM_CHECKHEAP")):
            kind = self._returns(name)
            if kind in ("int", "bool", "_Bool", "void"):
                flags.append("-D%s=%s" % (define, kind))
        if re.search(r"\bDRIVER\b", self._all):
            flags.append("-DDRIVER")
        return flags

    def compile(self, builder):
        """Tries flags until the source compiles and fits together: a _Compiled. BuildFailed has the
        compiler's words about the first attempt."""
        first, added, notes = None, [], []
        attempts = list(_ATTEMPTS)
        while attempts:
            flags, words = attempts.pop(0)
            try:
                return self._attempt(builder, flags + added, notes + ([words] if words else []))
            except BuildFailed as error:
                first = first or error
                if foreign_build.multiple(error.said) and _COMMON[0][0] not in added:
                    added += _COMMON[0]
                    notes.append(_COMMON[1])
                    attempts.insert(0, (flags, words))
        raise first

    def has_inline(self, names):
        """Whether a function of these names is defined as inline."""
        return any(re.search(r"\binline\b[^;{]*\b%s\s*\(" % re.escape(name), self._all) for name in names)

    def with_inline(self, builder, compiled):
        """The same, compiled so that such functions are there to be called from elsewhere."""
        flags, words = _INLINE
        return self._attempt(builder, compiled.flags + flags, compiled.notes + [words])

    def _attempt(self, builder, more, notes):
        flags = self._flags() + more + self._options.cflag
        jobs = {(path, variant): builder.pool.submit(builder.compile, path, variant, flags)
                for variant in VARIANTS for path in self.files}
        made = {key: job.result() for key, job in jobs.items()}
        said = "".join(made[path, PLAIN][1] for path in self.files)
        kept = self._without_driver([made[path, PLAIN][0] for path in self.files])
        wholes = {}
        for variant in VARIANTS:
            objects = [made[path, variant][0] for path in self.files if path in kept]
            wholes[variant] = builder.one_object(objects, variant)
        return _Compiled(wholes, more, notes, foreign_width.signs(said, self._all))

    def _without_driver(self, objects):
        """Paths without those whose object brings a main() or the heap's own end."""
        kept = []
        for path, name in zip(self.files, objects):
            defined = {symbol.name for symbol in elf_file.ElfFile(name).symbols()
                       if symbol.defined and symbol.exported}
            found = defined & {"main", "mem_sbrk"}
            # Whoever has both in one file cannot be helped by leaving it out.
            if found and not defined & set(REQUIRED) and "malloc" not in defined:
                self._say("%s is left out: it defines %s" % (shown(path), " and ".join(sorted(found))))
                continue
            kept.append(path)
        return kept

    # ## Understanding

    def understand(self, compiled, builder):
        """What there is: a Foreign without objects, {old: new} of the names that change, and its checker
        as of checker()."""
        file = elf_file.ElfFile(compiled.wholes[PLAIN])
        defined = {symbol.name for symbol in file.symbols() if symbol.defined and symbol.exported}
        rename = {}
        for wanted, others in _ALIASES.items():
            for other in others:
                if wanted in defined or wanted in rename.values():
                    break
                if other in defined:
                    rename[other] = wanted
        names = {rename.get(name, name) for name in defined}
        missing = [name for name in REQUIRED if name not in names]
        if missing:
            raise CannotRun(self._missing(missing, names))
        if "main" in defined:
            raise CannotRun("%s defines main(): the testbed calls the allocator itself; leave it out" % (
                " ".join(map(shown, self.files))))
        foreign = Foreign("mm", [ADAPTER], bits=builder.kit.bits, sources=self.files, renamed=bool(rename),
                          builder=builder)
        # For whoever builds it by hand.
        foreign.flags = compiled.flags + self._options.cflag
        foreign.includes = [*self._options.include, INCLUDE]
        old = {new: name for name, new in rename.items()}
        foreign.functions = {slot: old.get(name, name) for slot, name in _SLOTS.items()}
        foreign.defines = ["FOREIGN_BREAK=1", "FOREIGN_HAS_RESTART=1",
                           "FOREIGN_LIMIT=((size_t)%d)" % self._limit]
        for name, define in _HAS.items():
            if name in names:
                foreign.defines.append(define + "=1")
        foreign.defines += self._dialect(rename)
        foreign.tiers = list(TIERS)
        if "mm_realloc" not in names:
            foreign.tiers.remove("resize")
            foreign.left_out["resize"] = "there is no mm_realloc"
        absent = [name for name in _HAS if name not in names]
        if absent:
            foreign.notes.append("without %s, which it does not have" % ", ".join(absent))
        if rename:
            foreign.notes.append(", ".join("%s is taken as %s" % (old, new) for old, new in rename.items()))
        if file.has_thread_locals:
            foreign.forked = "it has variables of threads"
        return foreign, rename, self.checker(defined)

    def _missing(self, missing, names):
        optional = [name for name in _HAS if name not in names]
        like = sorted(name for name in names if re.search(r"alloc|free|init", name))[:8]
        return "%s: no %s%s%s" % (
            " ".join(map(shown, self.files)), " and no ".join(missing),
            "; it defines " + ", ".join(like) if like else "",
            " (mm_init, mm_malloc and mm_free are required; %s optional, and not there either)" % (
                ", ".join(optional) + (" is" if len(optional) == 1 else " are"))
            if optional else " (mm_init, mm_malloc and mm_free are required)")

    def _dialect(self, rename):
        """Defines for what a symbol's name does not tell."""
        defines = []
        old = {new: name for name, new in rename.items()}
        kind = self._returns(old.get("mm_init", "mm_init"))
        if kind in ("bool", "_Bool", "void"):
            defines.append("FOREIGN_MM_INIT_%s=1" % ("VOID" if kind == "void" else "BOOL"))
        declared = [self._all, *map(text_of, self._headers("memlib.h"))]
        if any(re.search(r"\bmem_sbrk\s*\(\s*(?:signed\s+)?int\b", text) for text in declared):
            defines.append("FOREIGN_MM_SBRK_INT=1")
        return defines

    def checker(self, defined):
        """(name, defines) of its own checker of heaps, if it has one that answers; else (name, [])."""
        for name in _CHECKERS:
            kind = self._returns(name) if name in defined else ""
            if kind in ("bool", "_Bool"):
                return name, ["FOREIGN_HAS_CHECK=1", "FOREIGN_MM_CHECK_BOOL=" + name]
            if kind in ("int", "unsigned"):
                return name, ["FOREIGN_HAS_CHECK=1", "FOREIGN_MM_CHECK_INT=" + name]
        return "", []

    def _returns(self, name):
        """What a function is declared to return in the sources, or ''."""
        found = re.search(r"\b(\w+)\s+%s\s*\([^;{)]*\)\s*\{" % re.escape(name), self._all)
        return found.group(1) if found else ""

    def _headers(self, name):
        folders = [os.path.dirname(os.path.abspath(path)) for path in self.files]
        for folder in dict.fromkeys([*folders, *self._options.include]):
            path = os.path.join(folder, name)
            if os.path.isfile(path):
                yield path

    def trial(self, builder, foreign, asks):
        """What a trial run says; `fixed`, besides, that it fails but where the course has its heap, and so
        where it is with ASan. `asks`: defines that have it ask a checker."""
        program = foreign_trial.build(builder, foreign, [*asks, "FOREIGN_ALIGN=8"])
        trial = foreign_trial.run(program, self._limit)
        trial["fixed"] = builder.kit.bits == 64 and not trial["failed"] and bool(
            foreign_trial.run(program, self._limit, foreign_trial.ELSEWHERE)["failed"])
        return trial


def prepare(builder, files, options, say):
    """The Foreign of the files, with objects: all decided that a source leaves open."""
    return _Preparation(builder, files, options, say).run()


class _Preparation:
    """Chooses flags and width."""

    def __init__(self, builder, files, options, say):
        self._builder, self._options = builder, options
        self._source = Source(files, options, say)

    def run(self):
        if self._options.bits == 32:
            return self._finish(self._try(self._builder), "as told")
        wide = self._try(self._builder)
        if self._options.bits == 64:
            return self._finish(wide, "as told")
        why = wide.compiled.signs.why(wide.trial["failed"])
        if not why:
            return self._finish(wide, "")
        narrow_builder = self._builder.at(32)
        if not narrow_builder:
            return self._finish(wide, "though %s: there is no kit for 32 bits, which ci/setup would "
                                "install" % why)
        with contextlib.suppress(BuildFailed):
            narrow = self._try(narrow_builder)
            # Where pointers do not survive 64 bits, nothing else would be found there.
            if not narrow.trial["failed"] or wide.compiled.signs.back or wide.compiled.signs.away:
                return self._finish(narrow, "since " + why)
        return self._finish(wide, "though %s: it fails at 32 bits as well" % why)

    def _try(self, builder):
        """The _Tried at the width of the builder."""
        compiled = self._source.compile(builder)
        try:
            return self._understood(builder, compiled)
        except BuildFailed as error:
            if not self._source.has_inline(error.missing):
                raise
        return self._understood(builder, self._source.with_inline(builder, compiled))

    def _understood(self, builder, compiled):
        foreign, rename, (checker, asks) = self._source.understand(compiled, builder)
        keep = [*REQUIRED, *_HAS] + ([checker] if checker else [])
        jobs = {variant: builder.pool.submit(builder.finish, compiled.wholes[variant], variant, rename, keep)
                for variant in VARIANTS}
        foreign.objects = {variant: job.result() for variant, job in jobs.items()}
        foreign.notes = ["with " + note for note in compiled.notes] + foreign.notes
        trial = self._source.trial(builder, foreign, asks)
        if checker and not trial["failed"] and trial["content"]:
            foreign.defines += asks
            foreign.notes.append("%s is asked as well" % checker)
        elif checker:
            # It may be that which fails.
            if trial["failed"]:
                trial = self._source.trial(builder, foreign, [])
            foreign.notes.append("%s is not asked: it is not content with a trial run" % checker)
        return _Tried(compiled, trial, foreign)

    def _finish(self, tried, why):
        trial, foreign = tried.trial, tried.foreign
        foreign.notes.insert(0, "%d bits%s" % (foreign.bits, why and ", " + why))
        align = self._options.alignment
        if align:
            foreign.notes.append("alignment %d, as told" % align)
        else:
            found = trial.get("align") or 0
            align = 16 if found >= 16 else 8
            foreign.notes.append(
                "alignment 16, as all blocks of a trial run have it" if align == 16 else
                "alignment 8, as all blocks of a trial run have it" if found >= 8 else
                "alignment 8, the least that the course allows%s" % (
                    "" if not found else "; in a trial run it returned blocks at multiples of %d" % found))
        foreign.defines += ["FOREIGN_ALIGN=%d" % align, "FOREIGN_MAX_ALIGN=%d" % align]
        if trial["fixed"]:
            foreign.fixed = True
            foreign.notes.append("without ASan, as it does not run but where the course has its heap")
        if trial["failed"] and trial["failed"] not in why:
            foreign.notes.append("in the trial run %s" % trial["failed"])
        if not trial["failed"] and not trial["same"]:
            foreign.forked = foreign.forked or "in a trial run it did not come back to its first state"
        if foreign.forked:
            foreign.defines.append("FOREIGN_KEEPS_STATE=1")
        return foreign


# ## What a course would have said

def _percent(share):
    """Of a share that may not be known."""
    return "unknown" if share is None else "%.0f %%" % (100 * share)


def score(bench, tiers, seconds):
    """Utilisation and throughput as courses grade them, as a line for the report; '' if there is none.
    `bench` has the programs."""
    strategy = "resize" if "resize" in tiers else tiers[0]
    command = [bench.program("assay.elf"), "score", "--strategy", strategy, "--json", "--seconds", "0",
               "--limit", "%d" % max(1, seconds)]
    try:
        result = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL, timeout=20 * max(1, seconds), check=False)
        lines = [json.loads(line) for line in result.stdout.decode(errors="replace").splitlines()]
        mean = next(line for line in lines if line["workload"] == "mean")
        if not mean["scored"]:
            return "scores: none, as it gets through none of %d workloads" % mean["of"]
        return ("scores: utilisation %s, throughput %.0f Kops/s, in the mean of %d of %d workloads (the C "
                "library: %s, %.0f Kops/s); `assay score` tells them one by one" % (
                    _percent(mean["utilisation"]), mean["kops"], mean["scored"], mean["of"],
                    _percent(mean["libc_utilisation"]), mean["libc_kops"]))
    except (OSError, subprocess.TimeoutExpired):
        return "scores: none, as the workloads did not come to an end"
    except (ValueError, KeyError, TypeError, StopIteration):
        return "scores: none, as it does not survive the workloads"
