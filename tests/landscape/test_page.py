"""The pages of the landscape hold what their figures show."""

import numpy as np
import pytest
from pages.hostile_names import as_shown, names
from pages.reading import all_of, numbers_of, read_page

from gcp_mm.landscape.bands import mean_widths, run_bands
from gcp_mm.landscape.page import page_of_runs, page_of_spectra, page_of_surfaces
from gcp_mm.landscape.plot import draw_bands, draw_spectra, draw_surfaces
from gcp_mm.plots.figure import svg_text

SMALL = "<svg xmlns='http://www.w3.org/2000/svg'/>"


def run(name, width, **settings):
    records = [
        {"step": step, "losses": [1.0, 1 + width], "grad_diffs": [0.5, 0.5 + 2 * width], "lr": 0.1}
        for step in (0, 10)
    ]
    return run_bands(name, settings, [*records, {"step": 20, "losses": [float("nan")]}])


def surface(name):
    losses = np.array([[2.0], [1.0], [np.nan]])
    return dict(name=name, alphas=[-1.0, 0.0, 1.0], betas=[0.0], losses=losses, loss=1.0)


def spectrum(name, *eigenvalues):
    return dict(name=name, grid=[0.0, 1.0], density=[1.0, 0.5], eigenvalues=eigenvalues, trace=3.0)


def read(page, tmp_path):
    elements = read_page(page.write_html(tmp_path / "page.html"))
    return elements, [cell.text for cell in all_of(elements, "th", "td")]


def test_bands_are_there_with_their_widths(tmp_path):
    runs = [run("gap", 2.0, batch_size=1), run("gcp", 0.5, batch_size=2)]
    widths = [mean_widths(one, runs[0]) for one in runs]
    warnings = ["'gcp' was probed differently from 'gap': batch_size is 2"]
    page = page_of_runs(runs, widths, svg_text(draw_bands(runs)), warnings)
    elements, cells = read(page, tmp_path)
    assert cells[7:14] == ["gap", "2", "1", "2", "4", "1", "1"]
    assert cells[14:] == ["gcp", "2", "1", "0.5", "1", "0.25", "0.25"]
    data = numbers_of(elements)["bands"]
    assert [one["run"] for one in data] == ["gap", "gcp"]
    assert data[1]["step"] == [0, 10, 20] and data[1]["loss_max"] == [1.5, 1.5, None]
    assert data[0]["grad_max"] == [4.5, 4.5, None] and data[0]["probes"]["lr"][:2] == [0.1, 0.1]
    texts = [element.text for element in all_of(elements, "p")]
    assert any("'gcp' was probed differently from 'gap': batch_size is 2" in text for text in texts)


def test_surfaces_are_there_with_their_range(tmp_path):
    surfaces = [surface("gap"), surface("gcp")]
    page = page_of_surfaces(surfaces, svg_text(draw_surfaces(surfaces)))
    elements, cells = read(page, tmp_path)
    assert cells[6:12] == ["gap", "1", "1", "2", "2", "1"]
    assert numbers_of(elements)["surfaces"][1] == {
        **{"name": "gcp", "alphas": [-1.0, 0.0, 1.0], "betas": [0.0], "loss": 1.0},
        "losses": [[2.0], [1.0], [None]],
    }


def test_spectra_are_there_with_their_eigenvalues(tmp_path):
    spectra = [spectrum("gap", 9.0, 4.0), spectrum("gcp", 2.0)]
    page = page_of_spectra(spectra, svg_text(draw_spectra(spectra)))
    elements, cells = read(page, tmp_path)
    assert cells[5:15] == ["gap", "-", "3", "-", "-", "gcp", "-", "3", "-", "-"]
    assert cells[15:] == ["rank", "gap", "gcp", "1", "9", "2", "2", "4", "-"]
    assert numbers_of(elements)["spectra"][0]["density"] == [1.0, 0.5]


@pytest.mark.parametrize("number", range(3))
def test_any_name_is_shown_as_it_is(tmp_path, number):
    for name in names(20)[number::3]:
        runs, shown = [run(name, 1.0)], as_shown(name)
        for page in (
            page_of_runs(runs, [mean_widths(runs[0], runs[0])], SMALL),
            page_of_surfaces([surface(name)], SMALL),
            page_of_spectra([spectrum(name, 1.0)], SMALL),
        ):
            elements, cells = read(page, tmp_path)
            assert shown in cells
            assert {e.tag for e in elements}.isdisjoint({"b", "img"})
