"""The page of a report has its tables, its figures and all its numbers."""

import json

import pytest
from pages.hostile_names import as_shown, names
from pages.reading import all_of, numbers_of, read_markdown, read_page

from gcp_mm.robustness.report import read_models, write_report
from gcp_mm.robustness.report.models import find_robustness
from gcp_mm.robustness.report.page import report_page
from gcp_mm.robustness.report.tables import markdown
from gcp_mm.robustness.report.values import long_table
from robustness.report.conftest import clips

FEW = ("fog", "snow", "saturate")


@pytest.mark.slow
def test_the_page_has_what_the_other_files_have(constant, result, tmp_path):
    files = [constant("a", names=FEW), result("imagenet-p", "a", clips(0.1, 2.5), num_samples=9)]
    models, published = read_models(files), find_robustness(["resnet50_gcp_lrnorm"])
    written = write_report(models, tmp_path / "out", published, ["svg"])
    elements = read_page(written[0])
    assert written[0] == tmp_path / "out/report.html"
    drawings = {e.attributes["id"] for e in all_of(elements, "svg")}
    assert drawings == {f"figure-{path.stem}" for path in written if path.suffix == ".svg"}
    data = numbers_of(elements)["numbers"]
    numbers = long_table(models, published)
    assert data["columns"] == ["model", "dataset", "cell", "difficulty", "measure", "value"]
    assert data["rows"] == json.loads(json.dumps(numbers))
    # The rounded numbers of the Markdown, in its order, and the full ones to sort by.
    text = (tmp_path / "out/report.md").read_text()
    shown = [e.text for e in all_of(elements, "td", "th")]
    told = [text for tag, text, _ in read_markdown(text) if tag in ("td", "th")]
    named = ["corruption" if word == "" else word for word in told]
    assert [word.replace("perturbation", "corruption") for word in shown] == named
    (cell,) = (e for e in all_of(elements, "td") if e.text == "141.8")
    assert float(cell.attributes["data-value"]) == pytest.approx(10 / 0.0705)
    texts = [e.text for e in all_of(elements, "p")]
    reason = "* a: not comparable with published numbers (--num-samples 9)"
    assert any(text.startswith(reason) for text in texts)


@pytest.mark.parametrize("number", range(4))
def test_any_name_is_shown_as_it_is(constant, tmp_path, number):
    file = constant("a", names=["fog"], num_samples=3)
    for name in names(24)[number::4]:
        shown = as_shown(name)
        models = read_models([file], [name])
        numbers = long_table(models)
        page = report_page(models, numbers, [f"{name} (here)"], {})
        elements = read_page(page.write_html(tmp_path / "page.html"))
        cells = [e.text for e in all_of(elements, "th")]
        assert cells[0] == "model" and f"{shown} *".lstrip() in cells and shown in cells
        assert f"{shown} (here)".lstrip() in [e.text for e in all_of(elements, "p")]
        assert {e.tag for e in elements}.isdisjoint({"b", "img"})
        blocks = read_markdown(markdown(models, numbers, [f"{name} (here)"]))
        cells = [text for tag, text, _ in blocks if tag in ("th", "td")]
        assert cells[0] == "model" and f"{shown} *".lstrip() in cells and shown in cells
        assert {tag for tag, _, _ in blocks} == {"h1", "h2", "p", "th", "td", "bullet_list_open"}
