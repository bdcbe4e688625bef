"""Finds the program that a command names, and says beforehand if nothing can be preloaded into it."""
import os
import shutil
import stat
import struct

from ci.workbench import CannotRun

# A script's interpreter may be a script.
_DEPTH = 5

_PT_INTERP = 3
_LITTLE, _CLASS_64 = 1, 2


class CannotExecute(Exception):
    """As a shell would say it: with the exit code 126 or 127."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


def find(name):
    """The path of the command's program, into which an object can be preloaded."""
    if os.sep in name:
        path = name
        if not os.path.exists(path):
            raise CannotExecute(127, "%s: no such file" % name)
    else:
        path = shutil.which(name)
        if not path:
            raise CannotExecute(127, "%s: command not found" % name)
    if os.path.isdir(path):
        raise CannotExecute(126, "%s: is a folder" % name)
    if not os.access(path, os.X_OK):
        raise CannotExecute(126, "%s: permission denied: it is not executable" % name)
    _examine(path, name, _DEPTH)
    return path


def _examine(path, name, depth):
    status = os.stat(path)
    others = (status.st_mode & stat.S_ISUID and status.st_uid != os.geteuid()
              or status.st_mode & stat.S_ISGID and status.st_gid != os.getegid())
    if others:
        raise CannotRun("%s: runs with the rights of another user or group, and then the loader preloads "
                        "nothing; run it as that user" % name)
    try:
        with open(path, "rb") as file:
            head = file.read(4096)
            if head[:2] == b"#!":
                _examine_script(head, name, depth)
            else:
                _examine_binary(file, head, name)
    except PermissionError:
        pass    # it can be executed, and what it is cannot be told


def _examine_script(head, name, depth):
    words = head[2:].split(b"\n", 1)[0].decode(errors="replace").split()
    if not words or depth == 0:
        raise CannotExecute(126, "%s: names no interpreter in its first line" % name)
    interpreter = words[0]
    if os.path.basename(interpreter) == "env" and len(words) > 1 and words[1][0] != "-":
        interpreter = shutil.which(words[1]) or interpreter
    if not os.path.exists(interpreter):
        raise CannotExecute(126, "%s: its interpreter %s is not there" % (name, interpreter))
    _examine(interpreter, "%s (the interpreter of %s)" % (interpreter, name), depth - 1)


def _examine_binary(file, head, name):
    if head[:4] != b"\x7fELF" or len(head) < 64:
        raise CannotExecute(126, "%s: neither a program nor a script with an interpreter in its first "
                            "line" % name)
    if head[4] != _CLASS_64 or head[5] != _LITTLE:
        raise CannotRun("%s: a program of another architecture: strategies are preloaded into 64-bit "
                        "programs of this machine only; build it for this machine" % name)
    offset, = struct.unpack_from("<Q", head, 32)
    entry, count = struct.unpack_from("<HH", head, 54)
    file.seek(offset)
    table = file.read(entry * count)
    kinds = [struct.unpack_from("<I", table, at)[0] for at in range(0, len(table) - 3, entry or 1)]
    if _PT_INTERP not in kinds:
        raise CannotRun("%s: is statically linked, so that nothing can be preloaded into it; link it "
                        "dynamically" % name)
