"""Which sources a strategy, a collection or a planted bug is made of: a finding is about these and no
others."""
import collections
import glob
import hashlib
import os
import re

from ci import workbench


# Of a strategy that comes from elsewhere: absolute paths, and which of its functions serves which slot of
# the vtable.
Elsewhere = collections.namedtuple("Elsewhere", "paths functions", defaults=({},))
foreign = {}


_INCLUDE = re.compile(r'^#include "collections/(\w+)\.h"', re.MULTILINE)


def _of_collection(name, root):
    """A collection's file and its header, and those that it is built on, such as string on utf8."""
    path = "collections/%s.c" % name
    try:
        with open(os.path.join(root, path), encoding="utf-8") as file:
            included = _INCLUDE.findall(file.read())
    except OSError:
        return
    yield path
    yield "collections/%s.h" % name
    for other in included:
        if other != name:
            yield from _of_collection(other, root)


def _parts(strategy):
    """Patterns of files below the top folder."""
    base, _, bug = strategy.partition("+")
    if bug:
        yield "fuzz/*/%s.%s.patch" % (base, bug)
    yield "allocators/%s.c" % base
    yield "allocators/%s_*.h" % base
    if base.startswith("locked_"):
        yield "allocators/locked.c"
        yield from _parts(base[len("locked_"):])


def files_of(strategy, root=workbench.ROOT):
    """Their paths from the root; of what comes from elsewhere, as they were given."""
    if strategy in foreign:
        return list(foreign[strategy].paths)
    patterns = [*_parts(strategy), *_of_collection(strategy.partition("+")[0], root)]
    return [os.path.relpath(path, root) for pattern in patterns
            for path in sorted(glob.glob(os.path.join(glob.escape(root), pattern)))]


def source_hash(strategy, root=workbench.ROOT):
    """Twelve hexadecimal digits, or '' if the strategy's file is not there."""
    digest = hashlib.sha256()
    found = False
    for path in files_of(strategy, root):
        with open(os.path.join(root, path), "rb") as file:
            digest.update(path.encode() + b"\0" + file.read() + b"\0")
        found = found or path.endswith(".c")
    return digest.hexdigest()[:12] if found else ""
