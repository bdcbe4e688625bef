"""Asks the program `assay` for verdicts, minimal programs and their other forms.

`assay_asan` is asked first: it sees what only sanitizers see, and names the culprit better. What
the plain build shows as well is minimised with that, which is faster.
"""
import dataclasses
import json
import os

from ci import process
from ci.engine_session import engines

PLAIN, ASAN = "assay", "assay_asan"

# As the fuzz targets run.
TIER = "full"

# Seconds for one program. assay itself gives up after 60.
PATIENCE = 90

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


class CannotJudge(Exception):
    """assay did not answer; its message is the text."""


class Judge:
    """Runs the two builds of assay."""

    def __init__(self, programs):
        """`programs`: {PLAIN: path, ASAN: path}."""
        self._programs = programs

    def _environment(self, build):
        if build == PLAIN:
            return None
        env = engines.environment(engines.SANITIZERS)
        env["ASAN_OPTIONS"] += ":symbolize=0"
        env["UBSAN_OPTIONS"] += ":symbolize=0"
        return env

    def _assay(self, build, arguments, seconds=PATIENCE):
        command = [self._programs[build]] + arguments
        try:
            code, out, err = process.run(command, self._environment(build), seconds)
        except OSError as error:
            raise CannotJudge("%s: %s" % (command[0], error.strerror)) from error
        return code, out, err

    def verdict(self, strategy, path):
        """The verdict on one program: that of the ASan build, or else of the plain one. None: clean
        in both."""
        for build in (ASAN, PLAIN):
            code, out, err = self._assay(
                build, ["run", "--strategy", strategy, "--tier", TIER, "--json", "--quiet", path])
            if code == 0:
                continue
            try:
                verdict = Verdict.from_json(out.strip().splitlines()[-1], build)
            except (IndexError, ValueError) as error:
                raise CannotJudge(_last_line(err) or "%s ended with exit code %s" % (
                    build, code)) from error
            if verdict:
                return verdict
        return None

    def shows(self, build, strategy, path, wanted):
        """True if the build alone shows the property `wanted`."""
        _, out, _ = self._assay(
            build, ["run", "--strategy", strategy, "--tier", TIER, "--json", "--quiet", path])
        try:
            verdict = Verdict.from_json(out.strip().splitlines()[-1], build)
        except (IndexError, ValueError):
            return False
        return verdict is not None and verdict.property == wanted

    def failing(self, strategy, paths, stop=lambda: False):
        """Replays many programs with the plain build. Yields (paths judged so far, None) after each
        batch and (path, True) for each program that is not clean."""
        for start in range(0, len(paths), _BATCH):
            if stop():
                return
            batch = paths[start:start + _BATCH]
            code, out, err = self._assay(
                PLAIN, ["run", "--strategy", strategy, "--tier", TIER, "--json", "--quiet"] + batch,
                seconds=PATIENCE + len(batch))
            judged = 0
            for line in out.splitlines():
                try:
                    if Verdict.from_json(line, PLAIN):
                        yield json.loads(line)["file"], True
                    judged += 1
                except ValueError:
                    pass
            if code not in (0, 1):
                raise CannotJudge(_last_line(err) or "assay ended with exit code %s" % code)
            yield judged, None

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
            if code != 0:
                return ""
            with open(output, encoding="utf-8", errors="replace") as f:
                return f.read()
        except (CannotJudge, OSError):
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
