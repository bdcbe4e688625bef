#!/usr/bin/env python3
"""Builds fuzz targets by .clusterfuzzlite/build.sh, in an environment like that of OSS-Fuzz's base
image, and demands of each what the infrastructure's build check demands, by doing it.

https://google.github.io/oss-fuzz/getting-started/new-project-guide/
https://google.github.io/oss-fuzz/further-reading/fuzzer-environment/
"""
import argparse
import concurrent.futures
import configparser
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)

# What the base image sets, engines and sanitizers aside.
_CFLAGS = ("-O1 -fno-omit-frame-pointer -gline-tables-only "
           "-DFUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION")
_UNDEFINED = ("array-bounds,bool,builtin,enum,function,integer-divide-by-zero,null,object-size,return,"
              "returns-nonnull-attribute,shift,signed-integer-overflow,unreachable,vla-bound,vptr")
_SANITIZERS = {
    "address": "-fsanitize=address -fsanitize-address-use-after-scope",
    "memory": "-fsanitize=memory -fsanitize-memory-track-origins",
    # Unsigned overflow only guides libFuzzer; it is silenced when the target runs.
    "undefined": "-fsanitize=%s,unsigned-integer-overflow -fno-sanitize-recover=%s" % (
        _UNDEFINED, _UNDEFINED),
    "coverage": "-fprofile-instr-generate -fcoverage-mapping",
}
# The image has a static libc++; Debian has libstdc++, of which MSan's runtime replaces a part.
_STATIC = "-static-libstdc++ -static-libgcc"
_ALSO_STATIC = {"memory": " -Wl,-z,muldefs"}

# The C library's own files; a target brings all else.
_LIBRARIES = re.compile(r"(libc|libm|libpthread|libresolv|librt|libdl|ld-linux-x86-64)\.so\.[0-9]+")

# What the runners set, as far as it changes what a target does: reports of aborts, an alternate
# stack for signals, fake stacks, no leak checks. Unsigned overflow is a signal for libFuzzer only.
_RUNNER = {
    "ASAN_OPTIONS": "alloc_dealloc_mismatch=0:allocator_may_return_null=1:check_malloc_usable_size=0:"
                    "detect_leaks=0:detect_odr_violation=0:detect_stack_use_after_return=1:"
                    "fast_unwind_on_fatal=0:handle_abort=1:handle_segv=1:handle_sigill=1:"
                    "max_uar_stack_size_log=16:quarantine_size_mb=10:strict_memcmp=1:"
                    "use_sigaltstack=1",
    "MSAN_OPTIONS": "print_stats=1:symbolize=0:exit_code=86",
    "UBSAN_OPTIONS": "print_stacktrace=1:silence_unsigned_overflow=1",
}

# How many calls of a sanitizer's functions there must be at least, or may be at most. The check demands
# 168 of UBSan's, of which the image's libFuzzer has 165 itself; Debian's has hardly any.
_CALLS = {
    "address": {"asan": (1000, None), "msan": (0, 3), "ubsan": (0, 200)},
    "memory": {"asan": (0, 0), "msan": (1000, None), "ubsan": (0, 200)},
    "undefined": {"asan": (0, 0), "msan": (0, 3), "ubsan": (20, None)},
}
_FEWEST_EDGES = 100


class Failed(Exception):
    """What is wrong, and of which target."""


def demand(holds, text, output=""):
    if not holds:
        raise Failed(text + ("\n" + output[-4000:] if output else ""))


def run(command, env=None, cwd="/", seconds=300):
    """(exit code, output)."""
    result = subprocess.run(command, env=env, cwd=cwd, stdin=subprocess.DEVNULL, timeout=seconds,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return result.returncode, result.stdout.decode(errors="replace")


class Image:
    """The environment of one sanitizer and engine."""

    def __init__(self, sanitizer, engine, clang, folder):
        self.sanitizer, self.engine = sanitizer, engine
        self.out, self._work = os.path.join(folder, "out"), os.path.join(folder, "work")
        os.mkdir(self._work)
        flags = "%s %s" % (_CFLAGS, _SANITIZERS[sanitizer])
        if engine == "libfuzzer" and sanitizer != "coverage":
            flags += " -fsanitize=fuzzer-no-link"
        version = re.search(r"-[0-9]+$", clang)
        variables = {
            "CC": clang, "CXX": re.sub(r"clang(?=(-[0-9]+)?$)", "clang++", clang),
            "CFLAGS": flags,
            "CXXFLAGS": "%s %s%s" % (flags, _STATIC, _ALSO_STATIC.get(sanitizer, "")),
            "LIB_FUZZING_ENGINE": "-fsanitize=fuzzer",
            "SANITIZER": sanitizer, "FUZZING_ENGINE": engine, "ARCHITECTURE": "x86_64",
            "FUZZING_LANGUAGE": "c", "OUT": self.out, "WORK": self._work,
        }
        if engine == "afl":
            variables.update(CC="afl-clang-fast", CXX="afl-clang-fast++", AFL_QUIET="1",
                             LIB_FUZZING_ENGINE="/usr/lib/afl/libAFLDriver.a")
        self._env = {"PATH": os.environ["PATH"], "HOME": folder, **variables}
        self.symbols = version.group() if version else ""

    def build(self, root, targets=()):
        """As the infrastructure does: the script alone, copied, started in the sources' folder."""
        source = os.path.dirname(root)
        script = os.path.join(self._work, "build.sh")
        shutil.copy(os.path.join(root, ".clusterfuzzlite", "build.sh"), script)
        if os.path.isdir(self.out):
            shutil.rmtree(self.out)
        os.mkdir(self.out)
        code, output = run(["bash", "-eux", script, *targets], dict(self._env, SRC=source), root)
        demand(code == 0, "build.sh ended with exit code %d" % code, output)

    def check(self, name, folder):
        """All that is demanded of the target `name`."""
        path = os.path.join(self.out, name)
        self._check_file(path)
        seeds = os.path.join(folder, name)
        with zipfile.ZipFile(path + "_seed_corpus.zip") as corpus:
            demand(corpus.testzip() is None and corpus.namelist(), "%s: no seeds" % name)
            corpus.extractall(seeds)
        options = configparser.ConfigParser()
        options.read(path + ".options")
        demand("libfuzzer" in options, "%s.options has no section [libfuzzer]" % name)
        arguments = ["-%s=%s" % pair for pair in options["libfuzzer"].items()]
        if self.engine == "afl":
            self._check_afl(name, seeds)
        elif self.sanitizer == "coverage":
            self._check_coverage(name, seeds)
        else:
            self._check_libfuzzer(name, seeds, arguments)

    def _check_file(self, path):
        code, output = run(["readelf", "-dh", path])
        demand(code == 0 and "X86-64" in output, "%s is no program for x86-64" % path, output)
        for library in re.findall(r"\(NEEDED\).*\[(.*)\]", output):
            demand(_LIBRARIES.fullmatch(library), "%s needs %s" % (path, library))
        demand("RUNPATH" not in output and "RPATH" not in output, "%s has a library path" % path)
        if self.engine != "libfuzzer" or self.sanitizer not in _CALLS:
            return
        _, code = run(["objdump", "-d", "--no-show-raw-insn", path])
        for tool, (least, most) in _CALLS[self.sanitizer].items():
            calls = len(re.findall(r"call\s+[0-9a-f]+ <__%s" % tool, code))
            demand(calls >= least and (most is None or calls <= most),
                   "%s: %d calls of %s, for %s" % (path, calls, tool, self.sanitizer))

    def sandboxed(self, *command, **more):
        """Runs it where only /tmp can be written; /mnt is $OUT."""
        env = {"PATH": os.environ["PATH"], **_RUNNER, **more}
        return run([sys.executable, os.path.join(HERE, "read_only.py"), self.out, *command], env)

    def _check_libfuzzer(self, name, seeds, arguments):
        code, output = self.sandboxed("/mnt/" + name, "-seed=1337", "-runs=4")
        demand(code == 0 and "Done 4 runs" in output, "%s does not survive 4 runs" % name, output)
        edges = re.search(r"\(([0-9]+) inline 8-bit counters\)", output)
        demand(edges and int(edges.group(1)) >= _FEWEST_EDGES,
               "%s: too few edges are instrumented" % name, output)
        # The seeds, unpacked into $OUT, for the sandbox shows nothing else; and what lies beside it.
        inside = os.path.join(self.out, name + "_seeds")
        shutil.copytree(seeds, inside)
        code, output = self.sandboxed("/mnt/" + name, "-runs=0", "-dict=/mnt/%s.dict" % name,
                                      *arguments, "/mnt/%s_seeds" % name)
        shutil.rmtree(inside)
        demand(code == 0 and "INITED" in output, "%s fails on its seeds" % name, output)
        entries = re.search(r"Dictionary: ([0-9]+) entries", output)
        demand(entries and int(entries.group(1)) > 5, "%s: its dictionary is not read" % name, output)

    def _check_afl(self, name, seeds):
        inside = os.path.join(self.out, name + "_seeds")
        shutil.copytree(seeds, inside)
        code, output = self.sandboxed(
            "afl-fuzz", "-i", "/mnt/%s_seeds" % name, "-o", "/tmp/afl", "-m", "none", "-t", "5000+",
            "-x", "/mnt/%s.dict" % name, "-E", "500", "--", "/mnt/" + name,
            AFL_NO_UI="1", AFL_SKIP_CPUFREQ="1", AFL_NO_AFFINITY="1",
            AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES="1",
            # afl-fuzz insists on these of those that it is given.
            ASAN_OPTIONS=_RUNNER["ASAN_OPTIONS"] + ":abort_on_error=1:symbolize=0")
        shutil.rmtree(inside)
        demand(code == 0 and "All set and ready to roll" in output,
               "afl-fuzz cannot run %s" % name, output)
        demand(" 0 crashes saved" in output, "%s crashes under afl-fuzz" % name, output)

    def _check_coverage(self, name, seeds):
        """The profile of a run says which lines of the sources were executed."""
        profile = os.path.join(self._work, name)
        code, output = run([os.path.join(self.out, name), "-runs=0", seeds],
                           dict(os.environ, LLVM_PROFILE_FILE=profile + ".profraw"))
        demand(code == 0, "%s fails on its seeds" % name, output)
        code, output = run(["llvm-profdata" + self.symbols, "merge", profile + ".profraw", "-o",
                            profile + ".profdata"])
        demand(code == 0, "%s: no profile" % name, output)
        code, output = run(["llvm-cov" + self.symbols, "report", os.path.join(self.out, name),
                            "-instr-profile", profile + ".profdata"])
        line = re.search(r"allocators/%s\.c .* ([0-9.]+)%%" % name, output)
        demand(line and float(line.group(1)) > 10, "%s: its lines are not covered" % name, output)


def check_new_strategy(image, patch, folder):
    """A strategy that comes as one file and one registry line is built, and fuzzed: this one has a
    bug, which its target must find."""
    root = os.path.join(folder, "source", "assay")
    shutil.copytree(ROOT, root, ignore=shutil.ignore_patterns("*.elf", "bazel-*", "out", ".git"))
    allocators = os.path.join(root, "allocators")
    code, output = run(["patch", "-p1", "-i", os.path.abspath(patch)], cwd=root)
    demand(code == 0, "the bug cannot be planted", output)
    os.rename(os.path.join(allocators, "bump.c"), os.path.join(allocators, "newcomer.c"))
    for name, old, new in (("newcomer.c", "bump_strategy", "newcomer_strategy"),
                           ("registry.bzl", 'strategy("bump")', 'strategy("newcomer")')):
        path = os.path.join(allocators, name)
        with open(path, encoding="utf-8") as file:
            text = file.read()
        demand(old in text, "allocators/%s has no %s" % (name, old))
        os.unlink(path)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text.replace(old, new))
    image.build(root, ["newcomer"])
    code, output = image.sandboxed("/mnt/newcomer", "-seed=1", "-runs=100000",
                                   "-artifact_prefix=/tmp/")
    demand(code not in (0, 2) and "ASSERTION FAILED: " in output,
           "the target does not find the planted bug", output)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sanitizer", required=True, choices=sorted(_SANITIZERS))
    parser.add_argument("--engine", required=True, choices=["afl", "libfuzzer"])
    parser.add_argument("--clang", required=True)
    parser.add_argument("--plant", help="a patch of allocators/bump.c, to be found")
    parser.add_argument("targets", nargs="*", help="only these (all)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        # The sandbox may run as another user.
        os.chmod(folder, 0o755)
        try:
            image = Image(options.sanitizer, options.engine, options.clang, folder)
            image.build(ROOT, options.targets)
            built = sorted(name for name in os.listdir(image.out)
                           if "." not in name)
            demand(built and set(options.targets) <= set(built), "not all was built: %s" % built)
            expected = [name + end for name in built
                        for end in ("", ".dict", ".options", "_seed_corpus.zip")]
            demand(sorted(os.listdir(image.out)) == sorted(expected), "what lies in $OUT is not what "
                   "belongs there: %s" % sorted(os.listdir(image.out)))
            with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
                for done in [pool.submit(image.check, name, os.path.join(folder, "seeds"))
                             for name in built]:
                    done.result()
            print("%s, %s: %s" % (options.sanitizer, options.engine, " ".join(built)))
            if options.plant:
                check_new_strategy(image, options.plant, folder)
                print("a new strategy is built, and its bug found")
        except Failed as error:
            print("FAILED: %s" % error)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
