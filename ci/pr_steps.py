"""Steps of ci/pr: commands that share a time, of which one that fails does not hide the others."""
import dataclasses
import os
import signal
import subprocess
import time
import typing

from ci import count_tests
from reports import text

PASSED, FAILED, KNOWN, UNFINISHED, BROKEN, SKIPPED = (
    "passed", "FAILED", "known findings", "NOT FINISHED", "could not run", "skipped")

# As ci/overnight: a finding outweighs what could not run, and that what is known.
_ORDER = ((FAILED, 1), (UNFINISHED, 2), (BROKEN, 2), (KNOWN, 3))

# Seconds that a program gets to end by itself, signal after signal. A campaign has findings to settle.
_GRACE, _CAMPAIGNS_GRACE = 20, 60

# Seconds between signs of life.
_BEAT = 60


def exit_code(outcomes):
    for state, code in _ORDER:
        if any(outcome.state == state for outcome in outcomes):
            return code
    return 0


@dataclasses.dataclass
class Outcome:
    """What became of a step."""
    name: str
    state: str
    says: str = ""                  # one line
    seconds: float = 0.0
    details: typing.List[typing.Tuple[str, str]] = dataclasses.field(default_factory=list)
    log: str = ""


class Runner:
    """Runs commands, their output in files, and ends them when their time is over. `stopped` gives the
    name of the signal that stopped all, or ""."""

    def __init__(self, folder, say, stopped):
        self._folder, self._say, self._stopped = folder, say, stopped
        os.makedirs(folder, exist_ok=True)

    @property
    def why(self):
        """Why a command has no exit code."""
        return self._stopped() and "stopped by " + self._stopped() or "its time was over"

    def run(self, name, command, seconds, cwd, grace=_GRACE):
        """(exit code, or None if it was ended; path of its log)."""
        log = os.path.join(self._folder, name.replace(" ", "-") + ".log")
        with open(log, "ab") as said:
            child = subprocess.Popen(command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=said,
                                     stderr=subprocess.STDOUT, start_new_session=True)
        begin = time.monotonic()
        beat = begin + _BEAT
        try:
            while child.poll() is None:
                now = time.monotonic()
                if now - begin > seconds or self._stopped():
                    self._end(child, grace)
                    return None, log
                if now > beat:
                    self._say("%s: %s of at most %s" % (name, text.duration(now - begin),
                                                        text.duration(seconds)))
                    beat = now + _BEAT
                time.sleep(0.05)
            return child.returncode, log
        finally:
            if child.poll() is None:
                self._end(child, grace)

    @staticmethod
    def _end(child, grace):
        """Ctrl-C first: Bazel then tells what was tested, and ci/overnight reports."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(child.pid, number)
                child.wait(grace)
                break
            except subprocess.TimeoutExpired:
                pass
            except ProcessLookupError:
                child.wait()
                break


def last_lines(path, count=15):
    try:
        with open(path, "rb") as file:
            file.seek(max(0, os.path.getsize(path) - 16384))
            return "\n".join(file.read().decode(errors="replace").strip().splitlines()[-count:])
    except OSError:
        return ""


def _test_logs(events):
    """{label: path of the log of its last result that did not pass}."""
    logs = {}
    for event in count_tests.read_events(events):
        result = event.get("testResult", {})
        label = event.get("id", {}).get("testResult", {}).get("label")
        if label and result.get("status") not in (None, "PASSED"):
            for output in result.get("testActionOutput", []):
                if output.get("name") == "test.log":
                    logs[label] = count_tests.local_path(output.get("uri", ""))
    return logs


def tests(runner, name, options, targets, seconds, cwd, events):
    """`bazel test` on targets."""
    if os.path.exists(events):
        os.unlink(events)
    begin = time.monotonic()
    command = ["bazel", "test", "--config=ci", "--keep_going", "--build_tests_only",
               "--build_event_json_file=" + events, *options, "--", *targets]
    code, log = runner.run(name, command, seconds, cwd)
    outcome = Outcome(name, PASSED, seconds=time.monotonic() - begin, log=log)
    labels, results = count_tests.collect(events) if os.path.exists(events) else (set(), {})
    without = count_tests.skipped(events) if os.path.exists(events) else {}
    passed = sorted(label for label in labels if results.get(label) and label not in without)
    failed = sorted(label for label in labels if label in results and not results[label])
    missing = sorted(label for label in labels if label not in results)
    outcome.says = "%d passed, %d failed" % (len(passed), len(failed))
    outcome.says += ", %d skipped" % len(without) if without else ""
    if code is None:
        outcome.says += ", %d not run: %s" % (len(missing), runner.why)
        outcome.state = FAILED if failed else UNFINISHED
    elif missing or failed:
        outcome.says += ", %d could not be built" % len(missing) if missing else ""
        outcome.state = FAILED
    elif code != 0:
        outcome.says = "bazel ended with exit code %d" % code
        # Without a single test it was the build, or Bazel itself.
        outcome.state = FAILED if labels else BROKEN
    elif not labels:
        outcome.says, outcome.state = "there is no such test", BROKEN
    logs = _test_logs(events) if failed else {}
    outcome.details = [(label, last_lines(logs[label]) if label in logs else "") for label in failed]
    if code is not None:
        outcome.details += [(label, "could not be built") for label in missing]
    if outcome.state != PASSED and not outcome.details and code is not None:
        outcome.details = [("bazel", last_lines(log))]
    return outcome


# Of a fuzzing campaign.
_STATES = {0: PASSED, 1: FAILED, 3: KNOWN}


def campaign(runner, name, command, seconds, cwd, reports, recover):
    """A command with the exit codes of ci/overnight, which must write the files `reports`: a program
    that breaks down may well end with one of these codes. Then recover() writes them from what was
    stored, and returns such a code as well, or None."""
    for path in reports:
        if os.path.exists(path):
            os.unlink(path)
    begin = time.monotonic()
    code, log = runner.run(name, command, seconds, cwd, _CAMPAIGNS_GRACE)
    outcome = Outcome(name, _STATES.get(code, BROKEN), log=log)
    said = [line for line in last_lines(log).splitlines()
            if line.strip() and not line.startswith("report: ")]
    outcome.says = (said or ["it said nothing"])[-1]
    missing = [path for path in reports if not os.path.exists(path)]
    if code is None or missing:
        outcome.state = UNFINISHED if code is None else BROKEN
        outcome.says = ("cut off: " + runner.why if code is None else
                        "it ended with exit code %d, but wrote no %s" % (code, missing[0]))
        # What was found before counts, whatever happened then.
        if missing and recover() == 1:
            outcome.state = FAILED
            outcome.says += "; what it had found is stored"
    if outcome.state in (BROKEN, UNFINISHED):
        outcome.details = [(" ".join(command[:1]), last_lines(log))]
    outcome.seconds = time.monotonic() - begin
    return outcome
