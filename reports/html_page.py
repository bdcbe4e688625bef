#!/usr/bin/env python3
"""The report as one page of HTML that needs nothing else: html_page.py HISTORY.db PAGE.html [CAMPAIGN]

CAMPAIGN is a number, the uuid or its beginning; without it the last one. The page fetches nothing and
shows everything without JavaScript. Text of programs under test stays text in it: Jinja2 escapes all
that it is not told to be markup, and that are only the pictures, which inline_svg.py has cleaned.
"""
import base64
import hashlib
import importlib.util
import os
import subprocess
import sys
from types import SimpleNamespace

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from reports import (files, footprint, history, html_findings, html_queries, html_tables,  # noqa: E402
                     html_verdict, html_words, inline_svg, read_history, results, text)

_TEMPLATES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "templates")
_DEBIANS = "/usr/bin/python3"
STYLES = ("page.css", "matrix.css", "figures.css", "print.css")

# Where exhibits of the statistics go: section, id on the page, heading, why it may be empty.
_SECTIONS = (
    ("saturation", "Saturation",
     "There are no counts of states seen to estimate it from."),
    ("growth", "Growth", "No session left samples over time."),
    ("engines", "Engines compared", "It takes two engines with several runs each."),
)
_TRENDS = ("trends", "Trend over campaigns", "No two campaigns measured the same.")


class NoTemplates(RuntimeError):
    """What renders pages is not installed; the message says how to get it."""


def environment():
    """Of Jinja2, for the templates. NoTemplates: it is missing."""
    try:
        import jinja2
    except ImportError as error:
        raise NoTemplates("no HTML page: %s has no Jinja2 (ci/setup installs it, as python3-jinja2)"
                          % sys.executable) from error
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES), autoescape=True, trim_blocks=True,
        lstrip_blocks=True, undefined=jinja2.StrictUndefined, finalize=html_words.shown)
    made.filters.update(
        number=text.number, short=html_words.short, percent=html_words.percent,
        count=text.count, steady=html_words.steady)
    return made


def read(name):
    """The text of a file beside the templates."""
    with open(os.path.join(_TEMPLATES, name), encoding="utf-8") as file:
        return file.read()


def shown_exhibit(exhibit, pictures, markup):
    """An exhibit as templates take it; `pictures`: the page's."""
    return SimpleNamespace(
        name=exhibit.name, title=exhibit.title, says=exhibit.says, method=exhibit.method,
        enough=exhibit.enough, rows=exhibit.rows, columns=[
            (heading, i >= exhibit.left) for i, heading in enumerate(exhibit.headings)],
        picture=markup(pictures.inline(exhibit.svg, exhibit.title, exhibit.says))
        if exhibit.svg else "")


def _exhibits(found, markup):
    """({section: what is shown in it}, what went wrong). A night's findings are not lost for want of a
    plot: where the statistics break off, the page says so in their place."""
    if found.history is None:
        return {}, "These results were read from a file; it takes the history to reckon this."
    pictures, sections = inline_svg.Pictures(), {}
    try:
        from reports import exhibits     # which loads matplotlib and scipy
        collected = exhibits.collect(found.history, found.campaign_id)
    except Exception as error:  # pylint: disable=broad-except
        return {}, "The statistics broke off: %s: %s" % (type(error).__name__, error)
    for exhibit in collected:
        sections.setdefault(exhibit.section, []).append(shown_exhibit(exhibit, pictures, markup))
    for each in sections.values():
        each.sort(key=lambda exhibit: not exhibit.enough)
    return sections, ""


def render(found):
    """The page of a results.Results, as text. NoTemplates: Jinja2 is missing."""
    made = environment()
    from markupsafe import Markup    # which Jinja2 brings
    pictures = inline_svg.Pictures("m")
    shown, problem = _exhibits(found, Markup)
    findings = html_findings.findings(found, pictures)
    for finding in findings.all:
        finding.picture = Markup(finding.picture)
    benchmarks = html_tables.benchmarks(found)
    benchmarks.shown = shown.get("benchmarks", [])
    sections = {name: SimpleNamespace(id=name, title=title, why=problem or why,
                                      shown=shown.get(name, []))
                for name, title, why in _SECTIONS + (_TRENDS,)}
    script = read("page.js")
    queries = {} if found.campaign_id is None else html_queries.queries(
        found.campaign_id, found.folder)
    return made.get_template("page.html.j2").render(
        head=html_verdict.head(found), verdict=html_verdict.verdict(
            found, findings, next((exhibit.says for exhibit in shown.get("saturation", [])
                                   if exhibit.enough), "")),
        tested=html_verdict.tested(found), matrix=html_tables.matrix(found),
        coverage=html_tables.coverage(found), findings=findings, benchmarks=benchmarks,
        footprint=SimpleNamespace(tables=footprint.tables(found.footprints), says=footprint.says(found),
                                  method=footprint.METHOD),
        exhibits=[sections[name] for name, _, _ in _SECTIONS], trends=sections["trends"],
        campaigns=html_tables.campaigns(found), jobs=html_tables.jobs(found),
        queries=queries, contents=_contents(),
        style=Markup("".join(map(read, STYLES))), script=Markup(script),
        script_hash="sha256-" + base64.b64encode(
            hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii"))


def _has_all():
    """Whether this Python has what the page and its pictures are made with."""
    try:
        return all(map(importlib.util.find_spec, ("jinja2", "numpy", "scipy", "matplotlib")))
    except ValueError:       # of a module that was made to be absent
        return False


def _by_debians(found, path):
    """Has the Python that has Debian's packages write the page; "", or what went wrong."""
    try:
        made = subprocess.run(
            [_DEBIANS, os.path.abspath(__file__), found.history.path, path, str(found.campaign_id)],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    except OSError as error:
        return "%s: %s" % (_DEBIANS, error.strerror)
    return "" if made.returncode == 0 else (made.stderr.strip().splitlines() or ["no page"])[-1]


def write(found, path):
    """Writes the page of a results.Results; returns what went wrong, or "". Jinja2 and matplotlib are
    Debian's, and so is the Python that has them, which need not be the one that runs this."""
    if found.history is not None and not _has_all() and sys.executable != _DEBIANS:
        if not _by_debians(found, path):
            return ""
    try:
        files.write_whole(path, render(found))
        return ""
    except NoTemplates as error:
        return str(error)
    except OSError:
        raise                # a full disk is the campaign's affair
    except Exception as error:  # pylint: disable=broad-except
        # The other reports tell the same; the verdict does not hang on how this one looks.
        return "no page: %s: %s" % (type(error).__name__, error)


def _contents():
    return [("verdict", "Verdict"), ("tested", "What was tested"), ("matrix", "Matrix"),
            ("coverage", "Coverage"), ("saturation", "Saturation"), ("growth", "Growth"),
            ("engines", "Engines"), ("findings", "Findings"), ("benchmarks", "Benchmarks"),
            ("footprint", "Footprint"), ("trends", "Trend"), ("jobs", "Jobs"), ("queries", "Queries")]


def main(arguments):
    if not 2 <= len(arguments) <= 3:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        opened = history.History(arguments[0], read_only=True)
        wanted = arguments[2] if len(arguments) == 3 else "last"
        campaign = read_history.campaign_of(opened, wanted)
        if campaign is None:
            raise ValueError("it has no campaign %s" % wanted)
        files.write_whole(arguments[1], render(results.Results.from_history(opened, campaign)))
    except (OSError, ValueError, NoTemplates, history.HistoryError) as error:
        print("html_page.py: %s: %s" % (arguments[0], error), file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
