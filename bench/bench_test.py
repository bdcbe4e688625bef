#!/usr/bin/env python3
"""The figures of ci/bench, on rounds as they come: medians, bounds, the table."""
import json
import os
import re
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from bench import (bounds, fragmentation, results, rounds, subjects, summary,  # noqa: E402
                   workloads)
from reports import bench_csv, bench_markdown, benchmark_rows  # noqa: E402

CHURN = next(w for w in workloads.BUILT_IN if w.name == "churn")
PAGES = next(w for w in workloads.BUILT_IN if w.name == "pages")
TRACE = workloads.trace("mine", "<a> trace | with `marks`", "/x/mine.trace")


def latency(*quantiles):
    return {"operations": 10, "clock_ns": 20.0, "step_ns": 10.0, "runs": 5, "worst_step": 3,
            "quantiles": [list(pair) for pair in zip((0.5, 0.9, 0.99, 0.999, 1), quantiles)]}


def run(workload, subject, times, peaks=(), reason=""):
    """A Run with these CPU times (the loop's own is 1 ns), and these peaks of 1000 live bytes."""
    return results.Run(
        workload, subject,
        {turn: {"ns": ns + 1, "loop_ns": 1} for turn, ns in enumerate(times)},
        {turn: {"peak_footprint": peak, "peak_live": 1000, "usable_at_peak_live": 1100,
                "footprint_at_peak_live": peak, "samples": [[1, peak]]}
         for turn, peak in enumerate(peaks)}, reason)


def example(*runs, names=("size_class", "tlsf", "page_bump"), told=(CHURN, TRACE, PAGES)):
    missing = "not installed: apt-get install libmimalloc2.0"
    return results.Results(
        rounds=3, done=3, seconds=61, machine={"cpu": "abacus"}, load=[0.1, 0.2],
        started="2026-01-02T03:04:05Z", workloads=list(told), runs=list(runs),
        subjects=[subjects.strategy(name) for name in names] + [
            subjects.Subject("glibc", subjects.PEER, "", "libc6", "2.36", ""),
            subjects.Subject("mimalloc", subjects.PEER, "", "libmimalloc2.0", "", missing),
            subjects.raw()])


def verdict(told, strategy, of, against="glibc", workload="churn"):
    found = [v for v in bounds.judge(told) if (v["strategy"], v["of"], v["against"]) == (
        strategy, of, against) and workload in v["workload"]]
    assert len(found) == 1, found
    return found[0]


class SummaryTest(unittest.TestCase):
    def test_spread(self):
        self.assertEqual({"median": 3, "q1": 2, "q3": 4, "low": 1, "high": 9, "rounds": 5},
                         summary.spread([9, 1, 3, 2, 4]))
        one = summary.spread([7])
        self.assertEqual([7] * 5, [one[k] for k in ("median", "q1", "q3", "low", "high")])

    def test_run(self):
        told = run("churn", "tlsf", [10, 30, 20], [1500, 1400, 1600]).summary()
        self.assertEqual((20, 10, 30), tuple(told["ns"][k] for k in ("median", "low", "high")))
        self.assertEqual(1.5, told["waste"])
        self.assertAlmostEqual(0.1, told["internal"])
        self.assertAlmostEqual(0.4, told["external"])
        self.assertIsNone(run("churn", "tlsf", []).summary()["ns"])

    def test_tail(self):
        mine = run("churn", "tlsf", [10])
        self.assertIsNone(mine.summary()["latency"])
        mine.latency = {0: latency(10, 20, 30, 40, 900), 1: latency(10, 20, 30, 60, 500),
                        2: latency(20, 20, 30, 50, 700)}
        tail = mine.summary()["latency"]
        self.assertEqual([10, 30, 50, 700], [tail[key]["median"] for key in (
            "p50", "p99", "p99.9", "max")])
        self.assertEqual((500, 900), (tail["max"]["low"], tail["max"]["high"]))

    def test_fragmentation_over_time(self):
        live = [[10, 100], [20, 1000], [40, 500], [50, 50]]
        samples = [[10, 4096], [20, 2000], [40, 2000], [50, 2000]]
        points = fragmentation.curve(live, samples)
        # At the beginning and at the end next to nothing is live.
        self.assertEqual([(20, 2.0), (40, 4.0)], points)
        self.assertEqual((20 * 2 + 20 * 4) / 40, fragmentation.mean(points))
        self.assertIsNone(fragmentation.mean(fragmentation.curve([], samples)))

    def test_loop_takes_no_more_than_all(self):
        self.assertGreater(run("churn", "tlsf", [-5]).costs()[0], 0)

    def test_single_operations(self):
        worst = results.Worst("tlsf", 100, {
            0: {"pair_worst": 40, "pair_median": 20, "allocate": [9, 900, 5], "release": [1, 2, 3]},
            1: {"pair_worst": 42, "pair_median": 22, "allocate": [8, 12, 700], "release": [3, 2, 1]},
        }).summary()
        # An interrupt in one round is no cost of the operation.
        self.assertEqual((12, 2), (worst["allocate"], worst["release"]))
        self.assertEqual(41, worst["pair"]["median"])


class BoundsTest(unittest.TestCase):
    def test_ratios_are_of_the_same_round(self):
        # The machine became slower and slower, for both.
        told = example(run("churn", "tlsf", [10, 20, 40]), run("churn", "glibc", [8, 16, 32]))
        found = verdict(told, "tlsf", "time")
        self.assertEqual(bounds.HELD, found["verdict"])
        self.assertEqual([1.25] * 3, [found["ratio"][k] for k in ("median", "low", "high")])

    def test_not_held(self):
        told = example(run("churn", "tlsf", [14, 14, 9]), run("churn", "glibc", [10, 10, 10]))
        self.assertEqual(bounds.NOT_HELD, verdict(told, "tlsf", "time")["verdict"])

    def test_bandwidth_is_held_from_below(self):
        for cost, expected in ((10, bounds.HELD), (12, bounds.NOT_HELD)):
            told = example(run("pages", "page_bump", [cost]), run("pages", "raw", [10]))
            found = verdict(told, "page_bump", "bandwidth", "raw", "pages")
            self.assertEqual(expected, found["verdict"])

    def test_best_peer(self):
        told = example(run("churn", "size_class", [1], [1300]), run("churn", "glibc", [1], [1200]),
                       run("churn", "mimalloc", [1], [1000]))
        found = verdict(told, "size_class", "memory", bounds.BEST_PEER)
        self.assertEqual((bounds.NOT_HELD, 1.3), (found["verdict"], found["ratio"]["median"]))

    def test_traces(self):
        told = example(run("mine", "size_class", [1]), run("mine", "glibc", [2]))
        self.assertEqual(bounds.HELD, verdict(told, "size_class", "time", workload="mine")["verdict"])

    def test_flat(self):
        told = example()
        told.worst = [results.Worst("tlsf", n, {0: {"pair_worst": ns}})
                      for n, ns in ((100, 40), (1000, 90), (10000, 60))]
        found = verdict(told, "tlsf", "flat", "", "10000 free")
        self.assertEqual((bounds.HELD, 1.5), (found["verdict"], found["ratio"]["median"]))
        told.worst.append(results.Worst("tlsf", 100000, reason="not within 30 s"))
        found = verdict(told, "tlsf", "flat", "", "10000 free")
        self.assertEqual(bounds.NOT_HELD, found["verdict"])
        self.assertIn("100000 free blocks: not within 30 s", found["reason"])

    def test_what_could_not_be_measured_says_why(self):
        told = example(run("churn", "size_class", [5]), names=("size_class", "tlsf"))
        told.runs.append(run("churn", "mimalloc", [], reason="not installed: apt-get install x"))
        told.runs.append(run("churn", "tlsf", [], reason="refused 3 requests"))
        self.assertIn("apt-get install x", verdict(told, "size_class", "time", "mimalloc")["reason"])
        self.assertIn("refused 3", verdict(told, "tlsf", "time")["reason"])
        self.assertIn("there is no strategy page_bump",
                      verdict(told, "page_bump", "bandwidth", "raw", "pages")["reason"])
        self.assertEqual({bounds.NOT_MEASURED}, {v["verdict"] for v in bounds.judge(told)})

    def test_what_was_left_out_on_purpose_is_not_told(self):
        told = example(run("churn", "tlsf", [1]), run("churn", "glibc", [1]), names=("tlsf",),
                       told=(CHURN,))
        told.restricted = ["strategies", "workloads"]
        self.assertEqual({"tlsf"}, {v["strategy"] for v in bounds.judge(told)})

    def test_table_names_what_there_is(self):
        known = {w.name for w in workloads.BUILT_IN} | {bounds.TRACES}
        peers = {peer.name for peer in subjects.peers()} | {"raw", bounds.BEST_PEER, ""}
        for bound in bounds.BOUNDS:
            self.assertLessEqual(set(bound.workloads), known)
            self.assertIn(bound.against, peers)
            self.assertIn(bound.of, ("time", "bandwidth", "memory", "flat"))
        self.assertEqual(["arena:keeps_chunks"], bounds.variants_of("arena"))


class SubjectsTest(unittest.TestCase):
    def test_what_is_not_installed_says_what_to_do(self):
        with tempfile.TemporaryDirectory() as empty:
            found = {peer.name: peer for peer in subjects.peers([empty])}
        self.assertEqual("", found["glibc"].missing)
        self.assertIn("apt-get install libjemalloc2", found["jemalloc"].missing)


class FakeMeasure:
    """Counts; tlsf fails in the second round."""

    def __init__(self):
        self.calls = []

    def __call__(self, subject, *arguments):
        self.calls.append((subject.name,) + arguments)
        if arguments[0] == "--worst":
            return {"pair_worst": 1, "pair_median": 1, "allocate": [1], "release": [1]}, ""
        if arguments[0] == "--memory":
            return {"peak_footprint": 5}, ""
        if arguments[0] == "--latency":
            return (None, "not within 5 s") if subject.name == "glibc" else (latency(1, 2, 3, 4, 5), "")
        if subject.name == "tlsf" and len([c for c in self.calls if c[:2] == ("tlsf", "--speed")]) > 1:
            return None, "killed by signal 11"
        return {"ns": 5, "loop_ns": 1}, ""


class RoundsTest(unittest.TestCase):
    def run_all(self, stop=lambda: False):
        told = example(told=(CHURN,), names=("tlsf", "buddy"))
        told.rounds = 5
        measure = FakeMeasure()
        session = rounds.Rounds(measure, told, lambda line: None, stop)
        session.prepare(["tlsf"], (10,))
        session.run()
        return told, measure.calls

    def test_everyone_has_a_turn_in_each_round(self):
        told, calls = self.run_all()
        self.assertEqual(5, len(told.run("churn", "buddy").speed))
        self.assertEqual(rounds.MEMORY_ROUNDS, len(told.run("churn", "buddy").memory))
        self.assertEqual(rounds.MEMORY_ROUNDS, len(told.run("churn", "buddy").latency))
        # What took too long once is not tried again, and costs nothing else.
        self.assertEqual((5, 0), (len(told.run("churn", "glibc").speed),
                                  len(told.run("churn", "glibc").latency)))
        self.assertEqual(["single operations of glibc on churn: not within 5 s"], told.notes)
        self.assertEqual({}, told.run("churn", "mimalloc").speed)
        self.assertIsNone(told.run("churn", "raw"))
        # Failed once: not tried again, and what there is stays.
        failed = told.run("churn", "tlsf")
        self.assertEqual((1, "killed by signal 11"), (len(failed.speed), failed.reason))
        turns = [name for name, mode, *_ in calls if mode == "--speed" and name != "tlsf"]
        for turn in range(5):
            self.assertEqual({"buddy", "glibc"}, set(turns[2 * turn:2 * turn + 2]))
        self.assertEqual((5, 5), (told.done, len(told.worst[0].rounds)))

    def test_stop(self):
        asked = []
        told, calls = self.run_all(lambda: len(asked) > 3 or asked.append(1))
        self.assertLess(told.done, 5)
        self.assertLess(len(calls), 9)


class RowsTest(unittest.TestCase):
    def told(self):
        mine = run("churn", "arena:keeps_chunks", [10, 11, 12], [1500])
        mine.latency = {0: latency(10, 20, 30, 40, 900)}
        told = example(mine, names=("arena:keeps_chunks",))
        told.described = {"churn": {"live": [[1, 1000]]}}
        return json.loads(json.dumps(told.to_dict()))

    def test_metrics(self):
        rows = {row["metric"]: row for row in benchmark_rows.rows(self.told())}
        self.assertEqual({"time": 11, "footprint": 1500, "memory": 1.5, "over-time": 1.5,
                          "latency-p50": 10, "latency-p99": 30, "latency-p99.9": 40,
                          "latency-max": 900}, {name: row["value"] for name, row in rows.items()})
        self.assertEqual(("arena", "keeps_chunks", "ns"), tuple(
            rows["latency-max"][key] for key in ("strategy", "variant", "unit")))

    def test_csv(self):
        lines = bench_csv.figures(self.told()).split("\r\n")
        self.assertEqual(",".join(bench_csv.FIGURES), lines[0])
        self.assertIn("churn,arena:keeps_chunks,strategy,latency-max,ns,900.0,900.0,900.0,1", lines)
        lines = bench_csv.curves(self.told()).split("\r\n")
        self.assertEqual([",".join(bench_csv.CURVES),
                          "churn,arena:keeps_chunks,strategy,1,1000,1500,1.5000", ""], lines)


class MarkdownTest(unittest.TestCase):
    def told(self):
        told = example(run("churn", "size_class", [10, 11, 12], [1500]),
                       run("churn", "glibc", [20, 20, 21], [1000]),
                       run("churn", "mimalloc", [], reason="not installed: apt-get install x"),
                       run("mine", "glibc", [12345.6]))
        told.described = {"churn": {"operations": 1234567, "peak_live_bytes": 5 << 20,
                                    "peak_live_blocks": 10000, "live": [[1, 1000]]}}
        told.runs[0].latency = {0: latency(10, 20, 130, 1722, 8030)}
        told.worst = [results.Worst("tlsf", 100, reason="it does not release blocks")]
        return json.loads(json.dumps(told.to_dict()))

    def test_report(self):
        report = bench_markdown.render(self.told(), ["speed-memory-churn.svg"])
        self.assertIn("3 rounds in 1:01; bounds: 1 held, 1 NOT held, ", report)
        self.assertIn("| 11.0 (10.0–12.0) |", report)
        self.assertIn("12 300", report)
        self.assertIn("1.50x (10 % + 40 %)", report)
        self.assertIn("- `mimalloc`: not installed: apt-get install x (churn)", report)
        self.assertIn("- `tlsf`: it does not release blocks (100 free blocks)", report)
        self.assertIn("5.00 MiB", report)
        self.assertIn("| 10.0 / 130 / 1 720 / 8 030 |", report)
        self.assertIn("Reading the clock costs 20.0 ns", report)
        self.assertRegex(report, r"over time\n\n.*\n\n.*\n.*\n\| `size_class` +\| 1.50x")
        self.assertIn("![speed-memory-churn](speed-memory-churn.svg)", report)
        self.assertNotIn("The machine was busy", report)

    def test_busy_machine(self):
        told = self.told()
        told["load"][0] = 3.5
        self.assertIn("The machine was busy", bench_markdown.render(told))

    def test_rows_have_as_many_cells(self):
        for block in re.findall(r"(?:^\|.*\n)+", bench_markdown.render(self.told()), re.M):
            counts = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
            self.assertEqual(1, len(counts), block)

    def test_numbers(self):
        self.assertEqual(["0.42", "6.13", "18.9", "740", "12 300", "–"],
                         [bench_markdown.number(v) for v in (0.42, 6.13, 18.9, 740.2, 12345, None)])
        self.assertEqual(["12 B", "2.00 KiB", "5.50 MiB", "2 050 MiB"], [
            bench_markdown.size(v) for v in (12, 2048, 5.5 * (1 << 20), 2050 << 20)])


class ReadmeTest(unittest.TestCase):
    def test_fields(self):
        """Each field of the JSON is in README.md."""
        with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "README.md"),
                  encoding="utf-8") as file:
            readme = file.read()
        told = example(run("churn", "size_class", [1], [1500]), run("churn", "glibc", [1], [1200]))
        told.worst = [results.Worst("tlsf", 100, {0: {
            "pair_worst": 1, "pair_median": 1, "allocate": [1], "release": [1]}})]
        told.runs[0].latency = {0: latency(1, 2, 3, 4, 5)}
        told = told.to_dict()
        fields = set(told)
        for key in ("subjects", "workloads", "runs", "worst", "bounds"):
            for entry in told[key]:
                fields |= set(entry)
                for inner in ("summary", "ratio"):
                    fields |= set(entry.get(inner) or {})
                for kind in ("speed", "memory", "latency"):
                    for measured in entry.get(kind, []):
                        fields |= set(measured)
        for field in sorted(fields):
            self.assertIn("`%s`" % field, readme)


if __name__ == "__main__":
    unittest.main(verbosity=2)
