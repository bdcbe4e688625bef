"""Sets the machine up and builds what fuzzing needs; knows where each program lies.

The programs are copied before they are used: a build that somebody starts meanwhile changes nothing
in a running session.
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

ENGINES = ("libfuzzer", "afl")

# Fuzz targets by engine and sanitizer, an engine's usual one first; fuzz/fuzz_target.bzl makes them.
PROGRAMS = {
    ("libfuzzer", "address"): "%s_libfuzzer",
    ("libfuzzer", "none"): "%s_plain_libfuzzer",
    ("libfuzzer", "memory"): "%s_msan_libfuzzer",
    ("libfuzzer", "thread"): "%s_tsan_libfuzzer",
    ("afl", "none"): "%s_afl",
    ("afl", "address"): "%s_afl_asan",
}

SANITIZERS = ("address", "none", "memory", "thread")

MUTATOR = "fuzz/mutator_afl.so"


class CannotRun(Exception):
    """One line that says why, and what to do."""


def shown(path):
    """A path as people want to see it and to type it: from where they are, if below."""
    relative = os.path.relpath(path)
    return path if relative.startswith(os.pardir + os.sep) else relative


def set_up(*options):
    """ci/setup; silent if there was nothing to do."""
    command = [os.path.join(ROOT, "ci", "setup"), *options]
    try:
        checked = subprocess.run(command + ["--check"], stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL, check=False)
        if checked.returncode == 0:
            return
        code = subprocess.run(command, check=False).returncode
    except OSError as error:
        raise CannotRun("%s: %s" % (command[0], error.strerror)) from error
    if code != 0:
        raise CannotRun("ci/setup could not install what is missing (see above)")


def source_version():
    """The commit, `+` if the tree is not clean; '' where there is no git."""
    try:
        commit = subprocess.run(["git", "rev-parse", "--short=12", "HEAD"], cwd=ROOT,
                                capture_output=True, text=True, check=True).stdout.strip()
        changed = subprocess.run(["git", "status", "--porcelain", "--untracked-files=no"],
                                 cwd=ROOT, capture_output=True, text=True,
                                 check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
    return commit + ("+" if changed else "")


def _built_labels(events):
    """The labels that a file of Bazel's build events says were built."""
    built = set()
    try:
        with open(events, encoding="utf-8") as f:
            for line in f:
                event = json.loads(line)
                label = event.get("id", {}).get("targetCompleted", {}).get("label")
                if label and event.get("completed", {}).get("success"):
                    built.add(label)
    except (OSError, ValueError):
        pass    # Bazel ended before it could say: nothing counts as built
    return built


class Workbench:
    """Programs under a folder that is laid out like bazel-bin."""

    def __init__(self, prebuilt=None):
        self._prebuilt = os.path.abspath(prebuilt) if prebuilt else None
        self._bin = self._prebuilt

    def build(self, labels):
        """Builds the labels; shows Bazel's output only where it matters."""
        if self._prebuilt:
            return
        result = self._bazel(labels)
        if result.returncode != 0:
            if result.stderr:
                sys.stderr.write(result.stderr.decode(errors="replace")[-6000:])
            raise CannotRun("bazel could not build %s (see above)" % " ".join(labels))
        self._find_bin()

    def build_what_can(self, programs):
        """Builds what can be built of {label: path below bazel-bin}; returns the labels that could
        not, and the end of Bazel's output, which says why."""
        if self._prebuilt:
            return [label for label, path in programs.items()
                    if not os.path.exists(os.path.join(self._bin, path))], ""
        with tempfile.TemporaryDirectory() as folder:
            events = os.path.join(folder, "events.json")
            result = self._bazel(list(programs), "--keep_going",
                                 "--build_event_json_file=" + events)
            built = _built_labels(events)
        self._find_bin()
        # A file that is there may be that of an earlier build.
        failed = [label for label in programs if label not in built]
        said = (result.stderr or b"").decode(errors="replace")[-6000:]
        return failed, said if failed else ""

    def _bazel(self, labels, *options):
        if not shutil.which("bazel"):
            raise CannotRun("bazel is not installed: run ci/setup")
        terminal = sys.stderr.isatty()
        quiet = ["--ui_event_filters=-info,-debug,-warning", "--show_result=0"]
        command = ["bazel", "build"] + quiet + ([] if terminal else ["--noshow_progress"]) + [
            *options, "--", *labels]
        try:
            return subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, check=False,
                                  stderr=None if terminal else subprocess.PIPE)
        except OSError as error:
            raise CannotRun("bazel: %s" % error.strerror) from error

    def _find_bin(self):
        if not self._bin:
            # The symbolic link bazel-bin may have another name, or be of another configuration.
            result = subprocess.run(["bazel", "info", "bazel-bin"], cwd=ROOT, text=True,
                                    stdin=subprocess.DEVNULL, capture_output=True, check=False)
            self._bin = result.stdout.strip() or os.path.join(ROOT, "bazel-bin")

    def program(self, path):
        """The built file at `path` below bazel-bin."""
        path = os.path.join(self._bin, path)
        if not os.path.exists(path):
            raise CannotRun("%s: the build did not make it" % shown(path))
        return path

    def assay(self, *arguments):
        """The output of a short run of assay."""
        program = self.program("assay.elf")
        try:
            result = subprocess.run([program, *arguments], stdin=subprocess.DEVNULL,
                                    capture_output=True, text=True, check=False)
        except OSError as error:
            raise CannotRun("%s: %s" % (shown(program), error.strerror)) from error
        if result.returncode != 0:
            raise CannotRun("assay %s failed: %s" % (" ".join(arguments), result.stderr.strip()))
        return result.stdout

    def strategies(self):
        """Names, in the order of the registry."""
        return self.assay("list", "--names").split()

    def allocators(self):
        """Those of them that are no collections."""
        told = json.loads(self.assay("list", "--json"))["strategies"]
        return [strategy["name"] for strategy in told if "collection" not in strategy["traits"]]

    def threaded(self):
        """Those of our own that several threads may call at once."""
        found, name = [], ""
        for line in self.assay("list").splitlines():
            if not line.startswith(" "):
                name = line.split()[0]
            traits = set(line.split()[1:]) if line.split()[0] == "traits:" else set()
            if traits & {"concurrent", "allocates-concurrently"} and "foreign" not in traits:
                found.append(name)
        return found

    def plants(self):
        """{name: what `assay list --planted` says of it}."""
        plants = {}
        for line in self.assay("list", "--planted").splitlines():
            name, _, rest = line.partition(" ")
            if name:
                plants[name] = rest.strip()
        return plants

    def copy(self, paths, folder):
        """Copies built files into `folder`; returns {path below bazel-bin: the copy}."""
        copies = {}
        for path in paths:
            target = os.path.join(folder, path)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            shutil.copy(self.program(path), target)
            # Bazel's outputs are read-only, and the next run replaces the copy.
            os.chmod(target, 0o755)
            copies[path] = target
        return copies


def choose(wanted, known, noun):
    """The names `wanted`, each once, all of which must be among those `known`; none: all."""
    for name in wanted:
        if name not in known:
            raise CannotRun("unknown %s '%s'; there is: %s" % (noun, name, " ".join(known)))
    return list(dict.fromkeys(wanted)) or list(known)


def plants_called(name, plants):
    """The full names of planted bugs, for `bump+bug`, just `bug`, or a historical one's id."""
    return [plant for plant, text in plants.items()
            if name in (plant, plant.partition("+")[2], text.partition(":")[0])]


def choose_plant(name, plants):
    """The only one that is called so."""
    found = plants_called(name, plants)
    if len(found) == 1:
        return found[0]
    if found:
        raise CannotRun("several strategies have a planted bug '%s': %s" % (name, " ".join(found)))
    if not plants:
        raise CannotRun("unknown planted bug '%s'; this tree has none" % name)
    # Of a strategy that has some, its own ones are what was meant.
    near = {plant: text for plant, text in plants.items()
            if plant.partition("+")[0] == name.partition("+")[0]} or plants
    width = max(len(plant) for plant in near)
    raise CannotRun("unknown planted bug '%s'; there is:\n%s" % (name, "\n".join(
        "  %-*s  %s" % (width, plant, text) for plant, text in near.items())))


def seed_folder(strategy, tree=ROOT):
    """What fuzzing a strategy or one of its planted bugs starts from: programs of collections mean
    nothing to allocators."""
    collection = os.path.join(tree, "collections", strategy.partition("+")[0] + ".c")
    return os.path.join(tree, "corpus", "collections" if os.path.exists(collection) else "seeds")


def inputs_of(folder):
    """Paths of the files in it."""
    return sorted(os.path.join(folder, name) for name in os.listdir(folder))


def usual_sanitizer(engine):
    return next(sanitizer for other, sanitizer in PROGRAMS if other == engine)


def target_path(strategy, engine, plant=False, sanitizer=""):
    """The fuzz target's program below bazel-bin; without a sanitizer's name, the engine's usual."""
    name = PROGRAMS[engine, sanitizer or usual_sanitizer(engine)]
    return "fuzz/%s.elf" % (name % ("planted" if plant else strategy))


def jobs(strategies, engines, sanitizers=(), threaded=()):
    """(strategy, engine, sanitizer) of all that can be fuzzed so, `threaded` being the strategies
    that have a thread sanitizer's target. Without sanitizers: each engine's usual."""
    return [(strategy, engine, sanitizer) for strategy in strategies for engine in engines
            for other, sanitizer in PROGRAMS
            if other == engine and sanitizer in (sanitizers or (usual_sanitizer(engine),))
            and (sanitizer != "thread" or strategy in threaded)]


def label_of(path):
    """What to build for a file below bazel-bin."""
    return "//" + (path[:-len(".elf")] if path.endswith(".elf") else path).replace("/", ":")


def targets(strategies, engines, plant=False):
    """What to build for them: {label: path below bazel-bin}."""
    paths = [target_path(strategy, engine, plant) for strategy in strategies for engine in engines]
    return {label_of(path): path for path in paths + ([MUTATOR] if "afl" in engines else [])}
