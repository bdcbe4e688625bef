#!/usr/bin/env python3
"""Runs a command where only /tmp can be written, as fuzz targets are run on many machines.

  read_only.py FOLDER COMMAND...      FOLDER appears as /mnt; /tmp is new and empty

In a mount namespace of its own all is read-only. Where that is forbidden, as in most containers, root
becomes a user who owns nothing, and /mnt in the command stands for FOLDER itself.
"""
import ctypes
import os
import subprocess
import sys
import tempfile

_CLONE_NEWNS, _CLONE_NEWUSER = 0x20000, 0x10000000
_MS_BIND, _MS_REC, _MS_PRIVATE = 4096, 16384, 1 << 18
_SYS_MOUNT_SETATTR, _AT_FDCWD, _AT_RECURSIVE, _MOUNT_ATTR_RDONLY = 442, -100, 0x8000, 1
_NOBODY = 65534

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result, what):
    if result != 0:
        raise OSError(ctypes.get_errno(), what)


def _mount(source, target, kind, flags):
    _check(_libc.mount(source.encode(), target.encode(), kind.encode() if kind else None,
                       ctypes.c_ulong(flags), None), "mount %s" % target)


def enter_namespace(folder):
    """This process sees everything read-only, and an empty /tmp."""
    user, group = os.getuid(), os.getgid()
    # As root of the machine no namespace of users is needed, and it may be forbidden.
    if user != 0 or _libc.unshare(_CLONE_NEWNS) != 0:
        _check(_libc.unshare(_CLONE_NEWNS | _CLONE_NEWUSER), "unshare")
        for name, text in (("setgroups", "deny"), ("uid_map", "0 %d 1" % user),
                           ("gid_map", "0 %d 1" % group)):
            with open("/proc/self/" + name, "w", encoding="ascii") as file:
                file.write(text)
    _mount("none", "/", None, _MS_REC | _MS_PRIVATE)
    _mount(folder, "/mnt", None, _MS_BIND)
    # struct mount_attr: set, clear, propagation, user namespace
    attributes = (ctypes.c_uint64 * 4)(_MOUNT_ATTR_RDONLY, 0, 0, 0)
    _check(_libc.syscall(_SYS_MOUNT_SETATTR, _AT_FDCWD, b"/", _AT_RECURSIVE, attributes,
                         ctypes.sizeof(attributes)), "mount_setattr")
    _mount("tmpfs", "/tmp", "tmpfs", 0)


def become_nobody():
    os.setgroups([])
    os.setgid(_NOBODY)
    os.setuid(_NOBODY)


def writable(path):
    try:
        with tempfile.TemporaryFile(dir=path):
            return True
    except OSError:
        return False


def main():
    folder, command = os.path.abspath(sys.argv[1]), sys.argv[2:]
    try:
        enter_namespace(folder)
        private = True
    except OSError as error:
        if os.getuid() != 0:
            sys.exit("read_only.py: neither namespaces (%s) nor root: cannot make all but /tmp "
                     "read-only" % error)
        become_nobody()
        private = False
        command = [folder + word[len("/mnt"):] if word.startswith("/mnt/") else word
                   for word in command]
    os.chdir("/")
    home = "/mnt" if private else folder
    if writable(home) or writable("/") or not writable("/tmp"):
        sys.exit("read_only.py: %s or / can be written, or /tmp cannot" % home)
    env = dict(os.environ, TMPDIR="/tmp", HOME="/nonexistent")
    sys.exit(subprocess.run(command, env=env, check=False).returncode)


if __name__ == "__main__":
    main()
