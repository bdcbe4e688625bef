"""Runs a command whose calls of malloc are recorded, and may be checked, and tells what came of it."""
import glob
import os
import re
import shutil
import signal
import subprocess
import sys

from ci.workbench import CannotRun, shown

# Of a process that the shadow model ended (harness/preload/tell.h).
VIOLATION = 99

# Ctrl-C and Ctrl-\ reach the command without us, for it is in the terminal's group.
_THEIRS = (signal.SIGINT, signal.SIGQUIT)
_PASSED_ON = (signal.SIGTERM, signal.SIGHUP)


class RecordedRun:
    """One run, with its raw logs in `scratch`."""

    def __init__(self, options, strategy, assay, scratch):
        self._options, self._strategy, self._assay = options, strategy, assay
        self._scratch = scratch
        self._logs = self._folder("logs")
        self._notes = self._folder("notes")

    def _folder(self, name):
        path = os.path.join(self._scratch, name)
        os.makedirs(path, exist_ok=True)
        return path

    def carry_out(self, program, environment):
        """The exit code of it all."""
        options = self._options
        if options.record:
            self._check_target(options.record)
        if not options.no_trace:
            environment["ASSAY_RECORD_DIR"] = self._logs
        if options.shadow:
            environment["ASSAY_SHADOW"] = self._notes
        process, code = self._run(program, environment)
        # A process that still runs finds the folders gone, and adds no more.
        if options.record and self._store_traces(process, options.record) is None:
            code = 2
        return VIOLATION if self._tell_violations() else code

    @staticmethod
    def _check_target(path):
        folder = os.path.dirname(os.path.abspath(path))
        os.makedirs(folder, exist_ok=True)
        if os.path.isdir(path) or not os.access(folder, os.W_OK):
            raise CannotRun("%s: no trace can be written there; name a file with --record" % path)

    def _run(self, program, environment):
        """The command's process and its exit code, as a shell has it."""
        former = {number: signal.getsignal(number) for number in _THEIRS + _PASSED_ON}
        children = []
        for number in _THEIRS:
            signal.signal(number, lambda *_: None)
        for number in _PASSED_ON:
            if former[number] != signal.SIG_IGN:
                signal.signal(number, lambda number, _: [c.send_signal(number) for c in children])
        try:
            with subprocess.Popen(self._options.command, executable=program,
                                  env=environment) as child:
                children.append(child)
                code = child.wait()
        except OSError as error:
            print("ci/run: %s: %s" % (self._options.command[0], error.strerror), file=sys.stderr)
            return None, 126
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)
        return child.pid, 128 - code if code < 0 else code

    # ## Traces

    def _convert(self, logs, folder):
        """Makes traces of raw logs in a folder: [(path, what assay says of it)]."""
        result = subprocess.run([self._assay, "record", "--collect", logs, "--out", folder],
                                stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            sys.stderr.write(result.stdout + result.stderr)
        return [tuple(line.split(": ", 1)) for line in result.stdout.splitlines()
                if ".trace: " in line]

    def _logs_of(self, process):
        """Of one process, the last program that it executed at the end."""
        found = glob.glob(os.path.join(glob.escape(self._logs), "%s.*.raw" % process))
        return sorted(found, key=lambda path: int(path.split(".")[-2]))

    def _take_last_log(self, process, name):
        """Moves it into a folder of its own; None: there is none."""
        logs = self._logs_of(process)
        if not logs:
            return None
        folder = self._folder(name)
        os.rename(logs[-1], os.path.join(folder, os.path.basename(logs[-1])))
        return folder

    def _store_traces(self, process, target):
        """The trace of the command itself as `target`, those of other processes beside it."""
        own = self._take_last_log(process, "own")
        traces = self._convert(own, self._folder("own_trace")) if own else []
        if not traces:
            print("ci/run: %s: nothing was recorded" % self._options.command[0], file=sys.stderr)
            return None
        shutil.copyfile(traces[0][0], target)
        print("ci/run: %s: %s" % (shown(os.path.abspath(target)), traces[0][1]), file=sys.stderr)
        stem = re.sub(r"\.trace$", "", target)
        rest = self._convert(self._logs, self._folder("traces")) if os.listdir(self._logs) else []
        for path, said in rest:
            beside = "%s.%s" % (stem, os.path.basename(path))
            shutil.copyfile(path, beside)
            print("ci/run: %s: %s" % (shown(os.path.abspath(beside)), said), file=sys.stderr)
        return target

    # ## Violations

    def _tell_violations(self):
        """Whether there was one."""
        notes = sorted(glob.glob(os.path.join(glob.escape(self._notes), "*.violation")))
        for note in notes:
            process = os.path.basename(note).split(".")[0]
            with open(note, encoding="utf-8", errors="replace") as file:
                found, _, diagnosis = file.read().partition("\n")
            print("ci/run: VIOLATION of %s by %s, in process %s: %s" % (
                found, self._strategy, process, diagnosis.strip()), file=sys.stderr)
            trace = self._trace_of(process, found)
            if trace:
                self._judge(trace, found)
        return bool(notes)

    def _trace_of(self, process, found):
        """Stores the violating process's trace, and says where; None: there is none."""
        if self._options.no_trace:
            return None
        log = self._take_last_log(process, "violation%s" % process)
        if log:
            traces = [path for path, _ in self._convert(log, self._folder("trace%s" % process))]
        else:       # --record has it already
            pattern = os.path.join(glob.escape(self._scratch), "*trace*", "*.%s*.trace" % process)
            traces = sorted(glob.glob(pattern), key=os.path.getmtime)
        if not traces:
            return None
        folder = os.path.join(self._options.out, self._strategy)
        os.makedirs(folder, exist_ok=True)
        name = re.sub(r"[^\w.-]", "_", found)
        target = os.path.join(folder, "%s-%s" % (name, os.path.basename(traces[-1])))
        shutil.copyfile(traces[-1], target)
        return target

    def _judge(self, trace, found):
        """Whether the trace alone, without the program, shows it too."""
        print("ci/run: its trace: %s" % shown(os.path.abspath(trace)), file=sys.stderr)
        command = [self._assay, "replay", "--strategy", self._strategy, "--tier", "full"]
        try:
            result = subprocess.run(command + [trace], stdin=subprocess.DEVNULL, capture_output=True,
                                    text=True, timeout=120, check=False)
        except subprocess.TimeoutExpired:
            print("ci/run: a replay of it takes longer than 120 s: try %s %s" % (
                " ".join(map(shown, command)), shown(os.path.abspath(trace))), file=sys.stderr)
            return
        told = re.search(r"^ASSERTION FAILED: (.*)", result.stdout + result.stderr, re.MULTILINE)
        if result.returncode == 0:
            said = ("a replay of it is clean: either the program wrote where it must not, or it takes the "
                    "program's heap or its threads to show %s" % found)
        elif told:
            said = "a replay of it shows %s without the program: `ci/repro %s --strategy %s` explains it" % (
                told.group(1), shown(os.path.abspath(trace)), self._strategy)
        else:
            said = "a replay of it failed: %s" % (result.stderr or result.stdout).strip()
        print("ci/run: %s" % said, file=sys.stderr)
