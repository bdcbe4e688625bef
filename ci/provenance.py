"""Which sources a strategy, or a planted bug, is made of: a finding is about these and no others."""
import collections
import glob
import hashlib
import os

from ci import workbench


# Of a strategy that comes from elsewhere: absolute paths, and which of its functions serves which slot of
# the vtable.
Elsewhere = collections.namedtuple("Elsewhere", "paths functions", defaults=({},))
foreign = {}


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
    return [os.path.relpath(path, root) for pattern in _parts(strategy)
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
