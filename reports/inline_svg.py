"""Pictures as parts of a page: an SVG document made fit to stand between other elements of HTML.

Ids are unique on the page, nothing in the picture can run or be fetched, and readers that cannot see
it are told what it shows.
"""
import itertools
import re
import xml.etree.ElementTree as ElementTree

from reports import text

_XLINK = "{http://www.w3.org/1999/xlink}"
_XML = "{http://www.w3.org/XML/1998/namespace}"
_SVG = "{http://www.w3.org/2000/svg}"

# Whatever could run or fetch, in small letters as HTML tells no others apart; a plot needs none of them.
_DROPPED = {"metadata", "script", "style", "image", "a", "foreignobject", "iframe", "animate", "set"}
_KEEPS_BLANKS = {"text", "tspan", "title", "desc"}
# matplotlib's style sheet; on a page it would be everybody's.
_FOR_ALL = re.compile(r"^\s*\*\s*\{([^{}]*)\}\s*$")
_REFERENCE = re.compile(r"url\(\s*['\"]?#([^'\")]+)['\"]?\s*\)")
_ANY_URL = re.compile(r"url\(\s*['\"]?(?!#)[^)]*\)|@import[^;]*;?", re.IGNORECASE)
_ROUND = re.compile(r"(?<=\d)\.0+(?=$|[ ,)])")


class Pictures:
    """Of one page; counts them, for their ids to differ. Ids begin with `letter`."""

    def __init__(self, letter="p"):
        self._letter = letter
        self._numbers = itertools.count(1)

    def inline(self, svg, title="", desc="", kind=""):
        """The picture as an element of HTML. `title` and `desc` are used where it has none itself;
        `kind` becomes its class. ElementTree.ParseError: it is no XML."""
        # Labels are names of the campaign's; what XML cannot carry must not cost the page.
        root = ElementTree.fromstring(text.printable(svg))
        prefix = "%s%d-" % (self._letter, next(self._numbers))
        for sheet in root.iter(_SVG + "style"):
            found = _FOR_ALL.match(sheet.text or "")
            if found:
                root.set("style", found.group(1))
        _clean(root, prefix)
        words = {"title": title, "desc": desc}
        for name in ("desc", "title"):
            found = next((child for child in root if child.tag == name), None)
            if found is not None:
                root.remove(found)
                words[name] = "".join(found.itertext()).strip() or words[name]
            if words[name]:
                element = ElementTree.Element(name, {"id": prefix + name})
                element.text = text.one_line(words[name], 2000)
                root.insert(0, element)
        root.set("role", "img")
        if words["title"]:
            root.set("aria-labelledby", prefix + "title")
        if words["desc"]:
            root.set("aria-describedby", prefix + "desc")
        if kind:
            root.set("class", kind)
        _fit(root)
        return ElementTree.tostring(root, encoding="unicode")


def _fit(root):
    """As wide as the picture asks for, or as there is room; its shape stays."""
    if root.get("viewBox") is None and root.get("width") and root.get("height"):
        root.set("viewBox", "0 0 %s %s" % tuple(
            re.sub(r"[^0-9.]", "", root.get(side)) for side in ("width", "height")))


def _clean(root, prefix):
    for element in root.iter():
        if not isinstance(element.tag, str):
            continue
        element.tag = element.tag.replace(_SVG, "")
        for name in [name for name in element.attrib]:
            value = element.attrib.pop(name)
            short = name.replace(_XLINK, "").replace(_XML, "xml:")
            if "}" in short or short.lower().startswith("on"):
                continue
            if short == "href" and not value.startswith("#"):
                continue
            element.set(short, _attribute(short, value, prefix))
        if element.tag not in _KEEPS_BLANKS and not (element.text or "").strip():
            element.text = None
        for child in list(element):
            if not isinstance(child.tag, str) or child.tag.rpartition("}")[2].lower() in _DROPPED:
                element.remove(child)
            elif not (child.tail or "").strip() and element.tag.rpartition("}")[2] != "text":
                child.tail = None


def _attribute(name, value, prefix):
    if name == "id":
        return prefix + value
    if name == "href":
        return "#" + prefix + value[1:]
    if name in ("aria-labelledby", "aria-describedby"):
        return " ".join(prefix + part for part in value.split())
    if "url(" in value or "@import" in value:
        value = _REFERENCE.sub(lambda found: "url(#%s%s)" % (prefix, found.group(1)), value)
        return _ANY_URL.sub("none", value)
    return _ROUND.sub("", value)
