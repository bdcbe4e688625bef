"""How pictures look, and how matplotlib's figures become SVG that stands in a page.

Ink is `currentColor`, so that a picture reads on light and on dark; curves have colours of a lightness
that is at least 3 : 1 against white and against near-black (WCAG 2.1, 1.4.11), and differ by dashes and
markers as well, so that they can be told apart in grey. Letters stay text, of the reader's font. Ids
begin with the picture's name, because all pictures of a page share them; nothing in the output depends
on the time or on chance.
"""
import functools
import html
import io
import logging
import re

# Stands for currentColor, which matplotlib does not know; nobody draws with it otherwise.
INK = "#010203"

# Okabe and Ito's (2008), the light ones darkened.
COLOURS = ("#0072b2", "#d55e00", "#00875f", "#a85590", "#7a7a7a", "#9a7400")
DASHES = ("-", (0, (6, 2)), (0, (1.5, 1.2)), (0, (6, 2, 1, 2)), (0, (3, 1, 1, 1, 1, 1)), (0, (9, 3)))
MARKERS = ("o", "s", "^", "D", "v", "P")

_STYLE = {
    "font.size": 9, "font.family": "DejaVu Sans", "svg.fonttype": "none", "svg.hashsalt": "assay",
    "axes.spines.top": False, "axes.spines.right": False, "axes.titlelocation": "left",
    "axes.titlesize": 9, "axes.facecolor": "none", "figure.facecolor": "none",
    "savefig.facecolor": "none", "text.color": INK, "axes.edgecolor": INK, "axes.labelcolor": INK,
    "xtick.color": INK, "ytick.color": INK, "grid.color": INK, "grid.alpha": 0.2,
    "grid.linewidth": 0.4, "legend.frameon": False, "legend.fontsize": 8, "path.simplify": True,
}


@functools.lru_cache(maxsize=None)
def library():
    """matplotlib's pyplot, or None where there is none. It takes a second to load."""
    # That it found no place for its cache is no news to who wants a report.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    try:
        import matplotlib
    except ImportError:
        return None
    matplotlib.use("Agg")
    matplotlib.rcParams.update(_STYLE)
    from matplotlib import pyplot
    return pyplot


def figure(width=6.4, height=3.4, **more):
    """(figure, axes) in the house's style; of `subplots` arguments whatever is given. Inches are of a
    screen that shows 72 units to one."""
    return library().subplots(figsize=(width, height), **more)


def seconds_axis(axis):
    """Numbers at a logarithmic axis of seconds as people say them, and none between decades."""
    from matplotlib import ticker
    marks = ((1e-3, "1 ms"), (1e-2, "10 ms"), (0.1, "0.1 s"), (1, "1 s"), (10, "10 s"), (60, "1 min"),
             (600, "10 min"), (3600, "1 h"), (36000, "10 h"), (360000, "100 h"), (3.6e6, "1000 h"))
    axis.set_major_locator(ticker.FixedLocator([at for at, _ in marks]))
    axis.set_major_formatter(ticker.FuncFormatter(
        lambda value, _: next((word for at, word in marks if abs(at - value) < 1e-9 * at), "")))
    axis.set_minor_formatter(ticker.NullFormatter())


def curve(index):
    """How the curve with that index is drawn."""
    return {"color": COLOURS[index % len(COLOURS)], "linestyle": DASHES[index % len(DASHES)],
            "linewidth": 1.6}


def svg(made, name, title, description):
    """The figure as an SVG element to be put into a page, with `title` and `description` for those who
    cannot see it; the figure is closed."""
    out = io.StringIO()
    made.savefig(out, format="svg", bbox_inches="tight", pad_inches=0.04,
                 metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    library().close(made)
    return _embeddable(out.getvalue(), name, title, description)


def _embeddable(text, name, title, description):
    body = text[text.index("<svg"):].strip()
    body = re.sub(r"<metadata>.*?</metadata>\s*", "", body, flags=re.S)
    body = re.sub(r"<!--.*?-->\s*", "", body, flags=re.S)
    # matplotlib's style sheet is about all elements, and would be about those of the page as well.
    body = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>\s*", "", body, count=1, flags=re.S)
    opening, body = body.split(">", 1)
    width, height = (float(x) for x in re.search(r'viewBox="([^"]*)"', opening).group(1).split()[2:])
    body = re.sub(r'\bid="', 'id="%s-' % name, body)
    body = re.sub(r'(xlink:)?href="#', 'href="#%s-' % name, body)
    body = body.replace("url(#", "url(#%s-" % name)
    body = re.sub(r"\.(\d\d)\d+", r".\1", body)     # a hundredth of a point is seen by nobody
    body = re.sub(r"(\d)\s*\n\s*L ", r"\1L", body)
    body = re.sub(r"\n\s+", "\n", body)
    body = body.replace("'DejaVu Sans'", "system-ui, sans-serif")
    body = body.replace(INK, "currentColor")
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.1f %.1f" width="100%%" '
        'role="img" fill="currentColor" stroke-linejoin="round" style="max-width:%.0fpx;height:auto" '
        'aria-labelledby="%s-title %s-desc">'
        '<title id="%s-title">%s</title><desc id="%s-desc">%s</desc>%s' % (
            width, height, 1.5 * width, name, name, name, html.escape(title), name, html.escape(description),
            body))
