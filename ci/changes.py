"""Which strategies and collections a change can affect: those whose sources, headers included, it
touches. A collection is tested over all strategies, but it is not their test."""
import fnmatch
import os
import re
import subprocess
import sys

from ci.workbench import ROOT, CannotRun

sys.path.insert(0, os.path.join(ROOT, "fuzz"))
import build_targets  # noqa: E402  # pylint: disable=wrong-import-position

_INCLUDE = re.compile(r'^\s*#\s*include\s+"((?:allocators|collections)/[^"]+)"', re.MULTILINE)

# What every fuzz target is made of. Tests, and what Python does around the targets, are not.
_OF_ALL = ["harness/*.c", "harness/*.h", "fuzz/*.c", "fuzz/*.h", "fuzz/*.bzl", "corpus/*/*",
           "*/BUILD", "allocators/source_*.c", "allocators/registry.c",
           "allocators/generate_registry.py", "allocators/strategies.bzl",
           "collections/collections.bzl", "bazel/*", ".bazelrc", "WORKSPACE"]
_OF_NONE = ["*_test.c", "ci/*", "reports/*", "bench/*", "harness/assay_*.c", "harness/*_preload.c",
            "harness/preload/*", "harness/drive_*.c", "harness/drive_*.h", "corpus/collections/*"]

# Of all collections, and of no strategy.
_OF_COLLECTIONS = ["corpus/collections/*"]

_REGISTRIES = ("allocators/registry.bzl", "collections/registry.bzl")


def _matches(path, patterns):
    return any(fnmatch.fnmatch(path, pattern) for pattern in patterns)


def _git(*arguments, root=ROOT):
    try:
        result = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True,
                                check=False)
    except OSError as error:
        raise CannotRun("git: %s" % error.strerror) from error
    return result.stdout if result.returncode == 0 else None


def base_of(wanted, root=ROOT):
    """The commit that changes are counted from: the merge base with `wanted`, or with what a pull
    request says that it goes into, or with the main branch."""
    target = os.environ.get("GITHUB_BASE_REF")
    tried = [wanted] if wanted else (["origin/" + target] if target else []) + ["origin/main", "main"]
    for name in tried:
        commit = _git("merge-base", name, "HEAD", root=root)
        if commit:
            return commit.strip()
    raise CannotRun("git knows no common commit with %s: fetch it, or say --base REF" %
                    " or ".join(tried))


def changed_files(base, root=ROOT):
    """Paths that differ from `base`, new ones that git does not know yet included."""
    differing = _git("diff", "--name-only", "-z", base, "--", root=root)
    new = _git("ls-files", "-z", "--others", "--exclude-standard", root=root)
    if differing is None or new is None:
        raise CannotRun("git cannot compare with %s" % base)
    return sorted({path for path in (differing + new).split("\0") if path})


def _registry_names(registry, base, root):
    """Names that stand on changed lines of a registry."""
    lines = _git("diff", "-U0", base, "--", registry, root=root) or ""
    return {name for line in lines.splitlines() if re.match(r"[+-][^+-]", line)
            for name in re.findall(r'"(\w+)"', line)}


def _own(strategy, known):
    """The C files that a strategy or a collection is compiled from."""
    if hasattr(strategy, "parts"):
        return ["harness/drive_%s.c" % strategy.name] + ["collections/" + s for s in strategy.sources]
    return ["allocators/" + strategy.source] + ["allocators/" + known[inner].source
                                                for inner in strategy.inner]


def _sources(strategy, known, root):
    """The same, and all headers of the floor that these include."""
    waiting = _own(strategy, known)
    found = set()
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        try:
            with open(os.path.join(root, path), encoding="utf-8") as file:
                waiting += _INCLUDE.findall(file.read())
        except OSError:
            pass    # generated, or gone: then whoever includes it has changed as well
    return found


def affected(files, base, root=ROOT):
    """(names of strategies in the registry's order, why these in one line)."""
    try:
        collections = build_targets.read_collections()
        strategies = build_targets.read_strategies() + collections
    except build_targets.CannotBuild as error:
        raise CannotRun(str(error)) from error
    of_all = [path for path in files if _matches(path, _OF_ALL) and not _matches(path, _OF_NONE)]
    if of_all:
        return [s.name for s in strategies], "all, for every target is made of %s%s" % (
            of_all[0], " and others" if len(of_all) > 1 else "")
    touched = set(files)
    named = {name for registry in _REGISTRIES if registry in touched
             for name in _registry_names(registry, base, root)}
    known = {s.name: s for s in strategies}
    seeds = any(_matches(path, _OF_COLLECTIONS) for path in files)
    found = [s.name for s in strategies
             if touched & _sources(s, known, root) or s in collections and seeds or
             named & {s.name, *getattr(s, "inner", ())}]
    return found, "their sources changed" if found else "no strategy's sources changed"
