"""Sessions of libFuzzer: in one process, which the first violation ends."""
import math
import os
import re

from ci import engine_session
from ci.engine_session import engines

# What libFuzzer calls the files that it stores. A slow-unit is no finding.
_KINDS = {"crash": "crash", "leak": "leak", "timeout": "hang", "oom": "out-of-memory"}

_EXIT_KINDS = {engines.LIBFUZZER_TIMEOUT: "hang", engines.LIBFUZZER_OOM: "out-of-memory"}

# Seconds. In a shorter session inputs that take long are mutated less often: a few of them, with blocks as
# large as heaps, would take most of it.
_SHORT = 600

_STATUS = re.compile(r"^#(\d{1,13})\s+[A-Z]\w+\s+cov: (\d{1,13})(?: ft: (\d{1,13}))?.*?exec/s: (\d{1,13})\b")
_TOTAL = re.compile(r"^stat::number_of_executed_units:\s*(\d{1,13})\b")


class LibFuzzer(engine_session.Session):
    NAME = "libfuzzer"

    def command(self):
        setting = self.setting
        return [
            setting.program,
            # It knows whole seconds only, and rounds up itself.
            "-max_total_time=%d" % max(1, math.floor(setting.seconds)),
            "-seed=%d" % (setting.seed % 0x7fffffff or 1),
            "-timeout=10",
            "-rss_limit_mb=%d" % setting.memory,
            "-print_final_stats=1",
            # Other sessions of the strategy write into the corpus, too.
            "-reload=5",
            "-entropic_scale_per_exec_time=%d" % (setting.seconds < _SHORT),
            "-artifact_prefix=" + setting.work + os.sep,
            setting.corpus,
        ]

    def environment(self):
        env = engines.environment(engines.SANITIZERS, **self.setting.environment)
        # A verdict needs no stack, and symbolizing takes longer than most sessions.
        for key in engines.SANITIZERS:
            env[key] += ":symbolize=0"
        return env

    def read_line(self, line):
        match = _STATUS.match(line)
        if match:
            self.executions = int(match.group(1))
            self.coverage = int(match.group(2))
            self.features = int(match.group(3) or 0) or None
            self.rate = int(match.group(4)) or None
            # It tells of coverage when it has read the corpus, not before.
            self.start_up = self.start_up or self.seconds
            return
        match = _TOTAL.match(line)
        if match:
            self.executions = int(match.group(1))

    @classmethod
    def artefacts(cls, work):
        found = ((_KINDS.get(name.partition("-")[0]), name)
                 for name in engine_session.names_in(work))
        return [(kind, os.path.join(work, name)) for kind, name in found if kind]

    def collect(self):
        yield from super().collect()
        code = self.process.code
        if not self._found and self.ended and (self.property or code in _EXIT_KINDS):
            # It failed, whatever its exit code says, but could not store the input.
            kind = _EXIT_KINDS.get(code, "crash")
            yield self.suspect(kind, None)
            self._found.append(kind)
