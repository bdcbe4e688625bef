"""Asks the program `assay` for verdicts, minimal programs and their other forms.

`assay_asan` is asked first: it sees what only sanitizers see, and names the culprit better. What
the plain build shows as well is minimised with that, which is faster.
"""
import dataclasses
import errno
import json
import os
import shutil
import signal

from ci import process
from ci.engine_session import engines

PLAIN, ASAN, TSAN, MSAN = BUILDS = ("assay", "assay_asan", "assay_tsan", "assay_msan")

# What sees more than ASAN and PLAIN of a suspect that came from a job with this sanitizer.
_FIRST = {"thread": TSAN, "memory": MSAN}

# As the fuzz targets run.
TIER = "full"

# Seconds for one program. assay itself gives up after 60.
PATIENCE = 90

# That of the compiler before any other: it reads its own DWARF.
_SYMBOLIZERS = ("llvm-symbolizer-19", "llvm-symbolizer")

# Whoever is short of memory kills processes that are not at fault.
_TRIES = 3

# Programs judged by one process when a corpus is replayed.
_BATCH = 400


@dataclasses.dataclass
class Verdict:
    """A violation, and the build of assay that showed it."""
    property: str
    signature: str
    diagnosis: str
    site: str
    operation: int
    operations: int
    build: str

    @property
    def identity(self):
        return self.property, self.signature

    @classmethod
    def from_json(cls, line, build):
        """Of a line of `assay run --json`; None if it says clean. ValueError if it is no verdict.
        """
        fields = json.loads(line)
        try:
            if fields["verdict"] == "clean":
                return None
            return cls(fields["verdict"], fields["signature"], fields["diagnosis"],
                       fields.get("site", ""), fields["operation"], fields["operations"], build)
        except (KeyError, TypeError) as error:
            raise ValueError("no verdict: %s" % line) from error


def needed(sanitizers):
    """The builds that judge suspects of jobs with these sanitizers."""
    return [PLAIN, ASAN] + [build for sanitizer, build in _FIRST.items() if sanitizer in sanitizers]


class CannotJudge(Exception):
    """assay did not answer; its message is the text."""


class Stopped(Exception):
    """There is no more time for the answer."""


class Judge:
    """Runs the builds of assay, until stop() says that there is no more time for that."""

    stop = staticmethod(lambda: False)

    def __init__(self, programs):
        """`programs`: {PLAIN: path, ASAN: path}, and those of needed() by the jobs."""
        self._programs = programs

    def builds(self, sanitizer=""):
        """Those to ask about a suspect, one after the other."""
        first = _FIRST.get(sanitizer)
        return ([first] if first in self._programs else []) + [ASAN, PLAIN]

    def _environment(self, build):
        if build == PLAIN:
            return None
        env = engines.environment(engines.SANITIZERS)
        if build == MSAN:
            return env
        if build == TSAN:
            # Its verdict names the functions.
            env["TSAN_OPTIONS"] = "abort_on_error=1:halt_on_error=1:" + env.get("TSAN_OPTIONS", "")
            return env
        env["ASAN_OPTIONS"] += ":symbolize=0"
        env["UBSAN_OPTIONS"] += ":symbolize=0"
        return env

    def _assay(self, build, arguments, seconds=PATIENCE, env=None, stop=None):
        """`stop` in place of the judge's own; what it said until then is returned, with exit code None.
        """
        command = [self._programs[build]] + arguments
        try:
            for _ in range(_TRIES):
                code, out, err = process.run(
                    command, env or self._environment(build), seconds,
                    stop or self.stop)
                if code is None and not stop and self.stop():
                    raise Stopped(" ".join(command[:2]))
                if code != -signal.SIGKILL:
                    break
        except OSError as error:
            raise CannotJudge("%s: %s" % (command[0], error.strerror)) from error
        if os.strerror(errno.ENOSPC) in err:
            # Nothing that is missing for that may look as if there were nothing.
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), arguments[-1])
        return code, out, err

    def _run(self, build, strategy, paths, seconds=PATIENCE, stop=None):
        """`assay run` on them: (exit code, its verdicts {path: Verdict or None}, what it complained
        of). A path without verdict was not judged."""
        code, out, err = self._assay(
            build, ["run", "--strategy", strategy, "--tier", TIER, "--json", "--quiet"] + paths,
            seconds, stop=stop)
        verdicts = {}
        for line in out.splitlines():
            try:
                verdicts[json.loads(line)["file"]] = Verdict.from_json(line, build)
            except (ValueError, KeyError, TypeError):
                pass    # cut off
        return code, verdicts, err

    def once(self, build, strategy, path):
        """The verdict of one build on one program, in a process of its own; None: clean."""
        code, verdicts, err = self._run(build, strategy, [path])
        if path not in verdicts:
            raise CannotJudge(_last_line(err) or (
                "%s took longer than %d s" % (build, PATIENCE) if code is None else
                "%s ended with exit code %s" % (build, code)))
        return verdicts[path]

    def verdict(self, strategy, path, sanitizer=""):
        """The verdict on one program: that of the first build which has one. None: clean in all."""
        for build in self.builds(sanitizer):
            verdict = self.once(build, strategy, path)
            if verdict:
                return verdict
        return None

    def verdicts(self, strategy, paths, sanitizer=""):
        """The same of many programs: {path: Verdict or None}. One process judges many of them:
        assay runs each program in a process of its own. What is missing could not be judged like
        that."""
        found, left = {}, list(paths)
        for build in self.builds(sanitizer):
            clean = []
            for start in range(0, len(left), _BATCH):
                batch = left[start:start + _BATCH]
                _, verdicts, _ = self._run(build, strategy, batch, PATIENCE + len(batch))
                found.update({path: verdict for path, verdict in verdicts.items() if verdict})
                clean += [path for path in batch if path in verdicts and not verdicts[path]]
            left = clean
        found.update(dict.fromkeys(left))
        return found

    def replays(self, build, strategy, path, count):
        """The verdicts of as many runs, each in a fresh process."""
        return [self.once(build, strategy, path) for _ in range(count)]

    def symbolised(self, build, strategy, path):
        """What a sanitizer tells of a program, with functions and lines where a symbolizer is
        installed; of a finding of the plain build, what ASan says of it."""
        build = ASAN if build == PLAIN else build
        env = self._environment(build)
        for key in env:
            if key.endswith("SAN_OPTIONS"):
                env[key] = env[key].replace(":symbolize=0", "")
        symbolizer = next(filter(None, map(shutil.which, _SYMBOLIZERS)), None)
        if symbolizer:
            for name in ("ASAN", "UBSAN", "TSAN", "MSAN"):
                env.setdefault(name + "_SYMBOLIZER_PATH", symbolizer)
        try:
            _, out, err = self._assay(build, ["run", "--strategy", strategy, "--tier", TIER, path],
                                      env=env)
        except CannotJudge:
            return ""
        return out + err

    def shows(self, build, strategy, path, wanted):
        """True if the build alone shows the property `wanted`."""
        try:
            verdict = self.once(build, strategy, path)
        except CannotJudge:
            return False
        return verdict is not None and verdict.property == wanted

    def failing(self, strategy, paths, stop=lambda: False):
        """Replays many programs with the plain build. Yields (paths judged so far, None) after each
        batch and (path, True) for each program that is not clean."""
        for start in range(0, len(paths), _BATCH):
            if stop():
                return
            batch = paths[start:start + _BATCH]
            seconds = PATIENCE + len(batch)
            code, verdicts, err = self._run(PLAIN, strategy, batch, seconds, stop)
            for path, verdict in verdicts.items():
                if verdict:
                    yield path, True
            if code is None and not stop():
                raise CannotJudge("%d programs took longer than %d s" % (len(batch), seconds))
            if code not in (None, 0, 1):
                raise CannotJudge(_last_line(err) or "assay ended with exit code %s" % code)
            yield len(verdicts), None

    def minimise(self, strategy, path, verdict, output, seconds):
        """Writes the smallest program with the same property to `output`; returns its verdict.
        Never fails: the worst result is the program as it came, with the verdict that it came with.
        """
        if verdict.build == ASAN and self.shows(PLAIN, strategy, path, verdict.property):
            verdict = dataclasses.replace(verdict, build=PLAIN)
        try:
            code, out, _ = self._assay(verdict.build, [
                "minimize", "--strategy", strategy, "--property", verdict.property, "--tier", TIER,
                "--seconds", "%d" % max(1, seconds), "--json", "--output", output, path],
                seconds=seconds + PATIENCE)
            minimal = Verdict.from_json(out.strip().splitlines()[-1], verdict.build)
            if code == 0 and minimal and minimal.property == verdict.property:
                return minimal
        except (CannotJudge, IndexError, ValueError):
            pass
        with open(path, "rb") as source, open(output, "wb") as target:
            target.write(source.read())
        return verdict

    def text_form(self, strategy, path, verdict, folder):
        """The program as text, or ''."""
        output = os.path.join(folder, "form.txt")
        try:
            # Already minimal: this only writes another form.
            code, _, _ = self._assay(verdict.build, [
                "minimize", "--strategy", strategy, "--property", verdict.property, "--tier", TIER,
                "--seconds", "0", "--output", output, path])
            if code != 0 or not os.path.exists(output):
                return ""
            with open(output, encoding="utf-8", errors="replace") as f:
                return f.read()
        except CannotJudge:
            return ""
        finally:
            if os.path.exists(output):
                os.unlink(output)

    def c_form(self, strategy, path, verdict):
        """A C program that shows the finding, or ''."""
        try:
            code, out, _ = self._assay(verdict.build, [
                "repro", "--strategy", strategy, "--tier", TIER, "--emit-c", path])
            return out if code == 1 else ""
        except CannotJudge:
            return ""

    def story(self, strategy, path, build):
        """What `assay repro --json` tells about a finding's program (reports/README.md); None if it
        tells nothing."""
        try:
            _, out, _ = self._assay(build, [
                "repro", "--strategy", strategy, "--tier", TIER, "--json", path])
            story = json.loads(out)
        except (CannotJudge, ValueError):
            return None
        return story if isinstance(story, dict) else None

    def explanation(self, strategy, path, build):
        """What `assay repro` tells about a finding's program. In its own tier: another may show
        another property first."""
        _, out, err = self._assay(build, [
            "repro", "--strategy", strategy, "--tier", TIER, path])
        return out or err


def replay_log(program, environment, path):
    """What a fuzz target says about one input: (failed, its output)."""
    env = engines.environment(engines.SANITIZERS, **environment)
    try:
        code, out, err = process.run([program, path], env, PATIENCE)
    except OSError as error:
        return False, str(error)
    return code != 0, out + err


def _last_line(text):
    lines = text.strip().splitlines()
    return lines[-1] if lines else ""
