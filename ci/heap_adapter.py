"""How a heap's functions are called: lines that say so, what can be told without them, and the code that does it.

A line is `ROLE = FUNCTION(ARGUMENT, ...)`, with what arguments mean:

  init = o1heapInit(buffer, size)           alloc = o1heapAllocate(handle, size)

or only `ROLE = FUNCTION`: then the declaration tells, by the number and the types of parameters and, where
these leave it open, their names.
"""
import dataclasses
import os
import re
import typing

from ci.c_declarations import BOOL, INTEGER, OTHER, POINTER, VOID
from ci.workbench import CannotRun, shown

# What an argument may be, besides a number and NULL, where the adapter calls the heap.
_WORDS = {
    "init": ("handle", "buffer", "size", "end"),
    "reset": ("handle", "buffer", "size", "end"),
    "alloc": ("handle", "size", "alignment"),
    "free": ("handle", "block", "size"),
    "realloc": ("handle", "block", "old", "size"),
    "calloc": ("handle", "count", "size"),
    "align": ("handle", "alignment", "size"),
    "usable": ("handle", "block"),
    "check": ("handle",),
}
# And where the heap calls what it expects to be there.
_HOOKS = {
    "sbrk": ("step",),
    "brk": ("end",),
    "pages": ("size", "count", "alignment"),
    "pages_free": ("address", "size", "count"),
}
_LISTS = ("source", "include", "cflag", "memory")

REQUIRED = ("alloc", "free")

_LINE = re.compile(r"(\w+)\s*=\s*(.+)")
_CALL = re.compile(r"(\w+)\s*(?:\(([^()]*)\)\s*(?:(==|!=|>=|<=|>|<)\s*(-?\w+))?)?")
_NUMBER = re.compile(r"-?(0[xX][0-9a-fA-F]+|\d+)[uUlL]*|NULL|true|false")

_ROLES = tuple(_WORDS) + tuple(_HOOKS)

_HAS = {"realloc": "FOREIGN_HAS_RESIZE", "calloc": "FOREIGN_HAS_ZEROED", "align": "FOREIGN_HAS_ALIGNED",
        "usable": "FOREIGN_HAS_USABLE", "check": "FOREIGN_HAS_CHECK"}


@dataclasses.dataclass
class Line:
    """One line: a function, and how it is called."""
    role: str
    function: str
    arguments: typing.Optional[typing.List[str]] = None   # None: as the declaration tells
    success: str = ""                                      # such as "== 0"; "": by the type
    place: str = ""                                        # where it is written


def parse_line(role, text, place):
    found = _CALL.fullmatch(text.strip())
    if not found:
        raise CannotRun("%s: '%s' is no call; write %s = FUNCTION(ARGUMENT, ...)" % (
            place, text.strip(), role))
    function, arguments, comparison, number = found.groups()
    line = Line(role, function, place=place)
    if comparison:
        line.success = "%s %s" % (comparison, number)
    if arguments is not None:
        line.arguments = [word.strip() for word in arguments.split(",")] if arguments.strip() else []
        known = _WORDS.get(role) or _HOOKS[role]
        for word in line.arguments:
            if word not in known and not _NUMBER.fullmatch(word):
                raise CannotRun("%s: %s knows no '%s'; its arguments are %s, numbers and NULL" % (
                    place, role, word, ", ".join(known)))
    return line


def parse_file(path):
    """(lines by role, {source, include, cflag, memory}) of an adapter file."""
    lines, lists = {}, {name: [] for name in _LISTS}
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise CannotRun("%s: %s" % (shown(path), getattr(error, "strerror", "no text"))) from error
    for number, raw in enumerate(text.splitlines(), 1):
        raw = raw.split("#", 1)[0].strip().rstrip(";")
        if not raw:
            continue
        place = "%s:%d" % (shown(path), number)
        found = _LINE.fullmatch(raw)
        if not found or found.group(1) not in _ROLES + _LISTS:
            raise CannotRun("%s: '%s' says nothing; a line is NAME = VALUE, where NAME is one of %s" % (
                place, raw, " ".join(_LISTS + _ROLES)))
        name, value = found.groups()
        if name in lines:
            raise CannotRun("%s: %s was said before, at %s" % (place, name, lines[name].place))
        if name in _LISTS:
            folder = os.path.dirname(os.path.abspath(path))
            if name == "memory" and value not in ("dirty", "zeroed"):
                raise CannotRun("%s: memory is dirty or zeroed, not '%s'" % (place, value))
            lists[name] += value.split() if name in ("cflag", "memory") else [
                os.path.join(folder, word) for word in value.split()]
        else:
            lines[name] = parse_line(name, value, place)
    return lines, lists


# ## What declarations tell

def _named(parameters, *words):
    """The index of the only parameter whose name has one of the words in it, or None."""
    found = [i for i, each in enumerate(parameters) if any(word in each.name.lower() for word in words)]
    return found[0] if len(found) == 1 else None


def _shape(parameters):
    return "".join("p" if each.type.kind == POINTER else "i" for each in parameters)


def _ordered(parameters, first, second, *words):
    """Two integers: the one whose name has one of the words in it is `second`, if there is one."""
    index = _named(parameters, *words)
    return [second, first] if index == 0 else [first, second]


def _guess_init(parameters):
    shape = _shape(parameters)
    if shape == "pp" and _named(parameters, "end", "limit", "top", "last") is None:
        return None
    if shape == "ppp" and _named(parameters[1:], "end", "limit", "top", "last") == 1:
        return ["handle", "buffer", "end"]
    return {"": [], "pi": ["buffer", "size"], "ip": ["size", "buffer"], "pp": ["buffer", "end"],
            "ppi": ["handle", "buffer", "size"], "pip": ["handle", "size", "buffer"], "i": ["size"],
            "ii": ["buffer", "size"]}.get(shape)


def _guess_alloc(parameters):
    shape = _shape(parameters)
    if shape in ("ii", "pii"):
        two = parameters[-2:]
        if _named(two, "align") is None:
            return None
        return ["handle"] * (shape == "pii") + _ordered(two, "size", "alignment", "align")
    return {"i": ["size"], "pi": ["handle", "size"], "ip": ["size", "handle"]}.get(shape)


def _guess_free(parameters):
    shape = _shape(parameters)
    if shape == "pp" and _named(parameters, "heap", "handle", "pool", "ctx", "arena", "self") == 1:
        return ["block", "handle"]
    return {"p": ["block"], "pp": ["handle", "block"], "pi": ["block", "size"],
            "ppi": ["handle", "block", "size"]}.get(shape)


def _guess_realloc(parameters):
    shape = _shape(parameters)
    if shape in ("pii", "ppii"):
        two = parameters[-2:]
        names = ["size", "old"] if _named(two, "new") == 0 or _named(two, "old") == 1 else ["old", "size"]
        return ["handle"] * (shape == "ppii") + ["block"] + names
    return {"pi": ["block", "size"], "ppi": ["handle", "block", "size"],
            "pip": ["block", "size", "handle"]}.get(shape)


def _guess_align(parameters):
    shape = _shape(parameters)
    if shape not in ("ii", "pii"):
        return None
    # As memalign and aligned_alloc have them, unless names say otherwise.
    names = ["size", "alignment"] if _named(parameters[-2:], "align") == 1 else ["alignment", "size"]
    return ["handle"] * (shape == "pii") + names


def _guess_calloc(parameters):
    return {"ii": ["count", "size"], "pii": ["handle", "count", "size"]}.get(_shape(parameters))


def _guess_block(parameters):
    return {"p": ["block"], "pp": ["handle", "block"]}.get(_shape(parameters))


def _guess_check(parameters):
    return {"": [], "p": ["handle"]}.get(_shape(parameters))


def _guess_pages(parameters):
    return {"i": ["count" if _named(parameters, "pages", "count", "npages") == 0 else "size"]}.get(
        _shape(parameters))


def _guess_pages_free(parameters):
    count = "count" if _named(parameters, "pages", "count", "npages") == 1 else "size"
    return {"pi": ["address", count], "ii": ["address", count]}.get(_shape(parameters))


_GUESSES = {
    "init": _guess_init, "reset": _guess_init, "alloc": _guess_alloc, "free": _guess_free,
    "realloc": _guess_realloc, "calloc": _guess_calloc, "align": _guess_align, "usable": _guess_block,
    "check": _guess_check, "pages": _guess_pages, "pages_free": _guess_pages_free,
    "sbrk": lambda parameters: {"i": ["step"]}.get(_shape(parameters)),
    "brk": lambda parameters: {"p": ["end"], "i": ["end"]}.get(_shape(parameters)),
}


def settle(line, function):
    """Fills in the line's arguments, and verifies that the function takes them."""
    if function.variadic or any(each.type.kind in (OTHER, VOID) for each in function.parameters) or (
            function.result.kind == OTHER):
        raise CannotRun("%s: %s takes or returns more than integers and pointers; write a function around "
                        "it" % (line.place, function.name))
    if line.arguments is None:
        line.arguments = _GUESSES[line.role](function.parameters)
        if line.arguments is None:
            raise CannotRun("%s: what %s means by its parameters (%s) cannot be told: say it in an adapter "
                            "file, as in  %s = %s(...)  with %s" % (
                                line.place, function.name, describe(function), line.role, function.name,
                                ", ".join(_WORDS.get(line.role) or _HOOKS[line.role])))
    if len(line.arguments) != len(function.parameters):
        raise CannotRun("%s: %s takes %d arguments (%s), not %d" % (
            line.place, function.name, len(function.parameters), describe(function), len(line.arguments)))
    if line.role in ("alloc", "realloc", "calloc", "align") and function.result.kind != POINTER:
        raise CannotRun("%s: %s returns no pointer" % (line.place, function.name))


def describe(function):
    return ", ".join("%s %s" % (each.type.text, each.name) if each.name else each.type.text
                     for each in function.parameters) or "none"


# ## The C code

HEAD = """\
// Generated by ci/heap_adapter.py: how foreign_heap.c calls this heap.
#include "allocators/foreign/foreign_heap.h"

#include <string.h>

#include "allocators/foreign/backends.h"
#include "allocators/foreign/block_sizes.h"

"""

_SUCCESS = {POINTER: "!= NULL", BOOL: "", INTEGER: "== 0", VOID: None}


def own(name):
    """What the build calls the heap's function: no name of the testbed or of C is in its way."""
    return "own_" + name


class Glue:
    """The code for these lines, whose arguments are settled; `functions` by name."""

    def __init__(self, lines, functions):
        self.lines, self._functions = lines, functions

    def _uses(self, *words):
        return any(word in line.arguments for line in self.lines.values() if line.role in _WORDS
                   for word in words)

    @property
    def over_buffer(self):
        return any(word in self.lines["init"].arguments for word in ("buffer", "size", "end")
                   ) if "init" in self.lines else False

    @property
    def restarts(self):
        """What starts it again over the same buffer: the role, or ''."""
        if "reset" in self.lines:
            return "reset"
        # A heap that is an object can be made as often as one likes; one that is the program's is
        # started once.
        return "init" if "init" in self.lines and self.over_buffer and self._handle() else ""

    def _handle(self):
        """Where the handle comes from: 'storage' that init fills, 'result' of init, or ''."""
        if "init" in self.lines and "handle" in self.lines["init"].arguments:
            return "storage"
        if self._uses("handle"):
            if "init" not in self.lines:
                raise CannotRun("%s: there is no init to get the handle from" % next(
                    line.place for line in self.lines.values() if "handle" in line.arguments))
            return "result"
        return ""

    def _sizes(self):
        """Whether the heap wants to be told how large its blocks are."""
        return any("old" in line.arguments for line in self.lines.values()) or (
            "size" in self.lines["free"].arguments)

    def largest(self):
        """The least of the greatest numbers that the types of sizes at init can have; None: any."""
        if "init" not in self.lines:
            return None
        line = self.lines["init"]
        for word, parameter in zip(line.arguments, self._functions[line.function].parameters):
            text = parameter.type.plain
            if word == "size":
                if "short" in text:
                    return (1 << (16 if "unsigned" in text else 15)) - 1
                if "char" in text:
                    return (1 << (8 if "unsigned" in text else 7)) - 1
                if text in ("int", "unsigned int", "unsigned"):
                    return (1 << (32 if "unsigned" in text else 31)) - 1
        return None

    def defines(self):
        """What tiers.c and foreign_heap.c are told."""
        found = [_HAS[role] + "=1" for role in _HAS if role in self.lines]
        if "alignment" in self.lines["alloc"].arguments and "align" not in self.lines:
            found.append("FOREIGN_HAS_ALIGNED=1")
        if self.restarts:
            found.append("FOREIGN_HAS_RESTART=1")
        return found

    def renames(self):
        return {line.function: own(line.function) for line in self.lines.values()}

    def kept(self):
        return [own(line.function) for line in self.lines.values() if line.role in _WORDS]

    def source(self):
        parts = [HEAD]
        for name in dict.fromkeys(line.function for line in self.lines.values()):
            parts.append("%s;\n" % self._functions[name].prototype(own(name)))
        parts.append("\nenum { OWN_ALIGN = %s };\n" % "FOREIGN_ALIGN")
        handle = self._handle()
        if handle == "storage":
            parts.append("static _Alignas(64) unsigned char storage[1 << 16];\n")
        if handle:
            parts.append("static void *handle;\n")
        if self._sizes():
            parts.append("static struct block_sizes sizes;\n")
        parts.append("\n" + self._open("init", "adapted_open", handle))
        if self.restarts:
            parts.append("\n" + self._open(self.restarts, "adapted_restart", handle))
        parts += ["\n" + self._function(role) for role in
                  ("alloc", "free", "realloc", "calloc", "align", "usable", "check") if role in self.lines]
        if "alignment" in self.lines["alloc"].arguments and "align" not in self.lines:
            parts.append("\n" + self._function("alloc", aligned=True))
        parts += ["\n" + self._hook(line) for line in self.lines.values() if line.role in _HOOKS]
        return "".join(parts)

    def _call(self, line, means):
        """(the call, guards: conditions under which its arguments do not fit)."""
        arguments, guards = [], []
        for word, parameter in zip(line.arguments, self._functions[line.function].parameters):
            text = parameter.type.plain
            meant = means.get(word, word)
            if parameter.type.kind == INTEGER and word in ("size", "count", "alignment", "old"):
                guards.append("%s > HEAP_MOST(%s)" % (meant, text))
            if parameter.type.kind == POINTER and not _NUMBER.fullmatch(word):
                meant = "(void *)" + meant
            elif parameter.type.kind == INTEGER:
                meant = "(%s)%s" % (text, meant if parameter.type.kind == INTEGER and word not in (
                    "buffer", "end", "handle", "block") else "(uintptr_t)" + meant)
            arguments.append(meant)
        return "%s(%s)" % (own(line.function), ", ".join(arguments)), guards

    def _open(self, role, name, handle):
        body = []
        line = self.lines.get(role)
        if self._sizes():
            body.append("  block_sizes_clear(&sizes);")
        if not line:
            return "bool %s(void *buffer, size_t size) {\n%s\n  (void)buffer, (void)size;\n  return true;\n}\n" % (
                name, "\n".join(body))
        function = self._functions[line.function]
        if handle == "storage":
            body += ["  memset(storage, 0, sizeof storage);", "  handle = storage;"]
        call, guards = self._call(line, {"end": "((char *)buffer + size)"})
        body += ["  if (%s) return false;" % guard for guard in guards]
        body.append("  (void)buffer, (void)size;")
        success = line.success or _SUCCESS[function.result.kind]
        if handle == "result" and role == "init":
            body += ["  handle = (void *)%s;" % call, "  return handle != NULL;"]
        elif success is None:
            body += ["  %s;" % call, "  return true;"]
        else:
            body.append("  return %s %s;" % (call, success))
        return "bool %s(void *buffer, size_t size) {\n%s\n}\n" % (name, "\n".join(body))

    def _function(self, role, aligned=False):
        line = self.lines[role]
        function = self._functions[line.function]
        means = {"alignment": "alignment" if aligned or role == "align" else "(size_t)OWN_ALIGN",
                 "old": "old"}
        call, guards = self._call(line, means)
        fits = ["  if (%s) return NULL;" % guard for guard in guards]
        keeps = self._sizes()
        put = ["  if (made) block_sizes_put(&sizes, made, %s);", "  return made;"]
        if role in ("alloc", "align", "calloc"):
            head = {"alloc": "void *adapted_allocate(size_t size)",
                    "calloc": "void *adapted_allocate_zeroed(size_t count, size_t size)"}.get(role)
            if aligned or role == "align":
                head = "void *adapted_allocate_aligned(size_t alignment, size_t size)"
            amount = "count * size" if role == "calloc" else "size"
            body = fits + (["  void *made = %s;" % call, put[0] % amount, put[1]] if keeps else
                           ["  return %s;" % call])
        elif role == "free":
            head = "void adapted_release(void *block)"
            if "size" in line.arguments:
                call = call.replace(")size", ")given")
                fits = []
            body = (["  size_t given = block ? block_sizes_take(&sizes, block) : 0;", "  (void)given;"]
                    if keeps else []) + ["  %s%s;" % ("" if function.result.kind == VOID else "(void)", call)]
        elif role == "realloc":
            head = "void *adapted_resize(void *block, size_t size)"
            fits = [each for each in fits if "old" not in each]
            body = fits
            if keeps:
                body = fits + ["  size_t old = block ? block_sizes_take(&sizes, block) : 0;",
                               "  (void)old;", "  void *made = %s;" % call,
                               "  if (!made && block && size) block_sizes_put(&sizes, block, old);",
                               put[0] % "size", put[1]]
            else:
                body = fits + ["  return %s;" % call]
        elif role == "usable":
            head = "size_t adapted_usable_size(const void *block)"
            body = ["  return (size_t)%s;" % call]
        else:
            head = "bool adapted_check(void)"
            success = line.success or _SUCCESS[function.result.kind]
            body = ["  return %s %s;" % (call, success)] if success is not None else [
                "  %s;" % call, "  return true;"]
        return "%s {\n%s\n}\n" % (head, "\n".join(body))

    def _hook(self, line):
        """A function that the heap calls."""
        function = self._functions[line.function]
        words = ", ".join("%s %s" % (each.type.plain, word)
                          for each, word in zip(function.parameters, line.arguments)) or "void"
        result = function.result
        amount = "(size_t)count * BACKEND_PAGE" if "count" in line.arguments else "(size_t)size"
        value = {"sbrk": "foreign_sbrk((intptr_t)step)", "brk": "foreign_brk((void *)(uintptr_t)end)",
                 "pages": "foreign_pages(%s)" % amount,
                 "pages_free": "foreign_pages_free((void *)(uintptr_t)address, %s)" % amount}[line.role]
        if line.role == "pages_free" and result.kind == INTEGER:
            value = value + " ? 0 : -1"
        statement = ("  %s;" if result.kind == VOID else "  return (%s)(%%s);" % result.plain) % value
        if result.kind == INTEGER and line.role in ("sbrk", "pages"):
            statement = "  return (%s)(uintptr_t)%s;" % (result.plain, value)
        head = "%s%s%s(%s)" % (result.plain, "" if result.plain.endswith("*") else " ", own(line.function),
                              words)
        return "%s;\n%s {\n%s\n}\n" % (head, head, statement)
