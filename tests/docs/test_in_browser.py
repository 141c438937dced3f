"""The site in a real browser: it loads, can be searched, and is read by everybody."""

import pytest
from in_browser import violations

pytestmark = pytest.mark.process

# A phone, and a desk.
WIDTHS = (390, 1440)
# Each has something of its own: pictures, tabs, formulas, long code, generated names.
PAGES = ("index", "install", "the_layer", "coming_from", "faq", "api/errors")
PAGES += ("examples/index", "examples/what_the_layer_looks_at")


@pytest.mark.parametrize("name", PAGES)
def test_everybody_can_read_it(show, site, name):
    window = show(site / f"{name}.html", WIDTHS[0])
    assert not window.said
    assert all(url.startswith("file:") for url in window.asked)
    held, broken = violations(window)
    assert not broken and {"color-contrast", "document-title", "heading-order"} <= held
    window.emulate_media(color_scheme="dark")
    held, broken = violations(window, runOnly=["color-contrast"])
    assert not broken and held == {"color-contrast"}


def test_no_page_is_wider_than_the_window(show, site):
    window = show(site / "index.html", WIDTHS[-1])
    widths = list(WIDTHS)
    for path in site.rglob("*.html"):
        window.goto(path.as_uri())
        # A page is laid out first for the width that the window has.
        widths.reverse()
        for width in widths:
            if window.viewport_size["width"] != width:
                window.set_viewport_size({"width": width, "height": 900})
            assert window.evaluate("document.documentElement.scrollWidth") == width, path
    assert not window.said


def test_search_finds_what_is_written(show, site):
    window = show(site / "index.html")
    window.locator("input[name=q]").first.fill("GCPM")
    window.locator("input[name=q]").first.press("Enter")
    window.wait_for_selector("#search-results li a")
    found = window.locator("#search-results li a").all_inner_texts()
    assert any("GCPM" in title for title in found)
    assert not window.said


def test_zoo_is_filtered_and_sorted(show, site):
    window = show(site / "model_zoo.html")
    table = window.locator("#zoo table")
    shown = table.locator("tbody tr:not([hidden]) td:first-child")
    status = window.locator("#zoo output")
    everything = shown.count()
    assert status.inner_text() == f"{everything} of {everything} rows"
    window.get_by_label("backbone").select_option("resnet50")
    window.get_by_label("pooling").select_option("gcp")
    window.get_by_label("name").fill("lr _128")
    rows = ["resnet50_gcp_lradju_128", "resnet50_gcp_lrnorm_128"]
    assert sorted(shown.all_inner_texts()) == rows
    assert status.inner_text() == f"2 of {everything} rows"
    assert not window.said and not violations(window)[1]
    head = table.locator("th", has_text="published")
    for direction, order in (("ascending", rows), ("descending", rows[::-1])):
        head.get_by_role("button").press("Enter")
        assert head.get_attribute("aria-sort") == direction
        assert shown.all_inner_texts() == order


def test_boxes_that_move_have_names_of_their_own(show, site):
    window = show(site / "training.html", WIDTHS[0])
    boxes = window.locator("[role=region][tabindex='0']")
    names = boxes.evaluate_all("boxes => boxes.map((box) => box.getAttribute('aria-label'))")
    assert len(set(names)) == len(names) > 3
    assert "Table 1: Options" in names


def test_box_in_a_tab_is_reachable_when_the_tab_opens(show, site):
    window = show(site / "install.html", WIDTHS[0])
    boxes = window.locator(".sd-tab-content pre")
    box = boxes.first
    for index in range(boxes.count()):
        if not boxes.nth(index).is_visible():
            box = boxes.nth(index)
            break
    box.evaluate("(box) => { box.firstElementChild.textContent = 'wide '.repeat(200); }")
    assert box.get_attribute("tabindex") is None
    box.evaluate("(box) => { box.closest('.sd-tab-content').style.display = 'block'; }")
    window.wait_for_function("(box) => box.tabIndex === 0", arg=box.element_handle())
    assert not window.said


def test_numbers_are_sorted_as_numbers_and_gaps_come_last(show, site):
    window = show(site / "model_zoo.html")
    head = window.locator("#zoo th", has_text="published")
    values = ["4.1", "-", "4.09", "10", "4.1 x"]
    window.locator("#zoo tbody").evaluate(
        """(body, [values, column]) => {
            [...body.rows].slice(values.length).forEach((row) => row.remove());
            [...body.rows].forEach((row, i) => { row.cells[column].textContent = values[i]; });
        }""",
        [values, head.evaluate("(head) => head.cellIndex")],
    )
    for expected in (["4.09", "4.1", "4.1 x", "10", "-"], ["10", "4.1 x", "4.1", "4.09", "-"]):
        head.get_by_role("button").press("Enter")
        cells = window.locator("#zoo tbody tr").evaluate_all(
            "(rows, column) => rows.map((row) => row.cells[column].textContent)",
            head.evaluate("(head) => head.cellIndex"),
        )
        assert cells == expected


def test_tabs_open_by_keyboard(show, site):
    window = show(site / "install.html")
    shown = window.locator(".sd-tab-content:visible")
    before = shown.inner_text()
    window.locator("input[name^=sd-tab-set]").first.focus()
    window.keyboard.press("ArrowRight")
    assert shown.inner_text() != before
