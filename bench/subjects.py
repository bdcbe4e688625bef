"""Whom to measure: strategies, the allocators that people use, and the system's bare pages."""
import collections
import glob
import os
import subprocess
import sysconfig

STRATEGY, PEER, SYSTEM = "strategy", "peer", "system"

# `library`: the file to preload, or empty. `missing`: what to do about a subject that is not there.
Subject = collections.namedtuple("Subject", "name kind library package version missing")

# name, Debian's package, its library
_PEERS = (
    ("glibc", "libc6", ""),
    ("jemalloc", "libjemalloc2", "libjemalloc.so.2"),
    ("mimalloc", "libmimalloc2.0", "libmimalloc.so.2*"),
    ("tcmalloc", "libtcmalloc-minimal4", "libtcmalloc_minimal.so.4"),
)

# All that may be measured beside strategies.
OTHERS = tuple(name for name, _, _ in _PEERS) + ("raw",)


def _package_version(package):
    try:
        result = subprocess.run(["dpkg-query", "-W", "-f", "${db:Status-Status} ${Version}",
                                 package], capture_output=True, text=True, check=False)
    except OSError:
        return ""
    status, _, version = result.stdout.partition(" ")
    return version if status == "installed" else ""


def _find_library(pattern, folders):
    for folder in folders:
        found = sorted(glob.glob(os.path.join(folder, pattern)), key=len)
        if found:
            return found[0]
    return ""


def _library_folders():
    triplet = sysconfig.get_config_var("MULTIARCH") or "%s-linux-gnu" % os.uname().machine
    return [os.path.join(prefix, sub) for prefix in ("/usr/lib", "/lib", "/usr/local/lib")
            for sub in (triplet, "")]


def peers(folders=None):
    """All of them; those that are not installed say so."""
    found = []
    for name, package, pattern in _PEERS:
        library = _find_library(pattern, folders or _library_folders()) if pattern else ""
        missing = "" if library or not pattern else "not installed: apt-get install %s" % package
        version = _package_version(package) or ("" if pattern else _glibc_version())
        found.append(Subject(name, PEER, library, package, version, missing))
    return found


def _glibc_version():
    try:
        return os.confstr("CS_GNU_LIBC_VERSION") or ""
    except ValueError:
        return ""


def raw():
    return Subject("raw", SYSTEM, "", "", os.uname().release, "")


def strategy(name):
    return Subject(name, STRATEGY, "", "", "", "")
