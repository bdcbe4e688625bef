"""Heaps as embedded systems have them (ci/check --heap): compiled, understood by their declarations, and tried.

What such a heap expects around itself is there: a buffer, a break (sbrk and brk), pages (mmap and munmap, or a
function that the adapter file names). Whichever it calls decides how it gets its memory.
"""
import contextlib
import dataclasses
import os

from ci import elf_file, foreign_build, foreign_trial, foreign_width, heap_adapter, heap_glue
from ci.c_declarations import INTEGER, Declarations
from ci.foreign_build import PLAIN, VARIANTS, BuildFailed, Foreign
from ci.foreign_trial import NO_START, OUT_OF_MEMORY
from ci.workbench import CannotRun, shown

ADAPTER = [os.path.join(foreign_build.FOLDER, name)
           for name in ("foreign_heap.c", "backend_break.c", "backend_pages.c")]

# How the heap is called, in the folder of the build.
GLUE = "heap_glue.c"

# What stands for the system's own.
_BREAK = {"sbrk": "foreign_sbrk", "_sbrk": "foreign_sbrk", "brk": "foreign_brk"}
_PAGES = {"mmap": "foreign_mmap", "mmap64": "foreign_mmap", "munmap": "foreign_munmap"}

# Bytes: what a small system has, and what may be made dirty for each program.
HEAP_LIMIT = 256 << 10
_LEAST_LIMIT = 4096

# Sources of firmware are written for other compilers.
_LENIENT = ["-Wno-everything", "-Wno-error=implicit-function-declaration", "-Wno-error=int-conversion",
            "-Wno-error=incompatible-pointer-types", "-Wno-error=implicit-int", *foreign_width.WARNINGS]

# By slot of the vtable.
_SLOTS = {"create": "init", "allocate": "alloc", "release": "free", "resize": "realloc",
          "allocate_zeroed": "calloc", "usable_size": "usable", "reset": "reset", "check": "check"}

_OPTIONS = ("init", "alloc", "free", "realloc", "align")


def read_lines(files, options):
    """(lines by role, source files, include folders, compiler flags, what memory is like) of an adapter file
    and the command line."""
    lines, lists = {}, {"source": [], "include": [], "cflag": [], "memory": []}
    if options.adapter:
        lines, lists = heap_adapter.parse_file(options.adapter)
    for role in _OPTIONS:
        if getattr(options, role):
            lines[role] = heap_adapter.parse_line(role, getattr(options, role), "--" + role)
    missing = [role for role in heap_adapter.REQUIRED if role not in lines]
    if missing:
        raise CannotRun("which function is %s? say %s" % (
            " and ".join(missing), " ".join("--%s F" % role for role in missing)))
    sources = list(files) + lists["source"]
    if not sources:
        raise CannotRun("%s names no source: add  source = FILE.c" % shown(options.adapter))
    foreign_build.check_files(sources)
    return (lines, sources, list(options.include) + lists["include"], lists["cflag"] + list(options.cflag),
            (lists["memory"] or ["dirty"])[-1])


class _Heap:
    """The user's files, on their way to a Foreign."""

    def __init__(self, builder, files, options):
        self.builder, self.options = builder, options
        self.lines, sources, includes, cflags, self.memory = read_lines(files, options)
        self.sources = [path for path in sources if not path.endswith(".h")]
        folders = dict.fromkeys([os.path.abspath(path) for path in includes] + [
            os.path.dirname(os.path.abspath(path)) for path in self.sources])
        self.flags = _LENIENT + [word for folder in folders for word in ("-I", folder)] + cflags

    def compile(self):
        jobs = {(path, variant): self.builder.pool.submit(self.builder.compile, path, variant, self.flags)
                for variant in VARIANTS for path in self.sources}
        made = {key: job.result() for key, job in jobs.items()}
        self.signs = foreign_width.signs("".join(made[path, PLAIN][1] for path in self.sources))
        return {variant: self.builder.one_object([made[path, variant][0] for path in self.sources], variant)
                for variant in VARIANTS}

    def glue(self):
        """The heap_glue.Glue of the lines."""
        # Each read of a source keeps its dumps: what several functions share is read once.
        readers = [Declarations([self.builder.compiler, "-m%d" % self.builder.kit.bits, *self.flags], path)
                   for path in map(os.path.abspath, self.sources)]
        functions = {}
        names = dict.fromkeys(line.function for line in self.lines.values())
        jobs = {name: [self.builder.pool.submit(reader.function, name) for reader in readers]
                for name in names}
        for name in names:
            found = [function for function in (job.result() for job in jobs[name]) if function]
            if found:
                functions[name] = max(found, key=lambda function: sum(
                    bool(each.name) for each in function.parameters))
        absent = [line for line in self.lines.values() if line.function not in functions]
        if absent:
            raise CannotRun("%s: none of the sources declares %s" % (
                absent[0].place, " or ".join(dict.fromkeys(line.function for line in absent))))
        for line in self.lines.values():
            if functions[line.function].static:
                raise CannotRun("%s: %s is static: nobody else can call it" % (line.place, line.function))
            heap_adapter.settle(line, functions[line.function])
        self.functions = functions
        return heap_glue.Glue(self.lines, functions)


def _memory(heap, glue, calls):
    """(define, note): how the heap gets its memory, given the names that it calls."""
    breaks = any(name in calls for name in _BREAK) or {"sbrk", "brk"} & set(heap.lines)
    pages = any(name in calls for name in _PAGES) or "pages" in heap.lines
    if glue.over_buffer:
        return [], "over one buffer"
    if pages:
        return [], "with pages%s that it asks for" % (" and a break" if breaks else "")
    if breaks:
        return ["FOREIGN_BREAK=1"], "with a break that it moves"
    # Nothing is known of how much there is, but by being told.
    told = [] if heap.options.heap_limit else ["FOREIGN_NO_BOUND=1"]
    return ["FOREIGN_ELSEWHERE=1"] + told, "in an array of its own%s" % (
        "" if not told else "; how large that is, --heap-limit would say")


def _limit(options, glue):
    limit = options.heap_limit or HEAP_LIMIT
    most = glue.largest()
    if most is not None and limit > most:
        limit = most // 16 * 16
    if limit < _LEAST_LIMIT:
        raise CannotRun("a heap of %d bytes is too small to be judged; there must be %d" % (
            limit, _LEAST_LIMIT))
    return limit


def _understand(heap, wholes, glue, limit):
    file = elf_file.ElfFile(wholes[PLAIN])
    symbols = file.symbols()
    defined = {symbol.name for symbol in symbols if symbol.defined and symbol.exported}
    calls = {symbol.name for symbol in symbols if not symbol.defined}
    for line in heap.lines.values():
        if line.function in glue.renames() and own_kind(line) and line.function not in defined:
            raise CannotRun("%s: %s is declared, but none of the sources defines it" % (
                line.place, line.function))
    memory, note = _memory(heap, glue, calls)
    foreign = Foreign("heap", list(ADAPTER), bits=heap.builder.kit.bits, flags=heap.flags,
                      sources=list(heap.sources), renamed=True, builder=heap.builder)
    foreign.functions = {slot: heap.lines[role].function for slot, role in _SLOTS.items()
                         if role in heap.lines}
    foreign.defines = memory + glue.defines() + ["FOREIGN_LIMIT=((size_t)%d)" % limit]
    if not {"FOREIGN_BREAK=1", "FOREIGN_ELSEWHERE=1"} & set(memory):
        # What a heap keeps for itself may be much of a small buffer.
        foreign.defines.append("FOREIGN_LEAST=((size_t)%d)" % max(limit // 8, min(limit, _LEAST_LIMIT)))
    foreign.notes = ["%d bits" % foreign.bits, note]
    if heap.memory == "zeroed":
        foreign.defines.append("FOREIGN_ZEROED=1")
        foreign.notes.append("fresh memory is zero, as told")
    foreign.tiers = list(foreign_build.TIERS)
    if "realloc" not in heap.lines:
        foreign.tiers.remove("resize")
        foreign.left_out["resize"] = "no --realloc was named"
    if not glue.restarts:
        foreign.tiers.remove("reinit")
        foreign.left_out["reinit"] = "it is started once: name a reset in an adapter file if it can be again"
    if file.has_thread_locals:
        foreign.forked = "it has variables of threads"
    renames = dict(glue.renames())
    renames.update({name: new for name, new in {**_BREAK, **_PAGES}.items()
                    if name in calls and name not in renames})
    return foreign, renames


def own_kind(line):
    """Whether the heap has this function, and not whoever it calls."""
    return line.role not in ("sbrk", "brk", "pages", "pages_free")


def _align(foreign, trial, options):
    found = trial.get("align") or 0
    # Heaps of small systems with words of 32 bits often promise no more than a word.
    least = 4 if foreign.bits == 32 and found == 4 else 8
    align = options.alignment or (16 if found >= 16 else least)
    foreign.notes.append("alignment %d, %s" % (
        align, "as told" if options.alignment else "as all blocks of a trial run have it"
        if found >= align else "the least that C needs; in a trial run there were blocks at multiples of %d"
        % found if found else "the least that C needs"))
    most = align
    if "FOREIGN_HAS_ALIGNED=1" in foreign.defines:
        most = options.max_alignment or 4096
    foreign.defines += ["FOREIGN_ALIGN=%d" % align, "FOREIGN_MAX_ALIGN=%d" % max(align, most)]


def prepare(builder, files, options, say):
    """The Foreign of a heap's files, with objects. `options`: those of _OPTIONS, adapter, heap_limit,
    alignment, max_alignment, bits, include, cflag."""
    del say
    if options.bits == 32:
        builder = builder.at(32)
        if not builder:
            raise CannotRun("there is no kit for 32 bits: leave --m32 out")
        return _finished(_try(builder, files, options), options)
    wide = _try(builder, files, options)
    failed = wide.trial["failed"]
    why = wide.heap.signs.why(failed)
    if failed in ("", OUT_OF_MEMORY) or options.bits == 64 or not why:
        return _finished(wide, options)
    # Small systems have addresses of 32 bits, and code that is written for them keeps these in integers.
    narrow_builder = builder.at(32)
    with contextlib.suppress(BuildFailed):
        narrow = _try(narrow_builder, files, options) if narrow_builder else None
        # An array of its own may be too small for a trial: that speaks against no width.
        if narrow and narrow.trial["failed"] in ("", OUT_OF_MEMORY):
            narrow.foreign.notes[0] += ", since " + why
            return _finished(narrow, options)
    return _finished(wide, options)


@dataclasses.dataclass
class _Tried:
    """A heap built at one width, and what came of a trial run."""
    heap: object
    glue: object
    foreign: object
    limit: int
    trial: dict


def _try(builder, files, options):
    heap = _Heap(builder, files, options)
    wholes = heap.compile()
    glue = heap.glue()
    limit = _limit(options, glue)
    foreign, renames = _understand(heap, wholes, glue, limit)
    foreign.adapter.append(_write(builder, glue))
    jobs = {variant: builder.pool.submit(builder.finish, wholes[variant], variant, renames, glue.kept())
            for variant in VARIANTS}
    foreign.objects = {variant: job.result() for variant, job in jobs.items()}
    program = foreign_trial.build(builder, foreign, ["FOREIGN_ALIGN=8", "FOREIGN_MAX_ALIGN=8"])
    return _Tried(heap, glue, foreign, limit, foreign_trial.run(program, limit))


def _write(builder, glue):
    """The glue's path, which is the same at both widths."""
    path = os.path.join(builder.folder, GLUE)
    with open(path, "w", encoding="utf-8") as file:
        file.write(glue.source())
    return path


def _finished(tried, options):
    heap, foreign, trial = tried.heap, tried.foreign, tried.trial
    if trial["failed"] == NO_START:
        line = heap.lines["init"]
        hint = ""
        if heap.functions[line.function].result.kind == INTEGER and not line.success:
            hint = ("; if that is what it returns when all is well, say so in an adapter file:  init = %s(%s) == 1"
                    % (line.function, ", ".join(line.arguments)))
        raise CannotRun("%s fails with %d bytes%s" % (line.function, tried.limit, hint))
    if trial["failed"]:
        foreign.notes.append("in the trial run %s" % trial["failed"])
    elif not trial.get("same", True):
        foreign.forked = foreign.forked or "in a trial run it did not come back to its first state"
    _align(foreign, trial, options)
    if foreign.forked:
        foreign.defines.append("FOREIGN_KEEPS_STATE=1")
    _write(foreign.builder, tried.glue)
    return foreign
