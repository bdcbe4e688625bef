"""For tests: fake engines that write down, somewhere else, what they have done.

Each keeps inputs, finds bugs and counts executions as libFuzzer or afl-fuzz with a target of ours
do, and only then adds a line to the file TRUTH: what stands there has happened, whatever was killed
since. The lines: `kept STRATEGY SHA1`, `bug STRATEGY SIGNATURE SHA1`, `executions SESSION NUMBER`.
"""

# Signatures of the bugs that each strategy has.
SIGNATURES = ["%08x" % (0x11111111 * i) for i in range(1, 6)]

ENGINE = r'''
import hashlib, mmap, os, random, signal, struct, sys, time
SIGNATURES = %r
name = os.path.basename(sys.argv[0])
afl = name == "afl-fuzz"
def value(key, default=""):
    return next((a[len(key):] for a in sys.argv if a.startswith(key)), default)
counters = os.environ["ASSAY_COUNTERS"]
session = os.path.basename(os.path.dirname(counters))
strategy = os.environ["ASSAY_STRATEGY"]
if afl:
    out = sys.argv[sys.argv.index("-o") + 1]
    role = next((sys.argv[sys.argv.index(o) + 1] for o in ("-M", "-S") if o in sys.argv), "default")
    work = os.path.join(out, role)
    seconds = int(sys.argv[sys.argv.index("-V") + 1])
    for folder in ("queue", "crashes", "hangs"):
        os.makedirs(os.path.join(work, folder))
else:
    work, corpus = value("-artifact_prefix="), sys.argv[-1]
    seconds = int(value("-max_total_time=", "1"))

# A counters file as fuzz/counters.h has it, of three numbers and one state.
NAMES = [n.encode().ljust(40, b"\0") for n in ("executions", "operations", "exercised:overlap")]
def check():
    v = 14695981039346656037
    for b in struct.pack("=IIII", 1, 3, 1, 40) + b"".join(NAMES):
        v = (v ^ b) * 1099511628211 %% 2**64
    return v
whole = struct.pack("=QIIIIQ", 0x315443594153531A, 1, 3, 1, 40, check()) + b"".join(
    n + struct.pack("=Q", 0) for n in NAMES) + struct.pack("=QQ", 7, 0)
with open(counters + ".part", "wb") as f:
    f.write(whole)
os.rename(counters + ".part", counters)
with open(counters, "r+b") as f:
    memory = mmap.mmap(f.fileno(), 0)
PLACES = [32 + 48 * i + 40 for i in range(3)] + [32 + 48 * 3 + 8]

truth_file = os.open(os.environ["TRUTH"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
def truth(*words):
    os.write(truth_file, (" ".join(map(str, words)) + "\n").encode())
chance = random.Random()
count = 0
def store(data, folder, kind):
    global count
    count += 1
    sha1 = hashlib.sha1(data).hexdigest()
    if afl:
        path = os.path.join(work, folder, "id:%%06d,src:0" %% count)
    else:
        path = os.path.join(corpus, sha1) if kind == "kept" else work + kind + "-" + sha1
    with open(path, "wb") as f:
        f.write(data)
    return sha1
executions = 0
def finish(code=0):
    truth("executions", session, executions)
    if afl:
        with open(os.path.join(work, "fuzzer_stats"), "w") as f:
            f.write("execs_done : %%d\nedges_found : 12\n" %% executions)
    else:
        print("stat::number_of_executed_units: %%d" %% executions, flush=True)
    sys.exit(code)
signal.signal(signal.SIGTERM, lambda *_: finish())
end = time.monotonic() + seconds
while time.monotonic() < end:
    executions += 1
    for place in PLACES:
        memory[place:place + 8] = struct.pack("=Q", executions)
    if executions %% 5 == 0:
        truth("executions", session, executions)
    if chance.random() < 0.2:
        data = b"input %%d" %% chance.getrandbits(64)
        truth("kept", strategy, store(data, "queue", "kept"))
    if chance.random() < (0.02 if afl else 0.02):
        signature = chance.choice(SIGNATURES)
        data = ("bug overlap %%s %%d" %% (signature, chance.getrandbits(64))).encode()
        truth("bug", strategy, signature, store(data, "crashes", "crash"))
        if not afl:
            print("ERROR: assay: x\nASSERTION FAILED: overlap", flush=True)
            finish(77)
    if executions %% 20 == 0 and not afl:
        print("#%%d\tNEW    cov: 7 ft: 9 corp: 2/9b exec/s: 500 rss: 9Mb" %% executions, flush=True)
    time.sleep(0.01)
finish()
''' % (SIGNATURES,)
