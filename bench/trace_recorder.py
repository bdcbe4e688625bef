"""Records two small traces of real programs, so that there are some on any machine."""
import glob
import os
import re
import shutil

from ci import process

_SECONDS = 120.0

# Structures, loops, branches and calls: something for each stage of a compiler.
_FUNCTION = """
struct s%(n)d { int a[%(k)d]; struct s%(n)d *next; double weight; };
static int f%(n)d(struct s%(n)d *s, int x) {
  int sum = x;
  for (; s; s = s->next)
    for (int i = 0; i < %(k)d; i++)
      sum += s->a[i] * (x > %(n)d ? i : %(k)d) ^ (int)(s->weight * i);
  switch (sum %% 5) {
  case 0: return sum / (x | 1);
  case 1: return sum << 3;
  default: return sum - x;
  }
}
int g%(n)d(int x) { struct s%(n)d s = {{x}, 0, %(n)d.5}; return f%(n)d(&s, x) + x; }
"""

_PYTHON = """
import json, re, collections
words = collections.Counter()
rows = []
for i in range(1500):
    row = {"name": "item %d" % i, "tags": ["t%d" % (i % k) for k in range(1, 8)], "size": i * 1.5}
    words.update(re.findall(r"[a-z]+|[0-9]+", row["name"] + " " + " ".join(row["tags"])))
    rows.append(row)
text = json.dumps(rows)
again = json.loads(text)
again.sort(key=lambda row: (row["tags"], -row["size"]))
print(len(text), len(words), len(again))
"""


def _compiler():
    names = ["clang-%d" % n for n in range(30, 13, -1)] + ["clang", "gcc", "cc"]
    return next(filter(None, map(shutil.which, names)), None)


def commands(folder):
    """{name: (command, environment to add)}; writes what they read into `folder`."""
    source = os.path.join(folder, "functions.c")
    with open(source, "w", encoding="utf-8") as file:
        file.write("".join(_FUNCTION % {"n": n, "k": n % 9 + 2} for n in range(30)))
    found = {}
    compiler = _compiler()
    if compiler:
        found["compile"] = ([compiler, "-O2", "-c", source, "-o", os.path.join(folder, "functions.o")],
                            {})
    python = shutil.which("python3", path="/usr/bin:/bin") or shutil.which("python3")
    if python:
        found["python"] = ([python, "-c", _PYTHON], {"PYTHONMALLOC": "malloc"})
    return found


def record(assay, preload, folder, name, command, environment):
    """Returns (the trace's path, "") or (None, the reason). Of several processes the one that asked
    for most is taken."""
    raw = os.path.join(folder, "recorded-" + name)
    shutil.rmtree(raw, ignore_errors=True)
    code, _, err = process.run(
        [assay, "record", "--out", raw, "--preload", preload, "--"] + command,
        dict(os.environ, **environment), _SECONDS)
    traces = sorted(glob.glob(os.path.join(glob.escape(raw), "*.trace")), key=os.path.getsize)
    if code != 0 or not traces:
        lines = [line for line in err.splitlines() if line.strip()]
        return None, "%s: %s" % (re.sub(r".*/", "", command[0]), lines[-1] if lines
                                 else "it left no trace" if code == 0 else "it took too long"
                                 if code is None else "exit code %d" % code)
    path = os.path.join(folder, name + ".trace")
    os.replace(traces[-1], path)
    shutil.rmtree(raw, ignore_errors=True)
    return path, ""
