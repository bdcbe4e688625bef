"""What a C source says of its functions, as the compiler reads it: types of results and of parameters."""
import dataclasses
import json
import re
import subprocess
import typing

from ci.workbench import CannotRun, shown

POINTER, INTEGER, BOOL, VOID, OTHER = "pointer", "integer", "bool", "void", "other"

# Seconds.
_PATIENCE = 60

_INTEGER = re.compile(r"(unsigned |signed )?(char|short|int|long|long long|__int128)|enum \w+|"
                      r"(unsigned |signed )?(long|short|char)( int)?|unsigned|signed|long long( int)?|"
                      r"unsigned long long( int)?")


@dataclasses.dataclass(frozen=True)
class Type:
    kind: str
    text: str                # as C writes it, without typedefs as far as it is an integer

    @property
    def plain(self):
        """A type that is passed alike, and needs no declaration."""
        if self.kind == POINTER:
            return "void *"
        if self.kind == BOOL:
            return "_Bool"
        return "int" if self.text.startswith("enum ") else self.text


@dataclasses.dataclass(frozen=True)
class Parameter:
    name: str
    type: Type


@dataclasses.dataclass(frozen=True)
class Function:
    name: str
    result: Type
    parameters: typing.Tuple[Parameter, ...]
    static: bool
    variadic: bool = False

    def prototype(self, name):
        """Its declaration under another name."""
        words = ", ".join(parameter.type.plain for parameter in self.parameters) or "void"
        result = self.result.plain
        return "%s%s%s(%s)" % (result, "" if result.endswith("*") else " ", name, words)


def _values(text):
    """The JSON values in what clang dumps."""
    decoder, at = json.JSONDecoder(), text.find("{")
    while at != -1:
        value, end = decoder.raw_decode(text, at)
        yield value
        at = text.find("{", end)


class Declarations:
    """Of one source, compiled with `command` (a compiler and its flags)."""

    def __init__(self, command, source):
        self._command, self._source = command, source
        self._dumps = {}

    def _dump(self, name):
        """The nodes of the declarations with this name; none if the source does not compile."""
        if name not in self._dumps:
            try:
                result = subprocess.run(
                    [*self._command, "-w", "-fsyntax-only", "-Xclang", "-ast-dump=json", "-Xclang",
                     "-ast-dump-filter=" + name, self._source], stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=_PATIENCE, check=False)
            except (OSError, subprocess.TimeoutExpired) as error:
                raise CannotRun("%s: its declarations cannot be read: %s" % (
                    shown(self._source), error)) from error
            self._dumps[name] = [node for node in _values(result.stdout.decode(errors="replace"))
                                 if node.get("name") == name]
        return self._dumps[name]

    def function(self, name):
        """The Function, or None."""
        found = [node for node in self._dump(name) if node["kind"] == "FunctionDecl"]
        if not found:
            return None
        # A definition knows the parameters' names.
        found.sort(key=lambda node: any(part["kind"] == "CompoundStmt" for part in node.get("inner", ())))
        node = found[-1]
        whole = node["type"]["qualType"]
        parameters = tuple(
            Parameter(part.get("name", ""), self._type(part["type"].get(
                "desugaredQualType", part["type"]["qualType"])))
            for part in node.get("inner", ()) if part["kind"] == "ParmVarDecl")
        static = any(each.get("storageClass") == "static" for each in found)
        return Function(name, self._type(_result(whole)), parameters, static, bool(node.get("variadic")))

    def _type(self, text):
        """Follows typedefs."""
        for _ in range(20):
            text = re.sub(r"\b(const|volatile|restrict|__restrict|register)\b", "", text)
            text = " ".join(text.split())
            if text.endswith(("*", "]")) or "(*" in text or "(^" in text:
                return Type(POINTER, text)
            if text in ("_Bool", "bool"):
                return Type(BOOL, text)
            if text == "void":
                return Type(VOID, text)
            if _INTEGER.fullmatch(text):
                return Type(INTEGER, text)
            if not re.fullmatch(r"\w+", text):
                return Type(OTHER, text)
            typedefs = [node for node in self._dump(text) if node["kind"] == "TypedefDecl"]
            if not typedefs:
                return Type(OTHER, text)
            kind = typedefs[0]["type"]
            before, text = text, kind.get("desugaredQualType", kind["qualType"])
            if text == before:
                # A type without a name of its own: an enumeration is an integer.
                tagged = any("EnumDecl" == part.get("ownedTagDecl", {}).get("kind")
                             for part in typedefs[0].get("inner", ()))
                return Type(INTEGER, "int") if tagged else Type(OTHER, text)
        return Type(OTHER, text)


def _result(text):
    """The result of a function type: what comes before its parameters, which are the last brackets."""
    depth = 0
    for at in range(len(text) - 1, -1, -1):
        depth += (text[at] == ")") - (text[at] == "(")
        if text[at] == "(" and depth == 0:
            return text[:at].strip()
    return text
