"""What every script that runs a fuzz target shares: environments, exit codes, seed folders."""
import os
import re
import shutil

# Exit codes of libFuzzer.
LIBFUZZER_CRASH = 77
LIBFUZZER_TIMEOUT = 70
LIBFUZZER_OOM = 71

# As in //bazel:variants.bzl, whose start scripts are not used where the ELF itself is run.
SANITIZERS = {
    "ASAN_OPTIONS": "abort_on_error=1:detect_leaks=1:allocator_may_return_null=1",
    "MSAN_OPTIONS": "abort_on_error=1:allocator_may_return_null=1",
    "TSAN_OPTIONS": "abort_on_error=1:halt_on_error=1",
    "UBSAN_OPTIONS": "abort_on_error=1:print_stacktrace=1",
}

# afl-fuzz asks for a tuned machine and a terminal; a user's desktop or a container has neither.
# AUTORESUME: without it, `-i seeds` deletes an earlier session of the same folder.
# HANG_TMOUT: ms; on a loaded machine, a second passes without the target being at fault.
AFL = {
    "AFL_AUTORESUME": "1",
    "AFL_HANG_TMOUT": "10000",
    "AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES": "1",
    "AFL_NO_AFFINITY": "1",
    "AFL_NO_UI": "1",
    "AFL_SKIP_CPUFREQ": "1",
}


class CannotRun(Exception):
    """One line that says why a fuzzer could not run."""


def environment(*layers, **more):
    """The process's environment with `layers` below what the user has set himself."""
    result = {}
    for layer in layers:
        result.update(layer)
    result.update(os.environ)
    for key in SANITIZERS:
        if key in os.environ and any(key in layer for layer in layers):
            result[key] = SANITIZERS[key] + ":" + os.environ[key]
    result.update(more)
    return result


def read_list(path):
    """The names in a file_list (//bazel:file_list.bzl)."""
    try:
        with open(path, encoding="utf-8") as f:
            return [line.rstrip("\n") for line in f if line.strip()]
    except OSError as error:
        raise CannotRun("%s: %s" % (path, error.strerror)) from error


def copy_seeds(names, folder):
    """A start corpus in a folder of its own. Engines need at least one input: an empty file will do."""
    os.makedirs(folder, exist_ok=True)
    for name in names:
        # Seeds of different folders may share a name. libFuzzer's lists have commas between them.
        target = os.path.join(folder, re.sub("[/,]", "_", name.replace("../", "")))
        try:
            shutil.copyfile(name, target)
        except OSError as error:
            raise CannotRun("%s: %s" % (name, error.strerror)) from error
    if not names:
        with open(os.path.join(folder, "empty"), "wb") as f:
            f.write(b"\0")


def libfuzzer_stat(log, name):
    """A number of libFuzzer's -print_final_stats=1, or None."""
    for line in log.splitlines():
        if line.startswith("stat::%s:" % name):
            return int(line.split()[-1])
    return None


def afl_stats(path):
    """afl-fuzz's fuzzer_stats as a dict of strings."""
    try:
        with open(path, encoding="utf-8", errors="replace") as f:
            pairs = [line.partition(":") for line in f]
    except OSError as error:
        raise CannotRun("%s: %s" % (path, error.strerror)) from error
    return {key.strip(): value.strip() for key, _, value in pairs}
