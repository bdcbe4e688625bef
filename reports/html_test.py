#!/usr/bin/env python3
"""The page as a document: what is in it, what is not, and what text that was made to break it does."""
import html.parser
import json
import os
import sys
import tempfile
import unittest
import unittest.mock

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from reports import (history, html_findings, html_page, html_queries, html_words,  # noqa: E402
                     inline_svg, page_browser, results, sample_campaign)

VOID = {"meta", "link", "br", "input", "hr", "img"}
HEADINGS = {"h1", "h2", "h3", "h4"}


class Page(html.parser.HTMLParser):
    """A page, read strictly: an element that is not closed where it should be is an error."""

    def __init__(self, source):
        super().__init__(convert_charrefs=True)
        self.source = source
        self.elements, self.open, self.text, self.raw = [], [], [], {"style": "", "script": ""}
        self.feed(source)
        self.close()
        if self.open:
            raise AssertionError("not closed: %s" % self.open)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            raise AssertionError("</%s> closes what is not open, in line %d" % (tag, self.getpos()[0]))

    def handle_data(self, data):
        inside = self.open[-1] if self.open else ""
        if inside in self.raw:
            self.raw[inside] += data
        else:
            self.text.append(data)

    def all(self, tag, **wanted):
        return [fields for name, fields in self.elements if name == tag and all(
            value in (fields.get(key.rstrip("_")) or "").split() for key, value in wanted.items())]

    @property
    def words(self):
        return " ".join(" ".join(self.text).replace("\u00a0", " ").split())


def crowd(opened, number, text=1500):
    """Adds so many findings to the last campaign, each with a program and a C program."""
    campaign = opened.one("SELECT max(id) AS id FROM campaigns")["id"]
    story = json.dumps(sample_campaign.story("buddy", "overlap", "operation 3: overlaps"))
    with opened.transaction():
        for i in range(number):
            finding = opened.insert(
                "findings", strategy="buddy", property="overlap", signature="%08x" % (0xf000000 + i),
                name="overlap-%08x" % i, path="findings/buddy/overlap-%08x" % i, operations=4,
                diagnosis="operation 3: overlaps, number %d" % i, stored="2026-03-03T22:00:00Z",
                text="allocate 0 size=16\n" * (text // 19), c_program="  int x;\n" * (text // 9),
                explanation="it overlaps\n" * (text // 12), story=story)
            opened.insert("campaign_findings", campaign=campaign, finding=finding, status="new",
                          replays=5, same=5)


class PageTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.history = sample_campaign.write(os.path.join(cls.folder.name, "history.db"), small=True)
        cls.results = results.Results.from_history(cls.history, 3)
        cls.page = Page(html_page.render(cls.results))

    @classmethod
    def tearDownClass(cls):
        cls.history.close()
        cls.folder.cleanup()

    def crowded(self, number, **more):
        """A page with so many findings more."""
        with tempfile.TemporaryDirectory() as folder:
            opened = sample_campaign.write(os.path.join(folder, "history.db"), small=True)
            crowd(opened, number, **more)
            with unittest.mock.patch("reports.exhibits.collect", return_value=[]):
                source = html_page.render(results.Results.from_history(opened, 3))
            opened.close()
        return source

    def test_headings_are_in_order(self):
        levels = [int(tag[1]) for tag, _ in self.page.elements if tag in HEADINGS]
        self.assertEqual(1, levels.count(1))
        self.assertEqual(1, levels[0])
        for before, after in zip(levels, levels[1:]):
            self.assertLessEqual(after, before + 1)

    def test_ids_are_unique_and_links_lead_somewhere(self):
        ids = [fields["id"] for _, fields in self.page.elements if "id" in fields]
        self.assertEqual(len(ids), len(set(ids)))
        links = [fields["href"] for fields in self.page.all("a")]
        self.assertGreater(len(links), 20)
        for link in links:
            self.assertIn(link, ["#" + name for name in ids])
        for _, fields in self.page.elements:
            for key in ("aria-labelledby", "aria-describedby", "aria-controls", "for"):
                for name in (fields.get(key) or "").split():
                    self.assertIn(name, ids)

    def test_nothing_is_fetched(self):
        for tag, fields in self.page.elements:
            self.assertNotIn(tag, ("img", "iframe", "object", "embed", "base", "image"))
            for key, value in fields.items():
                self.assertNotIn(key, ("src", "srcset", "action", "background", "poster"))
                self.assertFalse(key.startswith("on"), key)
                if key in ("href", "xlink:href"):
                    self.assertRegex(value, "^(#|data:)")
                self.assertNotRegex(value or "", r"url\((?!#)")
                if key not in ("title", "aria-label", "data-copy"):
                    self.assertNotRegex(value or "", "(?i)https?:|javascript:")
        self.assertNotRegex(self.page.raw["style"], r"(?i)@import|url\(|https?:")
        self.assertNotRegex(self.page.raw["script"], r"https?:|fetch|XMLHttp|import\(|innerHTML|eval")

    def test_one_script_and_only_that_may_run(self):
        self.assertEqual(1, self.page.source.count("<script"))
        policy = self.page.all("meta", **{"http-equiv": "Content-Security-Policy"})
        self.assertEqual(1, len(policy))
        self.assertIn("default-src 'none'", policy[0]["content"])
        self.assertNotRegex(policy[0]["content"], "script-src[^;]*unsafe")

    def test_hostile_text_stays_text(self):
        self.assertIn("<script>alert('x')</script> ]]> & \"q\"", self.page.words)
        self.assertIn("{{ 7*7 }} </style>", self.page.words)
        self.assertNotRegex(self.page.source, "[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]")
        self.assertEqual("a?b", html_words.shown("a\u202eb"))
        self.page.source.encode("utf-8")

    def test_every_table_says_what_it_is(self):
        data = [fields for fields in self.page.all("table") if fields.get("role") != "presentation"]
        self.assertEqual(len(data), len(self.page.all("caption")))
        self.assertGreater(len(data), 6)
        for fields in self.page.all("th"):
            self.assertIn(fields.get("scope"), ("col", "row"))
        svgs = self.page.all("svg")
        self.assertGreater(len(svgs), 3)
        for fields in svgs:
            self.assertEqual("img", fields["role"])
            self.assertIn("aria-labelledby", fields)
            self.assertIn("aria-describedby", fields)

    def test_the_verdict_comes_first(self):
        words = self.page.words
        self.assertLess(words.index("2 new findings, 1 flaky"), words.index("What was really tested"))
        self.assertIn("%s executions" % "{:,}".format(self.results.executions).replace(",", " "), words)
        self.assertIn("their turn did not come", words)
        self.assertIn("AFL++ ended with exit code 1", words)

    def test_the_matrix_tells_collections_from_strategies(self):
        self.assertEqual(["vector"], [head["data-strategy"]
                                      for head in self.page.all("th", class_="collection")])

    def test_the_matrix_shows_each_cell_as_the_rules_say(self):
        kinds = {"finding": ("new", "flaky"), "known": ("known",), "never exercised": ("never",),
                 "weak": ("weak",), "green": ("clean",), "not applicable": ("inapplicable",)}
        shown = [fields for fields in self.page.all("td") if "title" in fields
                 and "total" not in fields.get("class", "")]
        self.assertEqual(len(self.results.matrix), len(shown))
        order = [property_.id for property_ in self.results.properties]
        cells = sorted(self.results.matrix, key=lambda cell: order.index(cell.property))
        for cell, fields in zip(cells, shown):
            self.assertIn(fields["class"], kinds[cell.state])
            self.assertTrue(fields["title"].startswith("%s, %s: " % (cell.strategy, cell.property)))

    def test_bugs_that_earlier_campaigns_tried_are_not_called_this_one_s(self):
        second = results.Results.from_history(self.history, 2)
        self.assertIn("earlier campaigns tried them, the longest ago on 2026-03-01", Page(
            html_page.render(second)).words)
        self.assertNotIn("earlier campaigns tried them", self.page.words)

    def test_each_finding_is_there_in_full(self):
        articles = self.page.all("article")
        self.assertEqual([finding.status for finding in self.results.findings],
                         [fields["data-status"] for fields in articles])
        self.assertEqual(4, len(self.page.all("svg", class_="heap-map")))
        for part in ("allocate 2 size=24 align=16", "return reproduce(free_list);", "ci/repro ",
                     "--emit-c", "--gdb", "allocators/free_list.c:212, in split",
                     "5 of 5 showed it", "2 of 5 showed it", "clean in all 5",
                     "2026-03-01 21:06, by an earlier campaign"):
            self.assertIn(part, self.page.words)

    def test_former_campaigns_are_told(self):
        words = self.page.words
        for former in self.results.former:
            self.assertIn("%s overnight" % former.started[:16].replace("T", " "), words)
        self.assertEqual(2, len(self.results.former))

    def test_lines_that_never_ran_are_ranges(self):
        self.assertEqual([(1, 3), (5, 5), (7, 8)], html_words.ranges([1, 2, 3, 5, 8, 7]))
        self.assertEqual([], html_words.ranges([]))
        first = self.results.coverage[0]
        low, high = html_words.ranges(first.missing)[0]
        self.assertIn(str(low) if low == high else "%d–%d" % (low, high), self.page.words)

    def test_the_same_bytes_each_time(self):
        self.assertEqual(self.page.source, html_page.render(self.results))

    def test_every_query_on_the_page_can_be_asked(self):
        asked = html_queries.queries(3, self.results.folder)
        for query in asked.values():
            self.assertIn(" ".join(query.command.split()), self.page.words)
            self.assertNotRegex(query.sql, r'["$`\\]')
            self.assertTrue(len(self.history.query(query.sql)) > 0, query.sql)
        self.assertEqual(self.results.executions,
                         sum(row["executions"] for row in self.history.query(asked["tested"].sql)))
        self.assertEqual(sum(cell.exercised for cell in self.results.matrix),
                         sum(row["times"] for row in self.history.query(asked["matrix"].sql)))
        self.assertEqual(len(self.results.findings), len(self.history.query(asked["findings"].sql)))

    def test_fifty_findings_are_shown_in_full_and_stay_small(self):
        source = self.crowded(50, text=6000)
        self.assertLess(len(source), 3000000)
        page = Page(source)
        self.assertEqual(55, len(page.all("article")))
        self.assertEqual(54, len(page.all("svg", class_="heap-map")))

    def test_a_thousand_findings_are_all_listed_and_it_says_what_is_left_out(self):
        source = self.crowded(1000)
        self.assertLess(len(source), 4500000)
        page = Page(source)
        rows = [fields for fields in page.all("tr") if "data-status" in fields]
        self.assertEqual(1005, len(rows))
        shown = len(page.all("article"))
        self.assertLessEqual(shown, html_findings.MOST_SHOWN)
        self.assertGreater(shown, len(page.all("svg", class_="heap-map")))
        self.assertRegex(page.words, "Of these 1 005, the first [0-9]+ are shown in full")
        self.assertIn("%d in the table only" % (1005 - shown), page.words)

    def test_without_a_history_and_without_anything(self):
        read = results.Results.from_dict(self.results.to_dict())
        page = Page(html_page.render(read))
        self.assertIn("2 new findings, 1 flaky", page.words)
        self.assertIn("Not measured.", page.words)
        empty = Page(html_page.render(results.Results()))
        self.assertIn("Could not run", empty.words)
        self.assertEqual(1, len(empty.all("div", class_="is-could-not-run")))
        self.assertIn("Nothing was fuzzed.", empty.words)

    def test_statistics_that_break_off_do_not_cost_the_page(self):
        with unittest.mock.patch("reports.exhibits.collect", side_effect=KeyError("no such")):
            page = Page(html_page.render(self.results))
        self.assertIn("The statistics broke off: KeyError: 'no such'", page.words)
        self.assertIn("2 new findings, 1 flaky", page.words)

    def test_a_clean_campaign_and_one_that_broke_off(self):
        job = results.Job("bump", "libfuzzer", executions=7, sanitizer="none")
        clean = Page(html_page.render(results.Results(jobs=[job])))
        self.assertIn("Clean: nothing found", clean.words)
        self.assertIn("None, in 7 executions.", clean.words)
        broken = Page(html_page.render(results.Results(jobs=[job], error="no space left")))
        self.assertIn("Could not run", broken.words)
        self.assertIn("It broke off: no space left.", broken.words)
        self.assertNotIn("Clean", broken.words)

    def test_a_story_that_cannot_be_drawn_does_not_cost_the_page(self):
        for story in ({"schema": 2}, {"schema": 1, "strategy": "x"}, {}):
            found = results.Finding("overlap-1", "bump", "overlap", "00000001", "it overlaps")
            found.story = story
            page = Page(html_page.render(results.Results(findings=[found])))
            self.assertIn("No heap map", page.words)

    def test_the_program_writes_the_page(self):
        path = os.path.join(self.folder.name, "page.html")
        database = os.path.join(self.folder.name, history.NAME)
        self.assertEqual(0, html_page.main([database, path]))
        with open(path, encoding="utf-8") as file:
            self.assertIn("campaign is number 3", file.read())
        self.assertEqual(0, html_page.main([database, path, "1"]))
        with open(path, encoding="utf-8") as file:
            self.assertIn("campaign is number 1", file.read())


    def test_another_python_writes_it_where_this_one_has_no_jinja2(self):
        path, usual = (os.path.join(self.folder.name, name) for name in ("other.html", "usual.html"))
        # Which may be another Python's as well, for its pictures.
        self.assertEqual("", html_page.write(self.results, usual))
        with open(usual, encoding="utf-8") as file:
            expected = file.read()
        absent = unittest.mock.patch.dict(sys.modules, {"jinja2": None})
        with absent, unittest.mock.patch.object(sys, "executable", "/nowhere/python3"):
            self.assertEqual("", html_page.write(self.results, path))
            with open(path, encoding="utf-8") as file:
                self.assertTrue(expected == file.read(), "not the same page")
            self.assertIn("ci/setup", html_page.write(results.Results(), path))


    def test_a_page_that_cannot_be_made_is_told_in_a_line(self):
        with unittest.mock.patch("reports.html_tables.matrix", side_effect=TypeError("so")):
            self.assertEqual("no page: TypeError: so", html_page.write(self.results, "/nowhere/x"))
        with self.assertRaises(OSError):
            html_page.write(results.Results(), "/nowhere/x")


class BrowserTest(unittest.TestCase):
    def test_without_a_browser_the_cure_is_told(self):
        with unittest.mock.patch("shutil.which", return_value=None):
            with self.assertRaisesRegex(page_browser.NoBrowser, "run ci/setup --test"):
                with page_browser.browser():
                    pass


class PictureTest(unittest.TestCase):
    SVG = ("<?xml version='1.0'?><!DOCTYPE svg><svg xmlns='http://www.w3.org/2000/svg' width='9pt' "
           "height='4pt' xmlns:xlink='http://www.w3.org/1999/xlink' onload='alert(1)'>"
           "<metadata>http://x.org</metadata><style>*{stroke-linecap: butt}</style>"
           "<style>@import 'http://x';</style><script>alert(2)</script><defs><g id='a'/></defs>"
           "<use xlink:href='#a'/><use href='http://x/y'/><rect fill='url(#a)' style='fill: url(http://x)'"
           "/><text>a &lt; b</text><image href='http://x'/></svg>")

    def test_it_is_made_fit_for_a_page(self):
        pictures = inline_svg.Pictures()
        first = pictures.inline(self.SVG, "T & t", "d", "kind")
        for part in ('id="p1-a"', 'href="#p1-a"', 'fill="url(#p1-a)"', "a &lt; b", "T &amp; t</title>",
                     'aria-labelledby="p1-title"', 'class="kind"', 'style="stroke-linecap: butt"',
                     'viewBox="0 0 9 4"'):
            self.assertIn(part, first)
        self.assertNotRegex(first, "http|alert|<style|<script|<image|metadata|xmlns|ns0")
        self.assertIn('id="p2-a"', pictures.inline(self.SVG))

    def test_neither_control_characters_nor_capitals_get_through(self):
        made = inline_svg.Pictures().inline(
            "<svg xmlns='http://www.w3.org/2000/svg'><text>a\x1b\x00b</text>"
            "<SCRIPT>alert(1)</SCRIPT><ForeignObject/></svg>")
        self.assertIn(">a??b</text>", made)
        self.assertNotRegex(made.lower(), "script|foreign")

    def test_its_own_title_counts(self):
        made = inline_svg.Pictures().inline(
            "<svg xmlns='http://www.w3.org/2000/svg'><title>own</title></svg>", "other")
        self.assertIn(">own</title>", made)
        self.assertNotIn("other", made)


class WordsTest(unittest.TestCase):
    def test_short_numbers(self):
        for value, words in ((0, "0"), (999, "999"), (1000, "1.0k"), (1234567, "1.2M"),
                             (999999, "1.0M"), (12345678, "12M"), (3e9, "3.0G"), (None, "-")):
            self.assertEqual(words, html_words.short(value))

    def test_percent_never_rounds_to_all_or_nothing(self):
        self.assertEqual("100 %", html_words.percent(7, 7))
        self.assertEqual("> 99.9 %", html_words.percent(99999, 100000))
        self.assertEqual("< 0.1 %", html_words.percent(1, 100000))
        self.assertEqual("0 %", html_words.percent(0, 7))
        self.assertEqual("-", html_words.percent(0, 0))

    def test_anchors_differ(self):
        def anchor(strategy, property_id="invariant:x.I3"):
            return html_words.anchor(results.Finding("", strategy, property_id, "00000001"))
        self.assertEqual("f-x-invariant-x-I3-00000001", anchor("x"))
        self.assertNotEqual(anchor("x<"), anchor("x>"))
        self.assertRegex(anchor("\"><script> "), "^[A-Za-z0-9_-]+$")


if __name__ == "__main__":
    unittest.main()
