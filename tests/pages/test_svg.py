"""A drawing becomes a part of a page that clashes with no other and loads nothing."""

import re
import xml.etree.ElementTree as ElementTree

import matplotlib
import pytest

from gcp_mm.pages.svg import part_of_page
from gcp_mm.plots.figure import new_figure

OPEN = "<svg xmlns='http://www.w3.org/2000/svg' xmlns:xlink='http://www.w3.org/1999/xlink'>"


def drawn(tmp_path, salt=None) -> str:
    figure = new_figure(width=4, height=2)
    axes = figure.subplots(1, 2)
    axes[0].plot([1, 2, 3], [1, 2, 1], "o-", label="a<b & c")
    axes[0].bar([1], [2], hatch="/")
    axes[0].legend()
    axes[1].imshow([[1, 2], [3, 4]])
    path = tmp_path / "drawing.svg"
    with matplotlib.rc_context({"svg.hashsalt": salt, "svg.fonttype": "none"}):
        figure.savefig(path)
    return path.read_text()


def test_ids_are_its_own_and_every_reference_is_kept(tmp_path):
    svg = drawn(tmp_path)
    before, after = ElementTree.fromstring(svg), part_of_page(svg, "figure-a", "alt")
    assert "a&lt;b &amp; c" in after
    ids = re.findall(r' id="([^"]*)"', after)
    assert len(ids) == len(set(ids)) > 30
    assert all(name == "figure-a" or name.startswith("figure-a.") for name in ids)
    references = re.findall(r'(?:href="|url\()#([^)"]*)', after)
    assert set(references) <= set(ids)
    link = "{http://www.w3.org/1999/xlink}href"
    links = sum(element.attrib.get(link, "").startswith("#") for element in before.iter())
    assert len(references) == links + svg.count("url(#")
    assert 'href="data:image/png;base64,' in after


def test_two_runs_give_the_same_bytes_without_a_date(tmp_path):
    first, second = drawn(tmp_path), drawn(tmp_path)
    assert first != second and "dc:date" in first
    first, second = (part_of_page(svg, "figure-a", "alt") for svg in (first, second))
    assert first == second
    for absent in ("<?xml", "<!", "metadata", "dc:", "Matplotlib"):
        assert absent not in first


def test_its_style_sheet_counts_for_itself_alone(tmp_path):
    after = part_of_page(drawn(tmp_path), "figure-a", "alt")
    (style,) = re.findall(r"<style[^>]*>([^<]*)</style>", after)
    assert style.startswith("#figure-a *{") and "stroke-linejoin" in style


def test_it_has_an_alternative_text(tmp_path):
    root = ElementTree.fromstring(part_of_page(drawn(tmp_path), "figure-a", 'a "<b>"'))
    assert root.attrib["role"] == "img" and root.attrib["aria-label"] == 'a "<b>"'
    # What the page's style gives a size.
    assert root.attrib["class"] == "drawing"


@pytest.mark.parametrize(
    "inside",
    [
        "<script>alert(1)</script>",
        "<SCRIPT>alert(1)</SCRIPT>",
        "<foreignObject/>",
        "<x xmlns='http://www.w3.org/1999/xhtml'/>",
        "<a xlink:href='#b'/>",
        "<g onload='alert(1)'/>",
        "<g OnLoad='alert(1)'/>",
        "<image xlink:href='https://e.org/a.png'/>",
        "<image href='//e.org/a.png'/>",
        "<use href='javascript:alert(1)'/>",
        "<image href='data:text/html,a'/>",
        "<style>@import 'https://e.org'</style>",
        "<style>*{}</style><style>p{color: red}</style>",
        "<g style='fill: url(https://e.org/a)'/>",
        "<g fill='url( \"https://e.org/a\")'/>",
    ],
)
def test_what_runs_or_loads_is_refused(inside):
    with pytest.raises(ValueError, match="figure-a"):
        part_of_page(f"{OPEN}{inside}</svg>", "figure-a", "alt")


@pytest.mark.parametrize("svg", ["", "no drawing", "<svg/>", f"{OPEN}<g>"])
def test_what_is_no_svg_is_refused(svg):
    with pytest.raises(ValueError, match="no SVG"):
        part_of_page(svg, "figure-a", "alt")
