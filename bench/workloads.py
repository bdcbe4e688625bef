"""The workloads, as data. What each does is in bench/plan.c."""
import collections

# `made_for`: of which strategies it is the home ground.
Workload = collections.namedtuple("Workload", "name what made_for path trace")

BUILT_IN = (
    Workload("lifo64", "100 blocks of 64 bytes, released last in first out", "", "", False),
    Workload("churn", "10 000 live blocks of 16 to 1024 bytes, a random one replaced each time", "",
             "", False),
    Workload("fixed", "10 000 live objects of 192 bytes, a random one replaced each time", "slab",
             "", False),
    Workload("bursts", "10 000 live objects of 192 bytes, 64 random ones released, 64 allocated",
             "", "", False),
    Workload("region", "1000 blocks of 16 to 128 bytes, then all released at once", "arena", "",
             False),
    Workload("pow2", "10 000 live blocks of 32, 64 ... 4096 bytes, a random one replaced each time",
             "buddy", "", False),
    Workload("pages", "128 MiB of fresh pages, handed out by 4096 bytes; the source's pages are 1 "
             "MiB", "page_bump", "", False),
)

# Recorded for each run by trace_recorder.py.
RECORDED = {
    "compile": "a C compiler's run",
    "python": "a Python program, with PYTHONMALLOC=malloc",
}


def trace(name, what, path):
    return Workload(name, what, "", path, True)
