"""Sessions of AFL++: one process tree, which collects crashing inputs and goes on."""
import math
import os
import re
import shutil

from ci import corpus_folder, engine_session
from ci.engine_session import engines

_FOLDERS = {"crashes": "crash", "hangs": "hang"}

# For its first minute afl-fuzz writes no file that tells how far it is; its screen does.
_STARTED = "All test cases processed"
_SCREEN = re.compile(r"total execs : ([0-9.]{1,13})(?![0-9.])([kMGT]?)")
_UNITS = {"": 1, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}

# Terminal sequences, and lines of the screen, which are no use in a log.
_SEQUENCE = re.compile(r"\x1b(\[[0-9;?]*[A-Za-z]|\)[0B])")
_FRAME = re.compile(r"^([xtlm][q ]|\s*american fuzzy lop|x *(last|havoc|py))")


class Afl(engine_session.Session):
    NAME = "afl"

    def command(self):
        setting = self.setting
        self._results = os.path.join(setting.work, "default")
        afl_fuzz = shutil.which("afl-fuzz")
        if not afl_fuzz:
            raise engines.CannotRun("afl-fuzz is not installed: run ci/setup")
        # It gives up where a file goes that it saw.
        seeds = os.path.join(setting.work, "seeds")
        if not os.path.isdir(seeds):
            corpus_folder.Corpus(setting.corpus).snapshot(seeds)
        return [
            afl_fuzz, "-i", seeds, "-o", setting.work, *self._instance(),
            "-V", str(max(1, math.floor(setting.seconds))),
            "-s", str(setting.seed % 0x7fffffff or 1),
            # A time limit for slow machines that does not reject slow inputs.
            "-m", "none", "-t", "5000+",
            # The ELF itself: a script would hide from afl-fuzz that the target is persistent.
            "--", setting.program,
        ]

    def _instance(self):
        """Its part where several run at once. The main takes over what the others put into the
        corpus, and no further deterministic stages, which would mutate bytes; a secondary reads the
        main's queue, and that link is all they share: each can end, and be cleared away, alone."""
        setting = self.setting
        if setting.role == "main":
            return ["-M", "default", "-d", "-F", setting.corpus]
        if setting.role == "secondary":
            if setting.main:
                os.symlink(os.path.abspath(os.path.join(setting.main, "default")),
                           os.path.join(setting.work, "main"))
            return ["-S", "default"]
        return []

    def environment(self):
        env = engines.environment(engines.AFL, **self.setting.environment)
        env.pop("AFL_NO_UI", None)
        env["AFL_FORCE_UI"] = "1"
        env["AFL_NO_CRASH_README"] = "1"
        # Minutes, of which the main waits a third: slices are short.
        env["AFL_SYNC_TIME"] = "1"
        # It has ideas of its own of what sanitizers must do, and refuses what is not so.
        for key in engines.SANITIZERS:
            env.pop(key, None)
        if self.setting.mutator:
            env["AFL_CUSTOM_MUTATOR_LIBRARY"] = self.setting.mutator
        return env

    def read_line(self, line):
        if _STARTED in line:
            self.start_up = self.start_up or self.seconds
        # Its own speed is that of a moment, and absurd at first.
        for digits, unit in _SCREEN.findall(_SEQUENCE.sub("", line)):
            try:
                value = float(digits) * _UNITS[unit]
            except ValueError:
                continue
            self.executions = max(self.executions, int(value))

    def progress(self):
        """fuzzer_stats is exact at the end, and a minute old before."""
        try:
            stats = engines.afl_stats(os.path.join(self._results, "fuzzer_stats"))
            executions, edges = int(stats["execs_done"]), int(stats["edges_found"])
        except (engines.CannotRun, KeyError, ValueError):
            return
        self.executions = executions if self.ended else max(self.executions, executions)
        self.coverage = max(self.coverage or 0, edges)

    @property
    def log(self):
        lines = _SEQUENCE.sub("", self.process.tail).replace("\r", "").splitlines()
        return "\n".join(line for line in lines if not _FRAME.match(line))

    @classmethod
    def artefacts(cls, work):
        return [(kind, path) for folder, kind in _FOLDERS.items()
                for path in _inputs(work, folder)]

    @classmethod
    def kept(cls, work):
        # What it started from is in the corpus already.
        return [path for path in _inputs(work, "queue") if ",orig:" not in path]

    def suspect(self, kind, data):
        """afl-fuzz shows nothing of what its targets print."""
        found = super().suspect(kind, data)
        found.log = ""
        return found


def _inputs(work, folder):
    folder = os.path.join(work, "default", folder)
    # Thousands of them, every few seconds.
    return [folder + os.sep + name for name in engine_session.names_in(folder)
            if name.startswith("id:")]
