#!/usr/bin/env python3
"""A picture of a finding: what lay where in the heap, and when.

    heap_map.py STORY.json MAP.svg

STORY is what `assay repro --json` prints. Time runs down, one row an operation; addresses run to the
right. Blocks are bars from their allocation to their release. Between any two addresses that matter
the axis grows with the logarithm of the distance, so that one byte can be seen beside a megabyte.
"""
import json
import math
import sys
import textwrap
import xml.etree.ElementTree as ElementTree

ROW = 24           # height of an operation
TEXT = 330         # width of the column with their texts
WIDTH = 880        # of the map, at least
MARGIN = 16
MOST_ROWS = 48     # more operations are folded
MOST_EDGES = 160   # more addresses are drawn to scale
CHARACTERS = 38    # of an operation's text
BESIDE = 27        # of it, where its result stands beside it

FONT = "DejaVu Sans Mono, Liberation Mono, monospace"

# Told apart by lightness and by pattern, not by hue alone.
FILLS = {"free": "#ffffff", "meta": "#d3d3d3", "block": "#cfe0ee", "used": "#cfe0ee"}
LIVE, LIVE_LINE = "#7fb2d9", "#1f4e79"
GUILTY, FAINT, INK = "#b30000", "#9a9a9a", "#111111"

PAGE = "#f4f1ea"   # what is not the heap's


class NoStory(ValueError):
    """The document is none; the message says why."""


def checked(story):
    """The story, if it has what is drawn."""
    if not isinstance(story, dict) or story.get("schema") != 1:
        raise NoStory("no story of schema 1, as `assay repro --json` prints it")
    for key in ("strategy", "verdict", "steps", "lives", "states", "heap"):
        if key not in story:
            raise NoStory("the story has no '%s'" % key)
    return story


class Axis:
    """Addresses to pixels."""

    def __init__(self, edges, left, width):
        self.edges = sorted(edges) or [0, 1]
        sizes = [b - a for a, b in zip(self.edges, self.edges[1:])]
        if len(self.edges) > MOST_EDGES:
            weights = [float(size) for size in sizes]
        else:
            weights = [1 + math.log2(1 + size) for size in sizes]
        total = sum(weights) or 1.0
        self._places = [float(left)]
        for weight in weights:
            self._places.append(self._places[-1] + weight / total * width)

    def __call__(self, address):
        """Of an edge; what lies between two edges is placed in proportion."""
        low, high = 0, len(self.edges) - 1
        while high - low > 1:
            middle = (low + high) // 2
            if self.edges[middle] <= address:
                low = middle
            else:
                high = middle
        first, last = self.edges[low], self.edges[high]
        part = (address - first) / (last - first) if last > first else 0.0
        return self._places[low] + min(max(part, 0.0), 1.0) * (
            self._places[high] - self._places[low])


class Rows:
    """Operations to pixels: rows, of which those far from the guilty operation are folded."""

    def __init__(self, story, top):
        count = len(story["steps"])
        guilty = min(story.get("operation", count), count)
        first = (story.get("first_visible") or {}).get("operation", guilty)
        reached = sum(step["result"] != "not reached" for step in story["steps"])
        self.last = min(count, max(guilty + 1, reached))
        self.first = 0
        if self.last > MOST_ROWS:
            self.first = max(0, min(first - MOST_ROWS // 3, self.last - MOST_ROWS))
            self.last = min(self.last, self.first + MOST_ROWS)
        self.folded_behind = max(0, min(count, max(guilty + 1, reached)) - self.last)
        self._top = top + (ROW if self.first else 0)
        self.top = top
        # The rows, what is folded behind them, and what comes after the last operation.
        self.bottom = self._top + (self.last - self.first + 1 + bool(self.folded_behind)) * ROW
        self.guilty = guilty

    def __call__(self, operation):
        """The middle of an operation's row: that is when it happens."""
        if operation < self.first:
            return self.top
        if operation >= self.last:
            return self.bottom - ROW / 2
        return self._top + (operation - self.first + 0.5) * ROW


class Picture:
    """An SVG that grows downwards."""

    def __init__(self, width):
        self.root = ElementTree.Element("svg", {
            "xmlns": "http://www.w3.org/2000/svg", "font-family": FONT, "font-size": "12"})
        self.width = width
        definitions = ElementTree.SubElement(self.root, "defs")
        pattern = ElementTree.SubElement(definitions, "pattern", {
            "id": "guilty", "width": "7", "height": "7", "patternUnits": "userSpaceOnUse",
            "patternTransform": "rotate(45)"})
        ElementTree.SubElement(pattern, "rect", {"width": "7", "height": "7", "fill": "#ffd9d9"})
        ElementTree.SubElement(pattern, "rect", {"width": "3", "height": "7", "fill": GUILTY})
        ElementTree.SubElement(self.root, "rect", {
            "class": "paper", "width": "100%", "height": "100%", "fill": "#ffffff"})

    def rectangle(self, kind, left, top, right, bottom, title=None, **style):
        element = ElementTree.SubElement(self.root, "rect", {
            "class": kind, "x": "%.1f" % left, "y": "%.1f" % top,
            "width": "%.1f" % max(right - left, 1.0), "height": "%.1f" % max(bottom - top, 1.0),
            **{key.replace("_", "-"): str(value) for key, value in style.items()}})
        if title:
            ElementTree.SubElement(element, "title").text = title
        return element

    def line(self, kind, x1, y1, x2, y2, **style):
        ElementTree.SubElement(self.root, "line", {
            "class": kind, "x1": "%.1f" % x1, "y1": "%.1f" % y1, "x2": "%.1f" % x2,
            "y2": "%.1f" % y2,
            **{key.replace("_", "-"): str(value) for key, value in style.items()}})

    def text(self, words, x, y, **style):
        style.setdefault("fill", INK)
        ElementTree.SubElement(self.root, "text", {
            "x": "%.1f" % x, "y": "%.1f" % y, "xml:space": "preserve",
            **{key.replace("_", "-"): str(value) for key, value in style.items()}}).text = words

    def finish(self, height):
        self.root.set("width", "%d" % self.width)
        self.root.set("height", "%d" % height)
        self.root.set("viewBox", "0 0 %d %d" % (self.width, height))
        ElementTree.indent(self.root)
        return ElementTree.tostring(self.root, encoding="unicode") + "\n"


def edges_of(story):
    """Every address at which something begins or ends."""
    edges = set()
    things = list(story["lives"])
    for state in story["states"]:
        things += state["spans"]
    things += [step for step in story["steps"] if "start" in step]
    if story.get("guilty"):
        things.append(story["guilty"])
    for thing in things:
        edges.update((thing["start"], thing["start"] + thing["size"]))
    return edges


def slot_name(slot):
    return "no slot" if slot is None else "slot %d" % slot


def extent(thing):
    return "%#x..%#x, %d bytes" % (thing["start"], thing["start"] + thing["size"], thing["size"])


def draw_states(picture, story, axis, rows):
    """What the allocator says of its heap, lightly, between the operations."""
    for state in story["states"]:
        at = state["before"]
        if not state["end"] and not rows.first <= at <= rows.last:
            continue
        if state["end"]:
            top, bottom = rows(rows.guilty), rows.bottom
        else:
            top = rows.top if at <= rows.first else rows(at - 1)
            bottom = rows(at)
        for span in state["spans"]:
            picture.rectangle(
                span["kind"], axis(span["start"]), top, axis(span["start"] + span["size"]), bottom,
                "%s, %s" % (span["kind"], extent(span)), fill=FILLS[span["kind"]],
                stroke="#c4c4c4", stroke_width="0.5")


def draw_lives(picture, story, axis, rows):
    labels = []
    for life in story["lives"]:
        end = life["end"]
        if (end is not None and end < rows.first) or life["begin"] >= rows.last + 1:
            continue
        top = rows.top if life["begin"] < rows.first else rows(life["begin"])
        bottom = rows.bottom if end is None else rows(end)
        left, right = axis(life["start"]), axis(life["start"] + life["size"])
        picture.rectangle("live", left, top, right, bottom,
                          "%s, %s" % (slot_name(life["slot"]), extent(life)), fill=LIVE,
                          stroke=LIVE_LINE, stroke_width="1.5")
        labels.append(("?" if life["slot"] is None else str(life["slot"]), left, right, top, bottom))
    return labels


def draw_labels(picture, labels):
    for label, left, right, top, bottom in labels:
        if bottom - top < 12:
            continue
        picture.text(label, (left + right) / 2, top + min(15, (bottom - top) / 2 + 5),
                     text_anchor="middle", font_weight="bold",
                     font_size="12" if right - left >= 8 * len(label) else "9",
                     stroke="#ffffff", stroke_width="2.5", paint_order="stroke")


def draw_axis(picture, story, axis, top):
    """Addresses above the map; labels that would collide are left out, the guilty ones never."""
    guilty = story.get("guilty")
    wanted = {guilty["start"], guilty["start"] + guilty["size"]} if guilty else set()
    places = [axis(edge) for edge in wanted]
    chosen = sorted(wanted)
    for edge in axis.edges:
        if edge not in wanted and all(abs(axis(edge) - place) >= 13 for place in places):
            chosen.append(edge)
            places.append(axis(edge))
    for edge in chosen:
        x = axis(edge)
        style = {"fill": GUILTY, "font_weight": "bold"} if edge in wanted else {"fill": "#444444"}
        picture.line("tick", x, top - 5, x, top, stroke="#444444")
        picture.text("%#x" % edge, x + 3, top - 8, font_size="10",
                     transform="rotate(-60 %.1f %.1f)" % (x + 3, top - 8), **style)


def draw_operations(picture, story, rows):
    right = MARGIN + TEXT + picture.map_width
    first = (story.get("first_visible") or {}).get("operation")
    if rows.first:
        picture.text("      ... %d operations folded" % rows.first, MARGIN, rows.top + 16,
                     fill="#666666")
    for index in range(rows.first, rows.last):
        step, y = story["steps"][index], rows(index)
        guilty = index == rows.guilty
        told = step["result"] in ("refused", "skipped", "begun")
        room = BESIDE if told else CHARACTERS
        words = step["text"] if len(step["text"]) <= room else step["text"][:room - 3] + "..."
        grey = step["result"] in ("skipped", "not reached")
        picture.text("%s%4d %s" % (">" if guilty else " ", index, words), MARGIN, y + 4,
                     fill=GUILTY if guilty else "#888888" if grey else INK,
                     font_weight="bold" if guilty else "normal")
        if told:
            picture.text(step["result"], MARGIN + TEXT - 10, y + 4, fill="#666666", font_size="10",
                         text_anchor="end")
        if guilty:
            picture.line("guilty-operation", MARGIN + TEXT - 6, y, right, y, stroke=GUILTY, stroke_width="2")
        elif index == first:
            picture.line("first-visible", MARGIN + TEXT - 6, y, right, y, stroke=INK, stroke_width="1.5",
                         stroke_dasharray="6 4")
        else:
            picture.line("operation", MARGIN + TEXT, y, right, y, stroke=FAINT,
                         stroke_width="0.5", stroke_dasharray="1 3")
    if rows.folded_behind:
        picture.text("      ... %d operations folded" % rows.folded_behind, MARGIN,
                     rows.bottom - ROW * 1.5 + 4, fill="#666666")
    if rows.guilty >= rows.last and story["verdict"] != "clean":
        y = rows.bottom - ROW / 2
        picture.text(">     %s" % story.get("site", "")[:CHARACTERS], MARGIN, y + 4,
                     fill=GUILTY, font_weight="bold")
        picture.line("guilty-operation", MARGIN + TEXT - 6, y, right, y, stroke=GUILTY, stroke_width="2")


def draw_guilty(picture, story, axis, rows):
    guilty = story.get("guilty")
    if not guilty:
        return
    top = rows(rows.guilty) - ROW / 2 if rows.guilty < rows.last else rows.bottom - ROW
    left, right = axis(guilty["start"]), axis(guilty["start"] + guilty["size"])
    if right - left < 8:
        left, right = (left + right) / 2 - 4, (left + right) / 2 + 4
    picture.rectangle("guilty", left, top, right, rows.bottom, "guilty: " + extent(guilty),
                      fill="url(#guilty)", stroke=INK, stroke_width="2.5")


LEGEND = [
    ("live block, by the bytes asked for; its slot", {"fill": LIVE, "stroke": LIVE_LINE}),
    ("block, as the allocator rounds it", {"fill": FILLS["block"], "stroke": "#888888"}),
    ("the allocator's own", {"fill": FILLS["meta"], "stroke": "#888888"}),
    ("free", {"fill": FILLS["free"], "stroke": "#888888"}),
    ("not the heap's, or not walked", {"fill": PAGE, "stroke": "#888888"}),
    ("guilty bytes", {"fill": "url(#guilty)", "stroke": INK}),
]


def draw_legend(picture, story, y):
    x = MARGIN
    entries = [entry for entry in LEGEND if story.get("guilty") or entry[0] != "guilty bytes"]
    for words, style in entries:
        width = 24 + 7.4 * len(words) + 16
        if x + width > picture.width - MARGIN:
            x, y = MARGIN, y + 20
        picture.rectangle("legend", x, y - 11, x + 18, y + 2, **style)
        picture.text(words, x + 24, y, font_size="11")
        x += width
    y += 20
    note = "full line: the guilty operation"
    if story.get("first_visible"):
        note += "; dashed: after which a look at everything shows damage first"
    picture.text(note + ". Distances between addresses are drawn by their logarithm.", MARGIN, y,
                 font_size="11", fill="#444444")
    return y


def render(story):
    """The SVG as text."""
    story = checked(story)
    edges = edges_of(story)
    map_width = max(WIDTH, min(1600, 26 * len(edges)))
    picture = Picture(MARGIN + TEXT + map_width + MARGIN + 30)
    picture.map_width = map_width
    y = MARGIN + 12
    picture.text("%s: %s" % (story["strategy"], story["verdict"]), MARGIN, y, font_size="16",
                 font_weight="bold")
    says = story.get("diagnosis", "")
    if story.get("first_visible"):
        says += " (first visible as %s after %s)" % (
            story["first_visible"]["verdict"], story["first_visible"]["diagnosis"])
    for words in textwrap.wrap(says, (picture.width - 2 * MARGIN) // 8):
        y += 18
        picture.text(words, MARGIN, y)
    top = y + 74
    axis = Axis(edges, MARGIN + TEXT, map_width)
    rows = Rows(story, top)
    picture.rectangle("elsewhere", MARGIN + TEXT, rows.top, MARGIN + TEXT + map_width, rows.bottom,
                      fill=PAGE)
    draw_states(picture, story, axis, rows)
    labels = draw_lives(picture, story, axis, rows)
    draw_guilty(picture, story, axis, rows)
    draw_operations(picture, story, rows)
    draw_labels(picture, labels)
    picture.rectangle("frame", MARGIN + TEXT, rows.top, MARGIN + TEXT + map_width, rows.bottom,
                      fill="none", stroke="#444444")
    draw_axis(picture, story, axis, rows.top)
    y = draw_legend(picture, story, rows.bottom + 28)
    return picture.finish(y + MARGIN)


def main(arguments):
    if len(arguments) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        with open(arguments[0], encoding="utf-8") as file:
            picture = render(json.load(file))
        with open(arguments[1], "w", encoding="utf-8") as file:
            file.write(picture)
    except (OSError, ValueError) as error:
        print("heap_map.py: %s: %s" % (arguments[0], error), file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
