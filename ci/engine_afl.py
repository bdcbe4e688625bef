"""Sessions of AFL++: one process tree, which collects crashing inputs and goes on."""
import math
import os
import shutil

from ci import engine_session
from ci.engine_session import engines

_FOLDERS = {"crashes": "crash", "hangs": "hang"}

# Columns of plot_data, which is newer than fuzzer_stats while afl-fuzz runs.
_RATE, _EXECUTIONS, _EDGES = 10, 11, 12


class Afl(engine_session.Session):
    NAME = "afl"

    def command(self):
        setting = self.setting
        self._results = os.path.join(setting.work, "default")
        self._seen = set()
        self._queued = set()
        self._plot_size = -1
        afl_fuzz = shutil.which("afl-fuzz")
        if not afl_fuzz:
            raise engines.CannotRun("afl-fuzz is not installed: run ci/setup")
        return [
            afl_fuzz, "-i", setting.corpus, "-o", setting.work,
            "-V", str(max(1, math.ceil(setting.seconds))),
            "-s", str(setting.seed % 0x7fffffff or 1),
            # A time limit for slow machines that does not reject slow inputs.
            "-m", "none", "-t", "5000+",
            # The ELF itself: a script would hide from afl-fuzz that the target is persistent.
            "--", setting.program,
        ]

    def environment(self):
        env = engines.environment(engines.AFL, **self.setting.environment)
        env["AFL_NO_COLOR"] = "1"
        env["AFL_NO_CRASH_README"] = "1"
        if self.setting.mutator:
            env["AFL_CUSTOM_MUTATOR_LIBRARY"] = self.setting.mutator
        return env

    def progress(self):
        if self.ended:
            self._read_stats()
        else:
            self._read_plot()

    def _read_stats(self):
        try:
            stats = engines.afl_stats(os.path.join(self._results, "fuzzer_stats"))
        except engines.CannotRun:
            return
        for attribute, key in (("executions", "execs_done"), ("coverage", "edges_found")):
            try:
                setattr(self, attribute, max(int(stats.get(key, "")),
                                             getattr(self, attribute) or 0))
            except ValueError:
                pass

    def _read_plot(self):
        try:
            with open(os.path.join(self._results, "plot_data"), "rb") as f:
                f.seek(max(0, os.fstat(f.fileno()).st_size - 1024))
                lines = f.read().decode(errors="replace").split("\n")
        except OSError:
            return
        # The last piece is empty, or a line that is being written.
        cells = lines[-2].split(",") if len(lines) > 1 else []
        try:
            self.rate = float(cells[_RATE]) or None
            self.executions = max(self.executions, int(cells[_EXECUTIONS]))
            self.coverage = int(cells[_EDGES])
        except (IndexError, ValueError):
            pass

    def collect(self):
        suspects = []
        for folder, kind in _FOLDERS.items():
            for path in self._new_files(folder, self._seen):
                data = engine_session.read_input(path)
                if data is not None:
                    suspects.append(self.suspect(kind, data))
        # afl-fuzz shows nothing of what its targets print.
        for suspect in suspects:
            suspect.log = ""
        return suspects

    def new_inputs(self):
        """Yields the inputs that it found worth keeping since the last call."""
        for path in self._new_files("queue", self._queued):
            # What it started from is in the corpus already.
            if ",orig:" in path:
                continue
            data = engine_session.read_input(path)
            if data is not None:
                yield data

    def _new_files(self, folder, seen):
        folder = os.path.join(self._results, folder)
        try:
            names = sorted(os.listdir(folder))
        except OSError:
            return
        for name in names:
            if name.startswith("id:") and name not in seen:
                seen.add(name)
                yield os.path.join(folder, name)
