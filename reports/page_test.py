#!/usr/bin/env python3
"""The page in a browser: that it opens without a word or a request, by keyboard alone, in both colour
schemes, on a phone, on paper, and without JavaScript."""
import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from reports import html_page, page_browser, results, sample_campaign  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
TAB, SPACE, ENTER, LEFT, UP, RIGHT, DOWN = (
    "\ue004", " ", "\ue007", "\ue012", "\ue013", "\ue014", "\ue015")

# What can have the focus, of what shows, in the document's order.
REACHABLE = """
return [...document.querySelectorAll(
  'a[href], button, input, select, summary, [tabindex="0"]')].filter((element) =>
  element.tabIndex >= 0 && element.checkVisibility({visibilityProperty: true}));"""

FOCUS = """
const element = document.activeElement, style = getComputedStyle(element);
const box = element.getBoundingClientRect();
const x = (Math.max(box.left, 0) + Math.min(box.right, innerWidth)) / 2;
const y = (Math.max(box.top, 0) + Math.min(box.bottom, innerHeight)) / 2;
const at = document.elementFromPoint(x, y);
return {element, clear: Boolean(at && (element.contains(at) || at.contains(element))),
        ring: style.outlineStyle === "none" ? 0 : parseFloat(style.outlineWidth),
        colour: style.outlineColor, inside: box.bottom > 0 && box.top < innerHeight,
        name: element.outerHTML.slice(0, 100)};"""

OPEN_ALL = "document.querySelectorAll('details').forEach((part) => { part.open = true; });"


def script_file(name):
    with open(os.path.join(HERE, name), encoding="utf-8") as file:
        return file.read()


class Case(unittest.TestCase):
    """One page for all."""

    SCRIPT = True

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        opened = sample_campaign.write(os.path.join(cls.folder.name, "history.db"), small=True)
        cls.results = results.Results.from_history(opened, 3)
        cls.path = os.path.join(cls.folder.name, "report & page.html")
        with open(cls.path, "w", encoding="utf-8") as file:
            file.write(html_page.render(cls.results))
        opened.close()
        cls.browser = cls.enterClassContext(page_browser.browser(cls.SCRIPT))
        cls.contrast = script_file("page_contrast.js")

    def setUp(self):
        self.browser.screen(page_browser.DESK)
        self.browser.open(self.path)
        self.run_ = self.browser.run

    def keys(self, *names):
        self.browser.press(*names)

    def tab_to(self, selector, most=400):
        """Presses Tab until it has the focus."""
        for _ in range(most):
            self.keys(TAB)
            if self.run_("return document.activeElement.matches(arguments[0])", selector):
                return
        self.fail("Tab never comes to %s" % selector)

    def showing(self, selector):
        return self.run_("return [...document.querySelectorAll(arguments[0])].filter((element) => "
                         "element.checkVisibility()).map((element) => element.textContent.trim())",
                         selector)


class PageTest(Case):
    def test_it_opens_without_a_word_or_a_request(self):
        said, asked = self.browser.log()
        self.assertEqual([], said)
        self.assertEqual([self.run_("return location.href")], asked)
        self.assertTrue(self.run_("return document.documentElement.classList.contains('script')"))

    def test_the_log_would_tell(self):
        self.run_("console.error('so'); new Image().src = 'nowhere.png';"
                  "const image = new Image(); image.src = 'data:image/gif;base64,R0lGODlhAQABAAAAACw=';")
        said, asked = self.browser.log()
        self.assertTrue(any("so" in line for line in said))
        self.assertTrue(any("Content Security Policy" in line for line in said), said)
        self.assertEqual(2, len(asked))
        self.assertIn("nowhere.png", asked[1])

    def test_links_lead_to_what_they_name(self):
        for link in self.run_("return [...document.querySelectorAll('nav a')]"
                              ".map((link) => link.hash)"):
            self.run_("document.documentElement.style.scrollBehavior = 'auto';"
                      "scrollTo(0, 0); document.querySelector(`nav a[href='${arguments[0]}']`).click()",
                      link)
            top, left = self.run_(
                "const box = document.querySelector(arguments[0]).getBoundingClientRect();"
                "return [box.top, document.scrollingElement.scrollHeight - scrollY - innerHeight]",
                link)
            self.assertTrue(-1 <= top <= 60 or (left <= 1 and 0 <= top < 900), (link, top, left))

    def test_a_finding_s_own_link_opens_it(self):
        for link in self.run_("return [...document.querySelectorAll('article')].map((e) => e.id)"):
            self.browser.open(self.path, "#" + link)
            self.assertTrue(self.run_(
                "return document.getElementById(arguments[0]).querySelector('details').open", link))

    def test_the_matrix_filters_by_keyboard(self):
        everything = len(self.showing("#matrix-table tbody td"))
        self.tab_to("form[data-filters=matrix] select[name=strategy]")
        self.keys("tlsf")
        self.assertEqual(["Property", "tlsf"], self.showing("#matrix-table thead th"))
        self.keys(TAB, *"over")
        self.assertEqual(["overlap"], self.showing("#matrix-table tbody th"))
        self.tab_to("form[data-filters=matrix] button")
        self.keys(SPACE)
        self.browser.wait("return document.querySelectorAll('#matrix-table [hidden]').length === 0")
        self.assertEqual(everything, len(self.showing("#matrix-table tbody td")))
        self.run_("document.querySelector('form[data-filters=matrix] select[name=state]').focus()")
        self.keys(*"never")
        self.assertEqual(["never"], self.showing("#matrix-table tbody td"))
        self.assertEqual(["double-release-missed"], self.showing("#matrix-table tbody th"))
        self.assertEqual("1 cell in 1 row", self.run_(
            "return document.querySelector('form[data-filters=matrix] output').value"))

    def test_the_matrix_is_walked_with_arrows(self):
        self.tab_to("#matrix-table td")
        first = self.showing("#matrix-detail")[0]
        self.assertTrue(first.startswith("bump, alignment: "), first)
        self.keys(RIGHT, DOWN)
        self.assertTrue(self.showing("#matrix-detail")[0].startswith("bump_atomic, bounds: "))
        self.keys(LEFT, UP, LEFT)
        self.assertEqual(first, self.showing("#matrix-detail")[0])
        self.keys(RIGHT, RIGHT, DOWN, DOWN, ENTER)
        self.assertEqual("#f-free_list-overlap-0000a001", self.run_("return location.hash"))

    def test_no_chosen_cell_hides_below_the_heads(self):
        for width in (page_browser.PHONE, page_browser.DESK):
            self.browser.screen(width, height=480, motion=False)
            self.browser.open(self.path)
            self.tab_to("#matrix-table td")
            last = len(self.results.properties) - 1
            for key in [DOWN] * last + [RIGHT] * 4 + [UP] * last + [LEFT] * 4:
                self.keys(key)
                focus = self.run_(FOCUS)
                self.assertTrue(focus["inside"] and focus["clear"], focus["name"])

    def test_findings_filter_by_keyboard(self):
        statuses = [finding.status for finding in self.results.findings]
        self.tab_to("form[data-filters=findings] input[value=new]")
        self.keys(SPACE)
        rows = self.showing("#findings-table tbody tr")
        self.assertEqual(len(statuses) - statuses.count("new"), len(rows))
        self.assertEqual(len(rows), len(self.showing("article.finding")))
        self.keys(SPACE)
        self.tab_to("form[data-filters=findings] input[name=words]")
        self.keys(*"slot 4")
        self.assertEqual(["tlsf: touched-live-block"], self.showing("article.finding h3"))
        # A link to what a filter hides shows it all the same.
        self.run_("location.hash = '#f-free_list-overlap-0000a001'")
        self.browser.wait("return document.querySelector('#f-free_list-overlap-0000a001')"
                          ".checkVisibility()")

    def test_jobs_filter_and_sort_by_keyboard(self):
        self.tab_to("form[data-filters=jobs] input")
        self.keys(*"afl tlsf")
        self.assertEqual(1, len(self.showing("#jobs-table tbody tr")))
        self.tab_to("form[data-filters=jobs] button")
        self.keys(ENTER)
        self.tab_to("#jobs-table th:nth-child(5) button")
        column = "#jobs-table tbody td:nth-child(5)"
        for order, name in ((1, "ascending"), (-1, "descending")):
            self.keys(ENTER)
            numbers = [int(cell.replace(" ", "")) for cell in self.showing(column)]
            self.assertEqual(len(self.results.jobs), len(numbers))
            self.assertEqual(sorted(numbers, key=lambda value: order * value), numbers)
            self.assertEqual(name, self.run_(
                "return document.activeElement.parentElement.getAttribute('aria-sort')"))

    def test_tab_reaches_everything_in_order_and_shows_where_it_is(self):
        for dark in (False, True):
            self.browser.screen(page_browser.DESK, dark=dark, motion=False)
            self.browser.open(self.path)
            wanted, ground = self.run_(REACHABLE), self.run_(
                "return getComputedStyle(document.documentElement).backgroundColor")
            met = []
            for _ in wanted:
                self.keys(TAB)
                focus = self.run_(FOCUS)
                met.append(focus["element"])
                self.assertGreaterEqual(focus["ring"], 2, focus["name"])
                self.assertTrue(focus["inside"] and focus["clear"], focus["name"])
                self.assertNotEqual(ground, focus["colour"])
            self.assertEqual("Skip to the verdict",
                             self.run_("return arguments[0].textContent", met[0]))
            self.assertGreater(len(wanted), 60)
            self.assertEqual(wanted, met)

    def test_contrast_in_both_schemes(self):
        grounds = set()
        for dark in (False, True):
            for width in (page_browser.PHONE, page_browser.DESK):
                self.browser.screen(width, dark=dark)
                self.browser.open(self.path)
                self.run_(OPEN_ALL)
                weak, looked = self.run_(self.contrast)
                self.assertEqual([], weak)
                self.assertGreater(looked, 800)
            grounds.add(self.run_("return getComputedStyle(document.documentElement).backgroundColor"))
        self.assertEqual(2, len(grounds))

    def test_weak_contrast_would_be_seen(self):
        before = len(self.run_(self.contrast)[0])
        self.run_("const p = document.createElement('p'); p.textContent = 'grey';"
                  "p.style.color = '#999';"
                  "document.querySelector('main').append(p);"
                  "const t = document.querySelector('svg text'); t.style.fill = 'rgb(200, 200, 200)';"
                  "t.closest('details')?.setAttribute('open', '')")
        self.assertEqual(before + 2, len(self.run_(self.contrast)[0]))

    def test_nothing_is_wider_than_the_window(self):
        for width in (320, page_browser.PHONE, 768, page_browser.DESK, 2560):
            self.browser.screen(width)
            self.browser.open(self.path)
            self.run_(OPEN_ALL)
            inside, content = self.run_(
                "return [document.documentElement.clientWidth, document.scrollingElement.scrollWidth]")
            self.assertEqual(width, inside)
            self.assertLessEqual(content, inside)

    def test_targets_are_large_enough_for_a_thumb(self):
        self.browser.screen(page_browser.PHONE)
        self.browser.open(self.path)
        self.run_(OPEN_ALL)
        small = self.run_("""
            const kinds = "button, select, input, nav a, summary";
            return [...document.querySelectorAll(kinds)].filter((e) => {
              const box = (e.type === "checkbox" ? e.parentElement : e).getBoundingClientRect();
              return e.checkVisibility() && !e.closest("th") && (box.height < 24 || box.width < 24);
            }).map((e) => e.outerHTML.slice(0, 80));""")
        self.assertEqual([], small)

    def test_everything_to_work_with_has_a_name(self):
        self.run_(OPEN_ALL)
        tree = self.browser.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
        kinds = {"link", "button", "checkbox", "combobox", "searchbox", "DisclosureTriangle", "table",
                 "region", "group", "article", "image"}
        met = set()
        for node in tree:
            role = node.get("role", {}).get("value")
            if node.get("ignored") or role not in kinds:
                continue
            met.add(role)
            if role != "group":      # of which details is one, named by its summary
                self.assertTrue(node.get("name", {}).get("value"), node)
        self.assertLessEqual({"link", "button", "checkbox", "combobox", "searchbox", "table", "region",
                              "article"}, met)

    def test_a_copy_button_copies_what_stands_there(self):
        self.browser.driver.execute_cdp_cmd("Browser.grantPermissions", {
            "permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]})
        self.tab_to("article .copy")
        self.keys(ENTER)
        self.browser.wait("return document.activeElement.textContent === 'Copied'")
        copied, shown = self.browser.driver.execute_async_script(
            "const done = arguments[0], code = document.activeElement.parentElement"
            ".querySelector('code').textContent;"
            "navigator.clipboard.readText().then((text) => done([text, code]))")
        self.assertEqual(shown, copied)
        self.assertTrue(copied.startswith("ci/repro "), copied)

    def test_reduced_motion(self):
        smooth = "return getComputedStyle(document.documentElement).scrollBehavior"
        self.assertEqual("smooth", self.run_(smooth))
        self.browser.screen(page_browser.DESK, motion=False)
        self.assertEqual("auto", self.run_(smooth))

    def test_on_paper_nothing_is_cut_off(self):
        self.browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
        try:
            self.run_("dispatchEvent(new Event('beforeprint'))")
            self.assertEqual([], self.showing("nav, form, button.plain, .copy"))
            self.assertEqual(0, self.run_("return document.querySelectorAll("
                                          "'details:not([open])').length"))
            self.browser.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
                "width": 720, "height": 1000, "deviceScaleFactor": 1, "mobile": False})
            self.assertEqual([], self.run_(
                "return [...document.querySelectorAll('table, svg, pre')].filter((e) => "
                "e.getBoundingClientRect().right > 721).map((e) => e.outerHTML.slice(0, 200))"))
            cut = self.run_("return [...document.querySelectorAll('.scroll, .code pre')].filter("
                            "(e) => getComputedStyle(e).overflowY !== 'visible').length")
            self.assertEqual(0, cut)
            self.run_("dispatchEvent(new Event('afterprint'))")
            self.assertGreater(self.run_("return document.querySelectorAll("
                                         "'details:not([open])').length"), 5)
        finally:
            self.browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


class WithoutScriptTest(Case):
    SCRIPT = False

    def test_everything_is_there_and_nothing_that_would_not_work(self):
        self.assertFalse(self.run_("return document.documentElement.classList.contains('script')"))
        self.assertEqual([], self.showing("form, .copy, button"))
        self.assertEqual(len(self.results.findings), len(self.showing("article h3")))
        self.assertEqual(len(self.results.jobs), len(self.showing("#jobs-table tbody tr")))
        self.assertEqual(len(self.results.matrix), len(self.showing(
            "#matrix-table tbody td:not(.total)")))
        # The browser itself opens what is folded.
        self.tab_to("article:last-of-type summary")
        self.keys(ENTER)
        self.browser.wait("return document.activeElement.parentElement.open")
        self.assertTrue(self.showing("article:last-of-type details pre"))


if __name__ == "__main__":
    unittest.main()
