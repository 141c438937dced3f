"""The figures of the pages are those that the code draws, and every one is shown."""

import re
import runpy

import pytest
from shared_folder import REPO

from docs.pages import PAGES, inline

FIGURES = REPO / "docs/figures"
# By hand, by `tools/plot_schedules.py`, and by `make demo`.
OTHERS = {"overview.svg", "learning_rates.svg", "demo.jpg"}


@pytest.mark.slow
def test_committed_figures_are_up_to_date(tmp_path):
    pytest.importorskip("imagecorruptions")
    runpy.run_path(str(REPO / "docs/make_figures.py"))["main"](tmp_path)
    drawn = {path.name for path in tmp_path.iterdir()}
    assert drawn | OTHERS == {path.name for path in FIGURES.iterdir()}
    # Only the words: where they stand differs between versions of matplotlib.
    words = re.compile(r"<text[^>]*>([^<]+)</text>")
    for name in drawn:
        found, committed = (
            words.findall((root / name).read_text()) for root in (tmp_path, FIGURES)
        )
        assert found == committed and len(found) > 5, name


def test_every_figure_is_on_a_page():
    shown = {
        (page.parent / token.attrGet("src")).resolve()
        for page in PAGES
        for token in inline(page)
        if token.type == "image"
    }
    assert set(FIGURES.iterdir()) <= shown
