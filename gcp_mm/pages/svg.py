"""A drawing of matplotlib as a part of a page: without dates, scripts and ids that clash."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

_SVG = "{http://www.w3.org/2000/svg}"
_LINK = "{http://www.w3.org/1999/xlink}href"
_REFERENCE = re.compile(r"url\(\s*['\"]?#([^)'\"]+)['\"]?\s*\)")
# What matplotlib draws with: nothing of it runs, and what it may load is looked at.
_ELEMENTS = {
    *("svg", "g", "defs", "use", "style", "title", "desc", "clipPath", "mask", "pattern"),
    *("path", "rect", "circle", "ellipse", "line", "polyline", "polygon", "text", "tspan", "image"),
    *("linearGradient", "radialGradient", "stop"),
}
# The one style sheet that matplotlib writes, which would count for the whole page.
_STYLE_OF_ALL = re.compile(r"\s*\*\s*(\{[\w\s:;.#%-]*\})\s*")


def part_of_page(svg: str, prefix: str, alt: str) -> str:
    """Rewrite an SVG for a page.

    Ids are numbered in their order behind the prefix, so that those of two drawings differ and the
    random ones of matplotlib are the same in every run. Prolog, document type, comments and
    metadata, which has the date, are left out.

    Raises:
        ValueError: If it is no SVG, or does what a drawing of matplotlib does not do.
    """
    try:
        root = ElementTree.fromstring(svg)
    except ElementTree.ParseError as error:
        raise ValueError(f"the drawing {prefix!r} is no SVG: {error}") from error
    if root.tag != f"{_SVG}svg":
        raise ValueError(f"the drawing {prefix!r} is no SVG: its root is {root.tag!r}")
    for parent in root.iter():
        for child in list(parent):
            if child.tag == f"{_SVG}metadata":
                parent.remove(child)
    names = {
        name: f"{prefix}.{number}"
        for number, name in enumerate(
            (element.attrib["id"] for element in root.iter() if "id" in element.attrib), 1
        )
    }
    for element in root.iter():
        _rewrite(element, names, prefix)
    root.attrib |= {"xmlns": _SVG[1:-1], "id": prefix, "role": "img", "aria-label": alt}
    root.attrib["class"] = "drawing"
    return ElementTree.tostring(root, encoding="unicode")


def _rewrite(element: ElementTree.Element, names: dict[str, str], prefix: str) -> None:
    """Put an element into no namespace and its ids into the drawing's own."""
    name = str(element.tag).removeprefix(_SVG)
    if name not in _ELEMENTS:
        raise ValueError(f"the drawing {prefix!r} has an element {name!r}")
    element.tag = name
    if name == "style":
        style = _STYLE_OF_ALL.fullmatch(element.text or "")
        if not style:
            raise ValueError(f"the drawing {prefix!r} has a style sheet of its own")
        element.text = f"#{prefix} *{style[1]}"
    for key, value in list(element.attrib.items()):
        if key.lower().startswith("on"):
            raise ValueError(f"the drawing {prefix!r} has an attribute {key!r}")
        if key == "id":
            value = names[value]
        elif key in (_LINK, "href"):
            del element.attrib[key]
            key = "href"
            if value.startswith("#"):
                value = f"#{names.get(value[1:], prefix)}"
            elif not value.startswith("data:image/"):
                raise ValueError(f"the drawing {prefix!r} loads {value[:80]!r}")
        else:
            if re.search(r"url\((?!\s*['\"]?#)", value):
                raise ValueError(f"the drawing {prefix!r} loads {value[:80]!r}")
            value = _REFERENCE.sub(lambda m: f"url(#{names.get(m[1], prefix)})", value)
        element.attrib[key] = value
