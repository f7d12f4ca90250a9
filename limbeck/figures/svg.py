"""From matplotlib's SVG document to an element for an HTML page: no style of its own, no id that another figure has."""

import hashlib
import io
import re
from collections.abc import Mapping
from xml.etree import ElementTree

from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from limbeck.figures.palette import INK

_REFERENCE = re.compile(r"(?<=^#)[\w-]+$|(?<=^url\(#)[\w-]+(?=\)$)")
_LONG = re.compile(r"-?\d+\.\d{3,}")  # a hundredth of a unit is enough
_FONT = ("font-family", "font-style", "font-variant", "font-stretch")
_UNSAID = {"Creator": None, "Date": None, "Format": None, "Type": None}
_MAX_WIDTH = "max-width:38em"  # of the page's font: beyond, a figure's own words are larger than any headline


def render(figure: Figure, title: str, texts: Mapping[str, str], named: Mapping[str, str]) -> str:
    """The figure as one `<svg>` element, the same bytes for the same figure.

    Args:
        figure: a matplotlib figure; what has a gid keeps it, behind a prefix, as its id.
        title: what a screen reader says.
        texts: of words drawn, what is to be written in their place. Matplotlib never sees what others named.
        named: of a gid, the words that a pointer over it shows.
    """
    stream = io.StringIO()
    FigureCanvasSVG(figure).print_svg(stream, metadata=_UNSAID)
    root = ElementTree.fromstring(stream.getvalue())  # noqa: S314 - matplotlib's, of words of our own
    gids = {gid for artist in figure.findobj() if (gid := artist.get_gid())}
    _strip(root)
    for node in root.iter():
        _bare(node, gids)
        if node.tag == "text":
            node.text = texts.get(node.text or "", node.text)
        if node.get("id") in named:
            _entitle(node, named[node.attrib["id"]])
    _entitle(root, title).set("id", "title")
    root.attrib = {
        "xmlns": "http://www.w3.org/2000/svg",
        "viewBox": root.attrib["viewBox"],
        "width": "100%",
        "style": _MAX_WIDTH,
        "role": "img",
        "aria-labelledby": "title",
        "direction": "ltr",  # anchors of text depend on it, and a page may be written from the right
        "font-family": "inherit",
        "fill": "currentColor",
        "stroke-linejoin": "round",
    }
    _prefix(root)
    return ElementTree.tostring(root, encoding="unicode")


def _strip(node: ElementTree.Element) -> None:
    """Take out metadata, style sheets (they would hold for the whole page) and the white space between elements."""
    for child in list(node):
        if child.tag.endswith(("}metadata", "}style")):
            node.remove(child)
            continue
        child.tail = None
        _strip(child)
        if child.tag.endswith("}defs") and not len(child):
            node.remove(child)
    if node.text and not node.text.strip():
        node.text = None


def _bare(node: ElementTree.Element, gids: set[str]) -> None:
    """Names without namespaces, styles as attributes, colour and font of the page."""
    node.tag = node.tag.partition("}")[2] or node.tag
    declared = [one.partition(":") for one in node.attrib.pop("style", "").split(";")]
    given = {key.partition("}")[2] or key: value for key, value in node.attrib.items()}
    given |= {key.strip(): value.strip() for key, _, value in declared if key.strip() not in ("", *_FONT)}
    if node.tag == "g" and given.get("id") not in gids:
        given.pop("id", None)
    node.attrib = {key: "currentColor" if value == INK else _rounded(value) for key, value in given.items()}


def _rounded(value: str) -> str:
    return _LONG.sub(lambda found: f"{float(found[0]):.2f}".rstrip("0").rstrip("."), value)


def _entitle(node: ElementTree.Element, words: str) -> ElementTree.Element:
    title = ElementTree.Element("title")
    title.text = words
    node.insert(0, title)
    return title


def _prefix(root: ElementTree.Element) -> None:
    """Before every id, and in every reference to one, a hash of the figure: unlike figures have unlike ids."""
    prefix = "f" + hashlib.blake2s(ElementTree.tostring(root), digest_size=5).hexdigest() + "-"
    for node in root.iter():
        for key, value in node.attrib.items():
            if key in ("id", "aria-labelledby"):
                node.set(key, prefix + value)
            elif key == "href" or value.startswith("url("):
                node.set(key, _REFERENCE.sub(lambda found: prefix + found[0], value))
