#!/usr/bin/env python3
"""A run of ci/bench as one page of HTML that needs nothing else: bench_page.py RESULTS.json FOLDER

Writes FOLDER/report.html and prints its name. The page is of the same make as those of campaigns
(html_page.py): it fetches nothing, and shows all without JavaScript.
"""
import base64
import hashlib
import json
import os
import sys
from types import SimpleNamespace

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from reports import (bench_markdown, bench_pictures, files, html_page, inline_svg,  # noqa: E402
                     speed_memory, text)
from reports.exhibit import Exhibit  # noqa: E402

NAME = "report.html"

_WORDS = {"held": "clean", "NOT held": "bad", "not measured": "none"}


def tail(told, workload):
    """The tail of single operations as an exhibit, or None."""
    found = bench_pictures.tails(told, workload)
    if not found:
        return None
    cost, step = bench_pictures.clock(told)
    least, most = found[0], max(found, key=lambda one: one[1]["max"])
    title = "Single operations: " + workload["name"]
    says = "Shortest tail: %s, of which 99.9 %% take no longer than %s. Longest of all: %s on %s." % (
        least[0], bench_pictures.words(least[1]["p99.9"]), bench_pictures.words(most[1]["max"]),
        most[0])
    method = (
        "Each operation by itself, of each the least of several runs from the same state, so that what "
        "the machine did meanwhile does not count; medians of the rounds. Reading the clock costs %s, "
        "which is taken off; it goes in steps of %s. Strategies filled, other allocators hollow." % (
            bench_pictures.words(cost), bench_pictures.words(step)))
    return Exhibit(
        bench_pictures.name_for("tail", workload["name"]), "tail", title, says, method,
        ("allocator", "p50, ns", "p99, ns", "p99.9, ns", "max, ns"),
        [(name,) + tuple(bench_markdown.number(times[key]) for key, _, _ in bench_pictures.TAIL)
         for name, times in found],
        svg=bench_pictures.tail_latency(told, workload, title, says))


def fragmented(told, workload):
    """Fragmentation over time as an exhibit, or None."""
    found = bench_pictures.fragmented(told, workload)
    if not found:
        return None
    title = "Fragmentation over time: " + workload["name"]
    says = "Least on the mean: %s, with %.2f bytes held for each that is live; most: %s, with %.2f." % (
        found[0][:2] + found[-1][:2])
    method = ("Footprint by live bytes, as long as at least a tenth of the peak is live; in the title of "
              "each panel the mean over time, in grey all the others.")
    return Exhibit(
        bench_pictures.name_for("fragmentation", workload["name"]), "fragmentation", title, says,
        method, ("allocator", "mean", "least", "most", "at the end"),
        [(name, "%.2f" % mean, "%.2f" % min(r for _, r in points),
          "%.2f" % max(r for _, r in points), "%.2f" % points[-1][1])
         for name, mean, points in found],
        svg=bench_pictures.fragmentation_over_time(told, workload, title, says))


def speed(told, workload):
    """Speed against memory as an exhibit, or None."""
    points = {}
    for run in told["runs"]:
        summary = run["summary"]
        if run["workload"] == workload["name"] and summary["ns"] and summary["waste"]:
            points[run["subject"]] = speed_memory.Point(
                run["subject"], summary["ns"]["median"], summary["waste"], summary["ns"]["q1"],
                summary["ns"]["q3"])
    return speed_memory.of_workload(workload["name"], points, True) if points else None


_SECTIONS = (("speed", "Speed against memory", speed,
              "Nobody's speed and memory were both measured."),
             ("tail", "Tail of single operations", tail,
              "Single operations were not measured in this run."),
             ("fragmentation", "Fragmentation over time", fragmented,
              "Nobody's memory was measured."))


def _sections(told, markup):
    pictures, made = inline_svg.Pictures(), []
    for name, title, make, why in _SECTIONS:
        shown = [exhibit for exhibit in (make(told, workload) for workload in told["workloads"])
                 if exhibit]
        made.append(SimpleNamespace(id=name, title=title, why=why, shown=[
            html_page.shown_exhibit(exhibit, pictures, markup) for exhibit in shown]))
    return made


def _bounds(told):
    rows = []
    for bound in told["bounds"]:
        ratio = bound["ratio"]
        rows.append(SimpleNamespace(
            word=_WORDS[bound["verdict"]], verdict=bound["verdict"], cells=(
                bound["strategy"], bound["of"], bound["workload"] or "all", bound["wording"],
                "%.2f (%.2f–%.2f)" % (ratio["median"], ratio["low"], ratio["high"])
                if ratio else "–"), reason=bound["reason"]))
    return rows


def render(told):
    """`told`: results.json as a dict. html_page.NoTemplates: Jinja2 is missing."""
    environment = html_page.environment()
    from markupsafe import Markup    # which Jinja2 brings
    script = html_page.read("page.js")
    sections = _sections(told, Markup)
    contents = [("bounds", "Bounds")] + [(section.id, section.title) for section in sections]
    contents += [("missing", "Not measured"), ("machine", "Machine")]
    return environment.get_template("bench.html.j2").render(
        head=SimpleNamespace(day=told["started"][:10], line=bench_markdown.summary(told)),
        bounds=_bounds(told), sections=sections, missing=bench_markdown.missing(told),
        busy=bench_markdown.busy(told),
        machine=bench_markdown.machine_facts(told), contents=contents, queries={},
        style=Markup("".join(map(html_page.read, html_page.STYLES))), script=Markup(script),
        script_hash="sha256-" + base64.b64encode(
            hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii"))


def write(told, folder):
    """Returns the name of the file."""
    files.write_whole(os.path.join(folder, NAME), text.printable(render(told)))
    return NAME


def main(arguments):
    if len(arguments) != 2:
        sys.exit(__doc__)
    with open(arguments[0], encoding="utf-8") as file:
        told = json.load(file)
    try:
        print(write(told, arguments[1]))
    except html_page.NoTemplates as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main(sys.argv[1:])
