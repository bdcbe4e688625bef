#!/usr/bin/env python3
"""Keeps what Bazel builds and tests for all who build the same: a remote cache over HTTP.

  start     starts nginx with WebDAV in the background, and a keeper that deletes what was not used
            for longest when the cache grows above its size
  stop      ends both; what is cached stays
  status    says where it listens, what it holds and how often it had what was asked for
  test      starts one for a moment, builds a small target twice from nothing, and demands hits
  measure   the same for targets of this tree, in two clones of the last commit, with times

Machines use it by `bazel build --remote_cache=http://ADDRESS ...`, or that line in .bazelrc.user.
It listens on loopback only. With another --address everybody who reaches that may read, and only
loopback and --writer may write: who can write can put programs into other people's builds.
"""
import argparse
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from ci import remote_cache_server as server  # noqa: E402
from ci import workbench  # noqa: E402
from ci.command_line import Parser, positive  # noqa: E402
from ci.workbench import ROOT, CannotRun, shown  # noqa: E402

EPILOG = """\
examples:
  ci/remote_cache start
  bazel test --remote_cache=http://127.0.0.1:8085 //...
  ci/remote_cache start --address 10.0.0.5:8085 --writer 10.0.0.7
  ci/remote_cache measure //:assay //allocators:bump_test_plain

exit codes: 0 done (status: it runs), 1 it does not run or the test failed, 2 could not run
"""

_START_SECONDS = 20

# Small enough to be built from nothing in a moment, and without any compiler.
_SMALL = {
    "WORKSPACE": "",
    "BUILD": """\
[genrule(
    name = "made_%d" % i,
    srcs = ["input.txt"],
    outs = ["made_%d.txt" % i],
    cmd = "tr a-z A-Z <$< >$@ && echo %d >>$@" % i,
) for i in range(8)]
""",
    "input.txt": "assay\n",
}
SMALL_TARGETS = ["//:made_%d" % i for i in range(8)]


def parse_options(arguments):
    parser = Parser(prog="ci/remote_cache", description=__doc__, epilog=EPILOG, allow_abbrev=False,
                    formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["start", "stop", "status", "test", "measure", "keep"],
                        metavar="start|stop|status|test|measure")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="measure: what to build and test")
    parser.add_argument("--folder", metavar="DIR", help="what is cached (out/remote_cache)",
                        default=os.path.join(ROOT, "out", "remote_cache"))
    parser.add_argument("--address", default="127.0.0.1:8085", metavar="HOST:PORT",
                        help="where to listen (127.0.0.1:8085)")
    parser.add_argument("--writer", action="append", default=[], metavar="ADDRESS",
                        help="who else may write: an address or a network; may be repeated")
    parser.add_argument("--gigabytes", type=positive, default=10, metavar="N",
                        help="how large it may grow (10)")
    options = parser.parse_args(arguments)
    if options.targets and options.action != "measure":
        parser.error("only `measure` takes targets")
    if options.action == "measure" and not options.targets:
        parser.error("say what to build: ci/remote_cache measure //:assay")
    for writer in options.writer:
        if not re.fullmatch(r"[0-9a-fA-F.:]+(/[0-9]+)?", writer):
            parser.error("'%s' is no address and no network" % writer)
    return options


class Cache:
    """The server of a folder."""

    def __init__(self, folder, address, writers=(), gigabytes=10):
        self.folder, self.address = server.Folder(folder), address
        self._writers, self._gigabytes = writers, gigabytes

    def start(self):
        server.split(self.address)
        running = self.folder.keeper()
        if running:
            raise CannotRun("it runs already, at %s" % running["address"])
        server.nginx()
        os.makedirs(self.folder.path, exist_ok=True)
        log = self.folder.join("keeper.log")
        command = [sys.executable, os.path.abspath(__file__), "keep", "--folder", self.folder.path,
                   "--address", self.address, "--gigabytes", str(self._gigabytes)]
        for writer in self._writers:
            command += ["--writer", writer]
        with open(log, "w", encoding="utf-8") as said:
            keeper = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said,
                                      cwd="/", start_new_session=True)
        end = time.monotonic() + _START_SECONDS
        while not (self.folder.keeper() and server.answers(self.address)):
            if keeper.poll() is not None or time.monotonic() > end:
                if keeper.poll() is None:
                    keeper.terminate()
                with open(log, encoding="utf-8", errors="replace") as said:
                    raise CannotRun("it did not start: %s" % (
                        said.read().strip().splitlines() or ["see " + shown(log)])[-1])
            time.sleep(0.05)

    def stop(self):
        """False if it did not run."""
        running = self.folder.keeper()
        if not running:
            return False
        os.kill(running["pid"], 15)
        end = time.monotonic() + _START_SECONDS
        while self.folder.keeper():
            if time.monotonic() > end:
                raise CannotRun("process %d does not end" % running["pid"])
            time.sleep(0.05)
        return True


def _share(counts):
    succeeded, failed = counts
    return "%d of %d (%.0f %%)" % (succeeded, succeeded + failed,
                                   100 * succeeded / max(1, succeeded + failed))


def status(cache):
    running = cache.folder.keeper()
    entries = cache.folder.entries()
    counts = cache.folder.counts()
    if running:
        print("listens at %s, may grow to %.1f GB" % (running["address"], running["limit"] / 1e9))
    else:
        print("does not run")
    print("%s holds %d entries, %.1f MB" % (
        shown(cache.folder.path), len(entries), sum(size for _, size, _ in entries) / 1e6))
    print("actions found: %s; files given: %s; files stored: %d" % (
        _share(counts.get(("GET", "ac"), [0, 0])), _share(counts.get(("GET", "cas"), [0, 0])),
        counts.get(("PUT", "cas"), [0, 0])[0]))
    return 0 if running else 1


def free_address():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return "127.0.0.1:%d" % probe.getsockname()[1]


class Builds:
    """Builds from nothing that share one cache and nothing else."""

    def __init__(self, scratch, address):
        self._scratch, self._address = scratch, address
        self._bases = []

    def build(self, workspace, verb, targets):
        """(seconds, processes that ran or were found, of those remote cache hits)."""
        base = os.path.join(self._scratch, "base-%d" % len(self._bases))
        self._bases.append((workspace, base))
        # No settings of the user, which may name another cache. Debian's Bazel needs the machine's.
        command = ["bazel", "--nohome_rc", "--output_base=" + base,
                   "--host_jvm_args=-Xmx700m", verb,
                   "--remote_cache=http://" + self._address, "--disk_cache=", "--color=no",
                   "--curses=no", "--noshow_progress", "--", *targets]
        begin = time.monotonic()
        result = subprocess.run(command, cwd=workspace, stdin=subprocess.DEVNULL, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        seconds = time.monotonic() - begin
        if result.returncode != 0:
            raise CannotRun("bazel %s failed:\n%s" % (verb, result.stdout[-3000:]))
        line = re.search(r"^INFO: (\d+) process(?:es)?: (.*)\.$", result.stdout, re.MULTILINE)
        if not line:
            raise CannotRun("bazel does not say what it did:\n%s" % result.stdout[-3000:])
        kinds = {kind: int(number) for number, kind in
                 re.findall(r"(\d+) ([a-z][a-z -]*)", line.group(2))}
        # Internal ones write lists and links: nothing that a cache could spare.
        work = int(line.group(1)) - kinds.get("internal", 0)
        return seconds, work, kinds.get("remote cache hit", 0)

    def close(self):
        for workspace, base in self._bases:
            subprocess.run(["bazel", "--nohome_rc", "--output_base=" + base,
                            "--host_jvm_args=-Xmx700m", "shutdown"], cwd=workspace, check=False,
                           stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL)
            # Bazel makes its outputs read-only, folders included.
            subprocess.run(["chmod", "-R", "u+w", base], check=False, stderr=subprocess.DEVNULL)


def compare(make_workspace, verb, targets):
    """Twice from nothing, in two workspaces: [(seconds, work, hits)], and the log's counts."""
    if not shutil.which("bazel"):
        raise CannotRun("bazel is not installed: run ci/setup")
    with tempfile.TemporaryDirectory() as scratch:
        cache = Cache(os.path.join(scratch, "cache"), free_address())
        cache.start()
        builds = Builds(scratch, cache.address)
        try:
            outcome = []
            for number in range(2):
                workspace = os.path.join(scratch, "workspace-%d" % number)
                make_workspace(workspace)
                outcome.append(builds.build(workspace, verb, targets))
            return outcome, cache.folder.counts()
        finally:
            builds.close()
            cache.stop()


def small_workspace(path):
    os.mkdir(path)
    for name, text in _SMALL.items():
        with open(os.path.join(path, name), "w", encoding="utf-8") as file:
            file.write(text)


def _clone(path):
    result = subprocess.run(["git", "clone", "-q", ROOT, path], stdin=subprocess.DEVNULL,
                            stderr=subprocess.PIPE, text=True, check=False)
    if result.returncode != 0:
        raise CannotRun("git cannot clone this tree: %s" % result.stderr.strip())


def _tell(outcome, counts):
    for name, (seconds, work, hits) in zip(("first clone", "second clone"), outcome):
        print("%-12s %6.1f s, %4d actions, of them found in the cache: %d (%.1f %%)" % (
            name, seconds, work, hits, 100 * hits / max(1, work)))
    print("nginx: actions found: %s; files given: %s; files stored: %d" % (
        _share(counts.get(("GET", "ac"), [0, 0])), _share(counts.get(("GET", "cas"), [0, 0])),
        counts.get(("PUT", "cas"), [0, 0])[0]))


def test():
    outcome, counts = compare(small_workspace, "build", SMALL_TARGETS)
    _tell(outcome, counts)
    (_, first_work, first_hits), (_, work, hits) = outcome
    held = (first_work == work == hits == len(SMALL_TARGETS) and first_hits == 0 and
            counts.get(("GET", "ac")) == [work, work] and counts.get(("PUT", "ac")) == [work, 0])
    print("passed" if held else "FAILED: the second build was to find all %d actions, the first none" %
          len(SMALL_TARGETS))
    return 0 if held else 1


def act(options):
    if options.action == "keep":
        server.Keeper(server.Folder(options.folder), options.address,
                      ["127.0.0.1", "::1"] + options.writer, options.gigabytes * 10**9, 60).run()
        return 0
    if options.action in ("start", "test", "measure"):
        workbench.set_up("--cache")
    if options.action == "test":
        return test()
    if options.action == "measure":
        _tell(*compare(_clone, "test" if any("test" in t for t in options.targets) else "build",
                       options.targets))
        return 0
    cache = Cache(options.folder, options.address, options.writer, options.gigabytes)
    if options.action == "start":
        cache.start()
        print("listens at %s; use it by: bazel build --remote_cache=http://%s ..." % (
            cache.address, cache.address))
        return 0
    if options.action == "stop":
        stopped = cache.stop()
        print("stopped" if stopped else "did not run")
        return 0
    return status(cache)


def main(arguments):
    try:
        return act(parse_options(arguments))
    except CannotRun as error:
        print("ci/remote_cache: %s" % error, file=sys.stderr)
    except OSError as error:
        print("ci/remote_cache: %s: %s" % (error.filename or "", error.strerror), file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
