"""The pages in a real browser: nothing fails or is loaded, tables sort, everybody can read them."""

import json
from pathlib import Path

import numpy as np
import pytest
from in_browser import fits, violations
from reproduction.test_report import everything as whole_plan
from reproduction.test_report import write_all as write_claims
from robustness.report.conftest import clips, constant, result  # noqa: F401

from gcp_mm.landscape.bands import incomparable, mean_widths, run_bands
from gcp_mm.landscape.page import page_of_runs
from gcp_mm.landscape.plot import draw_bands
from gcp_mm.pages import Page
from gcp_mm.plots.figure import svg_text
from gcp_mm.robustness.report import read_models, write_report
from gcp_mm.robustness.report.models import find_robustness

pytestmark = pytest.mark.process

LONG = "a_name_without_a_space_" * 12
# A phone, and a desk.
WIDTHS = (390, 1440)
TABLE = [["b", 10, 0.5], ["a", 9, None], ["c", -1, 0.1 + 0.2], ["A2", 100, 0.3], ["a10", 9, 1e-9]]


def everything(folder, **_) -> Path:
    """A page with all that there is, and with words and tables that are too wide."""
    page = Page(f"All of it: {LONG}", f"`code` **bold** [link](https://e.org) {LONG} `{LONG}`")
    for name in ("Tables", "Figures", LONG):
        page.heading(name)
    page.heading("Smaller", level=3)
    page.table(["name", "count", "value"], TABLE, f"What is sorted. {LONG}")
    wide = [[f"row {row}", *(row * column for column in range(30))] for row in range(3)]
    page.table(["row", *(f"column_{index}" for index in range(30))], wide, "A wide one.")
    page.table(["name", LONG], [[LONG, LONG]], "Long names.")
    page.code(f"gcp-mm robustness report {LONG} \\\n  --out {LONG}")
    page.data("numbers", {"text": "</script>", "value": [1, 2.5, None]})
    return page.write_html(folder / "everything.html")


def robustness(folder, constant, result, **_) -> Path:  # noqa: F811
    """The report of two networks beside a published row."""
    few = ("fog", "saturate")
    files = [
        *(constant("resnet18_gap", names=few), constant("resnet18_gcp", 0.3, few)),
        result("imagenet-p", "resnet18_gap", clips(0.1, 2.0), num_samples=3),
    ]
    published = find_robustness(["resnet50_gcp_lrnorm"])
    return write_report(read_models(files), folder / "report", published, [])[0]


def landscape(folder, **_) -> Path:
    """The bands of two runs that were probed differently."""
    rng = np.random.default_rng(0)
    runs = [
        run_bands(
            name,
            {"batch_size": size},
            [
                {"step": 10 * step, "losses": 1 + rng.random(4), "grad_diffs": 1 + rng.random(4)}
                for step in range(8)
            ],
        )
        for name, size in (("resnet18_gap", 256), ("resnet18_gcp", 96))
    ]
    widths = [mean_widths(run, runs[0]) for run in runs]
    warnings = incomparable({run.name: run.settings for run in runs})
    page = page_of_runs(runs, widths, svg_text(draw_bands(runs)), warnings)
    return page.write_html(folder / "landscape.html")


def claims(folder, **_) -> Path:
    """The page of a plan in which everything is measured."""
    return write_claims(folder, whole_plan())[2] / "index.html"


# Each writes a page into a folder and returns its path; fixtures that it needs come by their names.
PAGES = [everything, robustness, landscape, claims]


@pytest.mark.parametrize("write", PAGES, ids=lambda write: write.__name__)
def test_everybody_can_read_it(show, tmp_path, constant, result, write):  # noqa: F811
    path = write(tmp_path, constant=constant, result=result)
    window = show(path, WIDTHS[0])
    # Nothing that is not in the file, which has its icon too.
    assert [url for url in window.asked if not url.startswith("data:")] == [path.as_uri()]
    assert fits(window, WIDTHS[0])
    window.set_viewport_size({"width": WIDTHS[1], "height": 900})
    assert fits(window, WIDTHS[1])
    drawings = window.locator("svg")
    checked, found = violations(window)
    assert not found and {"color-contrast", "html-has-lang", "heading-order"} <= checked
    assert ("svg-img-alt" in checked) == (drawings.count() > 0)
    window.emulate_media(color_scheme="dark")
    assert window.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(17, 22, 28)"
    checked, found = violations(window, runOnly=["color-contrast"])
    assert not found and checked == {"color-contrast"}
    for drawing in drawings.all():
        # Its colours are made for white.
        card = "e => getComputedStyle(e.parentElement).backgroundColor"
        assert drawing.evaluate(card) == "rgb(255, 255, 255)"
        # matplotlib gives shapes by reference: none of them is lost.
        lost = """e => [...e.querySelectorAll("use")].filter(
            use => !e.querySelector("#" + CSS.escape(use.href.baseVal.slice(1)))).length"""
        assert drawing.evaluate(lost) == 0 and drawing.bounding_box()["height"] > 50
    assert window.said == []


def column(window, index: int) -> list[str]:
    cells = f"tbody tr > :nth-child({index})"
    return window.locator("table").first.locator(cells).all_inner_texts()


def test_tables_are_sorted_by_click_and_by_keyboard(show, tmp_path):
    window = show(everything(tmp_path))
    headers = window.locator("table").first.locator("thead th")
    assert column(window, 1) == ["b", "a", "c", "A2", "a10"]
    headers.nth(2).locator("button").click()
    # Shown are four digits, and the gap stays below.
    assert column(window, 3) == ["1e-09", "0.3", "0.3", "0.5", "-"]
    assert column(window, 1) == ["a10", "A2", "c", "b", "a"]
    sorts = [header.get_attribute("aria-sort") for header in headers.all()]
    assert sorts == [None, None, "ascending"]
    window.keyboard.press("Enter")
    assert column(window, 1) == ["b", "c", "A2", "a10", "a"]
    assert headers.nth(2).get_attribute("aria-sort") == "descending"
    window.keyboard.press("Shift+Tab")
    window.keyboard.press("Space")
    # Equal ones stay in their order.
    assert column(window, 2) == ["-1", "9", "9", "10", "100"]
    assert column(window, 1) == ["c", "a10", "a", "b", "A2"]
    sorts = [header.get_attribute("aria-sort") for header in headers.all()]
    assert sorts == [None, "ascending", None]
    headers.nth(0).locator("button").click()
    assert column(window, 1) == ["a", "A2", "a10", "b", "c"]
    assert window.said == []


def test_the_keyboard_comes_to_the_content_and_is_seen(show, tmp_path):
    window = show(everything(tmp_path))
    skip = window.locator(".skip")
    assert skip.bounding_box()["x"] < 0
    window.keyboard.press("Tab")
    assert window.evaluate("document.activeElement.className") == "skip"
    assert skip.bounding_box()["x"] >= 0
    assert skip.evaluate("e => getComputedStyle(e).outlineStyle") == "solid"
    window.keyboard.press("Enter")
    assert window.evaluate("document.activeElement.id") == "content"
    # On: to the first box, whose first header sorts.
    window.keyboard.press("Tab")
    assert window.evaluate("document.activeElement.className") == "box"
    window.keyboard.press("Tab")
    assert window.evaluate("document.activeElement.textContent") == "name"


def test_the_numbers_can_be_taken(show, tmp_path):
    window = show(everything(tmp_path))
    with window.expect_download() as started:
        window.get_by_role("link", name="numbers.json").click()
    expected = {"text": "</script>", "value": [1, 2.5, None]}
    assert json.loads(Path(started.value.path()).read_text()) == expected
    assert json.loads(window.locator("#numbers").text_content()) == expected


def test_without_javascript_everything_is_there(show, tmp_path):
    window = show(everything(tmp_path), java_script_enabled=False)
    assert window.locator("button").count() == 0
    assert column(window, 1) == ["b", "a", "c", "A2", "a10"]
