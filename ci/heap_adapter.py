"""How a heap's functions are called: lines that say so, and what can be told without them.

A line is `ROLE = FUNCTION(ARGUMENT, ...)`, with what arguments mean:

  init = o1heapInit(buffer, size)           alloc = o1heapAllocate(handle, size)

or only `ROLE = FUNCTION`: then the declaration tells, by the number and the types of parameters and, where
these leave it open, their names.
"""
import dataclasses
import os
import re
import typing

from ci.c_declarations import OTHER, POINTER, VOID
from ci.workbench import CannotRun, shown

# What an argument may be, besides a number and NULL, where the adapter calls the heap.
WORDS = {
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
HOOKS = {
    "sbrk": ("step",),
    "brk": ("end",),
    "pages": ("size", "count", "alignment"),
    "pages_free": ("address", "size", "count"),
}
_LISTS = ("source", "include", "cflag", "memory")

REQUIRED = ("alloc", "free")

_LINE = re.compile(r"(\w+)\s*=\s*(.+)")
_CALL = re.compile(r"(\w+)\s*(?:\(([^()]*)\)\s*(?:(==|!=|>=|<=|>|<)\s*(-?\w+))?)?")
NUMBER = re.compile(r"-?(0[xX][0-9a-fA-F]+|\d+)[uUlL]*|NULL|true|false")

_ROLES = tuple(WORDS) + tuple(HOOKS)


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
        known = WORDS.get(role) or HOOKS[role]
        for word in line.arguments:
            if word not in known and not NUMBER.fullmatch(word):
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
                                ", ".join(WORDS.get(line.role) or HOOKS[line.role])))
    if len(line.arguments) != len(function.parameters):
        raise CannotRun("%s: %s takes %d arguments (%s), not %d" % (
            line.place, function.name, len(function.parameters), describe(function), len(line.arguments)))
    if line.role in ("alloc", "realloc", "calloc", "align") and function.result.kind != POINTER:
        raise CannotRun("%s: %s returns no pointer" % (line.place, function.name))


def describe(function):
    return ", ".join("%s %s" % (each.type.text, each.name) if each.name else each.type.text
                     for each in function.parameters) or "none"
