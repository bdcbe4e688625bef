"""A trial run of an allocator that somebody brings, before its programs are built (fuzz/foreign_probe.c)."""
import json
import os
import signal
import subprocess

from ci import foreign_build
from ci.foreign_build import PLAIN, BuildFailed
from ci.workbench import CannotRun, shown

_SOURCES = [os.path.join(foreign_build.ROOT, "fuzz", "foreign_probe.c"),
            os.path.join(foreign_build.ROOT, "allocators", "source_buffer.c")]

# Seconds.
_PATIENCE = 5

# The sanitizers' runtime that is linked tells of no signal: who died of one is known anyway.
_QUIET = {"UBSAN_OPTIONS": ":".join("handle_%s=0" % name for name in (
    "segv", "sigbus", "abort", "sigill", "sigfpe", "sigtrap"))}

# Of what a run may say under `failed`.
OUT_OF_MEMORY, NO_START = "memory runs out", "its own start fails"

# Where ASan leaves room for a heap, and not where the course has it.
ELSEWHERE = "elsewhere"


def build(builder, foreign, defines=()):
    """The path of the program, which lies in the builder's folder. `defines`: besides the Foreign's."""
    program = os.path.join(builder.folder, "probe-%d.elf" % builder.kit.bits)
    ours = builder.ours([*_SOURCES, *foreign.adapter, foreign_build.PRISTINE], PLAIN,
                        ["-D" + define for define in [*foreign.defines, *defines]])
    try:
        builder.link_program(program, PLAIN, ["-fsanitize=fuzzer-no-link"], [job.result() for job in ours],
                             foreign)
    except BuildFailed as error:
        if not error.missing:
            raise
        raise BuildFailed("%s calls %s, which none of the files defines" % (
            " ".join(map(shown, foreign.sources)), ", ".join(error.missing[:6])), error.said) from error
    return program


def run(program, limit, *where):
    """What the program says of a heap of `limit` bytes, as a dictionary: `failed` is why an allocator would
    not do for a program, also of one that dies, hangs or leaves; or "". CannotRun if it was not even
    tried."""
    program = os.path.abspath(program)
    try:
        result = subprocess.run([program, str(limit), *where], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, cwd=os.path.dirname(program), timeout=_PATIENCE,
                                check=False, env=dict(os.environ, **_QUIET))
    except subprocess.TimeoutExpired:
        return {"failed": "it does not end"}
    except OSError as error:
        raise CannotRun("%s: %s" % (shown(program), error.strerror)) from error
    said = result.stderr.decode(errors="replace").strip()
    if result.returncode == 2 and said:
        raise CannotRun(said.splitlines()[0])
    try:
        return json.loads(result.stdout)
    except ValueError:
        pass
    if result.returncode < 0:
        return {"failed": "it dies of signal %d (%s)" % (
            -result.returncode, signal.strsignal(-result.returncode))}
    return {"failed": "it leaves with exit code %d" % result.returncode}
