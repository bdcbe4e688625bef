"""For tests: fake engines and a fake assay, so that what supervises them is tested in seconds.

A fake libFuzzer or afl-fuzz does what the environment variable FAKE says, one of the words in
ENGINE, and puts a file named by its process id into the folder FAKE_READY. To the fake assay an
input `bug PROPERTY SIGNATURE ...` shows that property, wherever it came from; `asan PROPERTY ...`
only in the ASan build; every other input is clean.
"""
import os
import stat
import struct

from ci.engine_session import counters

ASSAY = r'''
import json, os, sys
build = os.path.basename(sys.argv[0])
arguments = sys.argv[1:]
def option(name):
    return arguments[arguments.index(name) + 1] if name in arguments else None
def verdict(path):
    words = open(path, "rb").read().decode(errors="replace").split()
    fields = {"file": path, "strategy": option("--strategy"), "verdict": "clean", "operations": 1}
    if words[:1] == ["bug"] or words[:1] == ["asan"] and "asan" in build:
        fields.update(verdict=words[1], signature=words[2], operation=0, site="here",
                      operations=len(words), diagnosis="a & <diagnosis>\n")
    return fields
command = arguments[0]
if command == "list" and "--properties" in arguments:
    print("overlap  a block overlaps another\ncontent  changed\ntouched-live-block  x\n"
          "invariant:<strategy>.I<n>  does not hold")
elif command == "list" and "--json" in arguments:
    properties = ["overlap", "content", "touched-live-block", "invariant"]
    print(json.dumps({"schema": 1, "properties": [{"id": p, "text": p} for p in properties],
                      "strategies": [{"name": name, "summary": name, "traits": ["frees"],
                                      "invariants": ["a", "b", "c"], "properties": properties}
                                     for name in ("alpha", "beta")]}))
elif command == "list":
    print("alpha\nbeta" if "--names" in arguments else "alpha+hole   AB-001: a hole [overlap]\n"
          "alpha+twin   twice [overlap]\nbeta+twin    twice [overlap]")
elif command == "run":
    files = [word for word in arguments[1:] if os.path.sep in word]
    found = [verdict(path) for path in files]
    for fields in found:
        print(json.dumps(fields))
    sys.exit(any(fields["verdict"] != "clean" for fields in found))
elif command == "minimize":
    source, output = arguments[-1], option("--output")
    fields = verdict(source)
    if fields["verdict"] != option("--property"):
        sys.exit(1)
    words = open(source, "rb").read().decode(errors="replace").split()
    if "slips" in words:
        words[1] = "content"
    with open(output, "w") as f:
        f.write(" ".join(words[:3]) if not output.endswith(".txt") else "text form\n")
    if not output.endswith(".txt"):
        print(json.dumps(verdict(output)))
elif command == "repro" and "--json" in arguments:
    fields = verdict(arguments[-1])
    fields.update(schema=1, steps=[{"text": "allocate 0 size=1", "result": "violated"}], lives=[],
                  states=[], heap={}, replays={"runs": 5, "same": 5}, property_text="a property")
    print(json.dumps(fields))
    sys.exit(1)
elif command == "repro":
    print(build, *arguments)
    sys.exit(1)
'''

ENGINE = r'''
import hashlib, os, signal, sys, time
name = os.path.basename(sys.argv[0])
afl = name == "afl-fuzz"
def value(key, default=""):
    return next((a[len(key):] for a in sys.argv if a.startswith(key)), default)
if afl:
    work = os.path.join(sys.argv[sys.argv.index("-o") + 1], "default")
    seconds = int(sys.argv[sys.argv.index("-V") + 1])
else:
    work, seconds = value("-artifact_prefix="), int(value("-max_total_time=", "1"))
count = [0]
def status(executions):
    if afl:
        print("x total execs : %d.0 x\nx exec speed : 1.5k/sec" % executions, flush=True)
    else:
        print("#%d\tNEW    cov: 7 ft: 9 corp: 2/9b exec/s: 500 rss: 9Mb" % executions, flush=True)
    if "FAKE_READY" in os.environ:
        with open(os.path.join(os.environ["FAKE_READY"], str(os.getpid())), "w"):
            pass
def finish(executions, code=0):
    if afl:
        with open(os.path.join(work, "fuzzer_stats"), "w") as f:
            f.write("execs_done : %d\nedges_found : 12\n" % executions)
    else:
        print("stat::number_of_executed_units: %d" % executions, flush=True)
    sys.exit(code)
def store(text, kind="crash", folder="crashes"):
    data = text.encode()
    count[0] += 1
    if afl:
        path = os.path.join(work, folder, "id:%06d,sig:06" % count[0])
    else:
        path = work + kind + "-" + hashlib.sha1(data).hexdigest()
    with open(path, "wb") as f:
        f.write(data)
def wait():
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.02)
if afl:
    for folder in ("queue", "crashes", "hangs"):
        os.makedirs(os.path.join(work, folder))
signal.signal(signal.SIGTERM, lambda *_: finish(40))
what = os.environ.get("FAKE", "clean")
if what == "clean":
    status(100); wait(); finish(100)
elif what == "idle":
    wait(); finish(0)
elif what == "crash":
    store("bug overlap 11111111 and more"); print("ASSERTION FAILED: overlap"); finish(10, 77)
elif what == "crashes":
    store("bug overlap 11111111 %d" % time.monotonic_ns())
    store("bug invariant:alpha.I3 22222222"); store("asan touched-live-block 33333333")
    store("bug overlap 44444444 slips")
    wait(); finish(50, 0 if afl else 77)
elif what == "flaky":
    store("clean input")
    print("ERROR: assay: alpha: content: at 0x7f12\nASSERTION FAILED: content")
    finish(10, 77)
elif what == "timeout":
    store("slow", kind="timeout", folder="hangs"); wait(); finish(10, 0 if afl else 70)
elif what == "oom":
    store("large", kind="oom"); finish(10, 71)
elif what == "swallowed":
    print("ASSERTION FAILED: bounds", flush=True); wait(); finish(10, 0)
elif what == "garbage":
    status(5)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sys.stdout.buffer.write(b"\xff\x00\x1b[2J#12 cov: x" * 5000)
    print(); finish(5)
elif what == "boasts":
    status(5)
    huge = "9" * 30
    print("#%s\tNEW    cov: %s ft: %s corp: 2/9b exec/s: %s rss: 9Mb" % ((huge,) * 4))
    print("stat::number_of_executed_units: " + huge)
    print("x total execs : %s.0T x\nx exec speed : %s/sec" % (huge, huge), flush=True)
    # The target writes astray, into its counters (fakes.write_counters makes such files).
    with open(os.environ["ASSAY_COUNTERS"], "wb") as f:
        f.write(bytes.fromhex(os.environ["FAKE_COUNTERS"]))
    store("bug overlap 11111111")
    wait(); finish(5, 0 if afl else 77)
elif what == "dies":
    print("no such thing", file=sys.stderr); os._exit(3)
elif what == "killed":
    status(5); os.kill(os.getpid(), signal.SIGKILL)
elif what == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN); status(5); time.sleep(600)
elif what == "forks":
    # Neither its group nor its parent lead to what it leaves behind.
    for _ in range(3):
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                os.close(1); os.close(2)
                with open(os.path.join(os.environ["FAKE_READY"], str(os.getpid())), "w"):
                    pass
                time.sleep(600)
            os._exit(0)
    print("#5\tNEW    cov: 7 ft: 9 corp: 2/9b exec/s: 500 rss: 9Mb", flush=True)
    wait(); finish(5)
elif what == "leaks":
    status(5)
    kept = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        kept.append(b"x" * (16 << 20)); time.sleep(0.02)
elif what == "keeps":
    for folder, text in (("queue", "new input"),):
        if afl: store(text, folder=folder)
    status(9); wait(); finish(9)
'''


# A planted bug of alpha, behind the lines that are a test's own.
PATCH = """Bug: %s
Origin: none
Expect: overlap content

--- a/allocators/alpha.c
+++ b/allocators/alpha.c
@@ -1 +1 @@
-int alpha;
+int beta;
"""


def script(path, source):
    """Writes an executable Python script."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
        f.write("#!/usr/bin/env python3\n" + source)
    os.chmod(path, os.stat(path).st_mode | stat.S_IXUSR)
    return path


def build_tree(folder):
    """A folder laid out like bazel-bin, with the strategies alpha and beta, and in bin/ a fake
    afl-fuzz."""
    for name in ("assay.elf", "assay_asan.elf"):
        script(os.path.join(folder, name), ASSAY)
    for strategy in ("alpha", "beta", "planted"):
        for engine in ("libfuzzer", "afl"):
            script(os.path.join(folder, "fuzz", "%s_%s.elf" % (strategy, engine)), ENGINE)
    script(os.path.join(folder, "fuzz", "mutator_afl.so"), "")
    script(os.path.join(folder, "bin", "afl-fuzz"), ENGINE)
    return folder


def write_counters(path, executions, operations=0, exercised=None, states=None):
    """What a fuzz target that was told to count leaves behind (fuzz/counters.h)."""
    rows = {"executions": executions, "operations": operations,
            **{"exercised:" + name: times for name, times in (exercised or {}).items()}}
    size = 64
    names = [name.encode().ljust(size, b"\0") for name in rows]
    places = list((states or {}).items())
    numbers = counters._VERSION, len(rows), len(places), size  # pylint: disable=protected-access
    with open(path, "wb") as f:
        f.write(counters._HEADER.pack(  # pylint: disable=protected-access
            counters._MAGIC, *numbers, counters._check(numbers, names)))
        for name, value in zip(names, rows.values()):
            f.write(name + struct.pack("=Q", value))
        for state, hits in places:
            f.write(struct.pack("=QQ", state, hits))
