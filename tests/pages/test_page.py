"""A page says in HTML and in Markdown what was put into it, whatever signs that has."""

import base64
import hashlib
import re

import numpy as np
import pytest

from gcp_mm.pages import Page, literal
from gcp_mm.plots.figure import new_figure, save_figure
from pages.hostile_names import as_shown, names
from pages.reading import all_of, numbers_of, read_markdown, read_page


@pytest.fixture
def svg(tmp_path):
    def draw(name="curve"):
        figure = new_figure(width=3, height=2)
        figure.subplots().plot([1, 2], [3, 4], label="a")
        path = save_figure(figure, tmp_path / f"drawn_{name}.svg")
        return path.read_text()

    return draw


@pytest.fixture
def written(tmp_path):
    def write(page):
        html = page.write_html(tmp_path / "page.html")
        return read_page(html), page.write_markdown(tmp_path / "page.md").read_text()

    return write


def test_any_name_is_shown_as_it_is_in_html(svg, written):
    drawing = svg()
    for chunk in np.array_split(np.array(names(90), dtype=object), 4):
        chunk = list(chunk)
        page = Page(chunk[0], literal(chunk[1]))
        for name in chunk:
            page.heading(name)
            page.text(literal(name))
            page.code(name)
        page.table(["name", *chunk], [[name, *range(len(chunk))] for name in chunk], "")
        page.figure(drawing, chunk[2], literal(chunk[3]), "one")
        page.data("names", chunk)
        elements, _ = written(page)
        shown = [as_shown(name) for name in chunk]
        assert [e.text for e in all_of(elements, "title", "h1")] == [shown[0]] * 2
        assert [e.text for e in all_of(elements, "h2")] == shown
        assert [e.text for e in all_of(elements, "p")] == [shown[1], *shown][not shown[1] :]
        assert [e.text for e in all_of(elements, "th")] == ["name", *shown, *shown]
        assert all_of(elements, "svg")[0].attributes["aria-label"] == shown[2]
        assert shown[3] in [e.text for e in all_of(elements, "figcaption")]
        assert {e.tag for e in elements} <= {
            *("html", "head", "meta", "link", "title", "style", "body", "a", "header", "h1", "p"),
            *("nav", "ul", "li", "main", "h2", "pre", "code", "div", "table", "thead", "tbody"),
            *("tr", "th", "td", "figure", "figcaption", "script"),
            *("svg", "defs", "g", "path", "use", "text", "clippath", "rect"),
        }
        assert numbers_of(elements) == {"names": chunk}


def test_any_name_is_shown_as_it_is_in_markdown(tmp_path):
    for name in names(60):
        shown = as_shown(name)
        if not shown.replace("\u202e", "").strip():
            continue
        page = Page(name, literal(name))
        page.heading(name, level=3)
        page.text(f"a {literal(name)} b, **{literal(name)}** and [{literal(name)}](x.md)")
        page.table(["name", name], [[name, 1], ["a", 2]], literal(name))
        page.code(name)
        blocks = read_markdown(page.write_markdown(tmp_path / "page.md").read_text())
        sentence = f"a {shown} b, {shown} and {shown}"
        marks = "link_close link_open strong_close strong_open"
        cells = [("th", "name", ""), ("th", shown, ""), ("td", shown, ""), ("td", "1", "")]
        rest = [("td", "a", ""), ("td", "2", "")]
        expected = [("h1", shown, ""), ("p", shown, ""), ("h3", shown, "")]
        expected += [("p", sentence, marks), ("p", shown, ""), *cells, *rest]
        assert blocks[:-1] == expected
        assert blocks[-1][0] == "fence"


def test_paragraphs_know_three_marks(written):
    page = Page("t", "`a*b*` **b `c` <i>** [d **e**](https://e.org/f_g?h=1&i=2#j) \\*\\*k\\*\\*")
    page.text("*a* _b_ <b>c</b> ![d](e.png) [f](javascript:g) [h](data:i) ** j** k`l [m](n o)** **")
    elements, markdown = written(page)
    lead, text = all_of(elements, "p")
    assert lead.text == "a*b* b c <i> d e **k**"
    _, first, second = all_of(elements, "a")
    assert first.attributes == {"href": "https://e.org/f_g?h=1&i=2#j"} and first.text == "d e"
    assert second.attributes == {"href": "e.png"}
    marked = [e.text for e in all_of(elements, "code", "strong")]
    assert marked == ["a*b*", "b c <i>", "c", "e", "j"]
    assert text.text == "*a* _b_ <b>c</b> !d [f](javascript:g) [h](data:i)  j k`l [m](n o) "
    blocks = read_markdown(markdown)
    assert blocks[1][:2] == ("p", lead.text)
    assert blocks[1][2] == "code_inline link_close link_open strong_close strong_open"
    # No image: a page of Markdown loads nothing but its figures.
    assert blocks[2] == ("p", text.text.rstrip(), "link_close link_open strong_close strong_open")


@pytest.mark.parametrize("address", ["https://e.org/?a=1&copy;=2", "javascript&#58;a", "a&lt;b"])
def test_an_address_is_the_same_in_markdown(written, address):
    elements, markdown = written(Page("t", f"[a]({address})"))
    _, link = all_of(elements, "a")
    parser = pytest.importorskip("markdown_it").MarkdownIt()
    (text,) = (
        token for token in parser.parse(markdown) if token.children and len(token.children) > 1
    )
    found = text.children[0].attrs["href"]
    assert link.attributes["href"] == found == address


@pytest.mark.parametrize("address", ["javascript:a", "JavaScript:a", "vbscript:a", "data:a", "x:a"])
def test_no_link_runs_something(written, address):
    page = Page("t", f"[a]({address})")
    elements, _ = written(page)
    assert [e.attributes["href"] for e in all_of(elements, "a")] == ["#content"]


def test_tables_show_numbers_shortly_and_keep_them_whole(written):
    rows = [
        ["a", 1, 0.123456789, np.float32(0.5), None],
        ["b", np.int64(20), 2.0, float("nan"), "x"],
        ["c", 3, None, float("-inf"), 4],
    ]
    page = Page("t", "")
    page.table(["name", "n", "x", "y", "mixed"], rows, "c", formats={"x": ".1%"})
    elements, markdown = written(page)
    cells = all_of(elements, "td")
    assert [cell.text for cell in cells] == [
        *("1", "12.3%", "0.5", "-"),
        *("20", "200.0%", "nan", "x"),
        *("3", "-", "-inf", "4"),
    ]
    values = [cell.attributes.get("data-value") for cell in cells]
    assert values == [
        *("1", "0.123456789", "0.5", None),
        *("20", "2.0", None, None),
        *("3", None, "-Infinity", "4"),
    ]
    assert [i for i, cell in enumerate(cells) if "data-missing" in cell.attributes] == [3, 6, 9]
    right = [cell.attributes.get("class") == "number" for cell in cells]
    assert right == [True, True, True, False] * 3
    assert [e.attributes["scope"] for e in all_of(elements, "th")] == ["col"] * 5 + ["row"] * 3
    assert "| name | n | x | y | mixed |\n| :--- | ---: | ---: | ---: | :--- |" in markdown
    assert "| a | 1 | 12.3% | 0.5 | - |" in markdown


def test_a_table_whose_rows_are_counted_has_no_names_of_rows(written):
    page = Page("t", "")
    page.table(["step", "loss"], [[0, 1.5], [1, 1.25]], "c")
    page.table(["nothing", "here"], [], "c")
    elements, markdown = written(page)
    assert [e.attributes["scope"] for e in all_of(elements, "th")] == ["col"] * 4
    assert markdown.endswith("| nothing | here |\n| :--- | :--- |\n")


def test_the_page_needs_nothing_but_itself(svg, written, tmp_path):
    page = Page("t", "[a](https://e.org)")
    page.figure(svg(), "a curve", "c", "curve")
    page.data("numbers", {"a": 1})
    elements, _ = written(page)
    for element in elements:
        for name, value in element.attributes.items():
            assert not name.startswith("on")
            if name in ("src", "srcset", "xlink:href", "action", "poster", "data") or (
                name == "href" and element.tag != "a"
            ):
                assert value.startswith(("#", "data:"))
    (script,) = (e for e in all_of(elements, "script") if "type" not in e.attributes)
    (policy,) = (
        e.attributes["content"] for e in all_of(elements, "meta") if "http-equiv" in e.attributes
    )
    digest = base64.b64encode(hashlib.sha256(script.text.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy and "default-src 'none'" in policy
    assert all_of(elements, "html")[0].attributes["lang"] == "en"
    ids = [e.attributes["id"] for e in elements if "id" in e.attributes]
    assert len(ids) == len(set(ids))
    for element in elements:
        for name in ("href", "aria-labelledby"):
            value = element.attributes.get(name) or ""
            if value.startswith("#") or name == "aria-labelledby" and value:
                assert value.removeprefix("#") in ids


def test_markdown_has_its_figures_beside_it(svg, written, tmp_path):
    page = Page("t", "l")
    page.figure(svg("a"), "one [alt]", "c", "a")
    page.figure(svg("b"), "two", "c", "b-2")
    _, markdown = written(page)
    assert re.findall(r"!\[(.*)\]\((.*)\)", markdown) == [
        (r"one \[alt\]", "a.svg"),
        ("two", "b-2.svg"),
    ]
    assert (tmp_path / "a.svg").read_text().startswith("<svg ")


def test_the_same_page_has_the_same_bytes(svg, tmp_path):
    def write(name):
        page = Page("t", "l")
        page.figure(svg(name), "a", "c", "curve")
        page.data("n", {"x": np.arange(3), "y": float("nan")})
        return page.write_html(tmp_path / f"{name}.html").read_bytes()

    assert write("first") == write("second")


def test_headings_have_the_anchors_of_github_and_no_id_is_there_twice(written):
    page = Page("t", "l")
    texts = ["1. GCP, or GAP?", "Numbers", "Numbers", "content", "???", "block-7", "figure-a"]
    for text in texts:
        page.heading(text)
    page.table(["a"], [["b"]], "c")
    page.data("numbers", [1])
    elements, _ = written(page)
    anchors = [e.attributes["id"] for e in all_of(elements, "h2")]
    assert anchors[0] == "1-gcp-or-gap" and anchors[1:3] == ["numbers-1", "numbers-2"]
    ids = [e.attributes["id"] for e in elements if "id" in e.attributes]
    assert len(ids) == len(set(ids))
    links = [e.attributes["href"] for e in all_of(elements, "a")]
    assert links == ["#content", *(f"#{anchor}" for anchor in anchors)]


def test_data_are_json_whatever_they_hold(written):
    value = {"a": [1, 2.5, float("nan"), float("inf")], "b": "</script><!--", "c": np.eye(2)}
    page = Page("t", "l")
    page.data("all", value)
    elements, _ = written(page)
    assert numbers_of(elements)["all"] == {
        "a": [1, 2.5, None, None],
        "b": "</script><!--",
        "c": [[1.0, 0.0], [0.0, 1.0]],
    }


@pytest.mark.parametrize(
    "call",
    [
        lambda page: page.heading("a", level=1),
        lambda page: page.table(["a"], [["b", "c"]], ""),
        lambda page: page.table(["a"], [[True]], ""),
        lambda page: page.table(["a"], [[b"x"]], ""),
        lambda page: page.table(["a"], [], "", formats={"b": ".2f"}),
        lambda page: page.data("a b", 1),
        lambda page: page.data("content", 1),
        lambda page: page.data("figure-a", 1),
        lambda page: [page.data("a", 1), page.data("a", 2)],
        lambda page: page.figure("<svg xmlns='http://www.w3.org/2000/svg'/>", "", "", "../a"),
        lambda page: [page.figure(SMALL, "", "", "a"), page.figure(SMALL, "", "", "a")],
    ],
)
def test_mistakes_of_the_caller_are_refused(call):
    with pytest.raises(ValueError):
        call(Page("t", "l"))


SMALL = "<svg xmlns='http://www.w3.org/2000/svg'/>"
