"""Names of runs and models are text in every figure, whatever signs they have."""

import html
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from gcp_mm.landscape.bands import run_bands
from gcp_mm.landscape.plot import draw_bands, draw_spectra, draw_surfaces
from gcp_mm.plots.figure import save_figure
from gcp_mm.plots.learning_rates import plot_learning_rates
from gcp_mm.plots.training_curves import TrainingCurves, plot_curves
from gcp_mm.robustness.report.plot import draw_bars, draw_severities

NAMES = ["$x^2$", "_run", r"a\b", "cost $5", r"$\frac{", r"\$1\$ & 50%", "__$_{a}$", "a_b^c"]

# What no XML can hold.
BROKEN = "a\x1b[31mb\0\udcffc"


def bands(names, file):
    records = [{"step": s, "losses": [1.0, 2.0 + s], "grad_diffs": [1.0, 2.0]} for s in (0, 1)]
    save_figure(draw_bands([run_bands(name, {}, records) for name in names], zoom=(0, 1)), file)


def curve(names, file):
    numbers = dict(alphas=[0, 1], betas=[0.0], losses=np.array([[1.0], [2.0]]))
    save_figure(draw_surfaces([dict(name=name, **numbers) for name in names]), file)


def plane(names, file):
    numbers = dict(alphas=[0, 1], betas=[0, 1], losses=np.array([[1.0, 2], [2, 3]]))
    save_figure(draw_surfaces([dict(name=name, **numbers) for name in names]), file)


def spectrum(names, file):
    numbers = dict(grid=[0, 1], density=[1, 1], eigenvalues=[1])
    save_figure(draw_spectra([dict(name=name, **numbers) for name in names]), file)


def rates_of_network(names, file):
    # What is behind the last "_" is the setting.
    plot_learning_rates({f"{name.replace('_', '')}_x": np.ones(2) for name in names}, file)


def rates_of_setting(names, file):
    plot_learning_rates({f"net_{name}": np.ones(2) for name in names}, file)


def training(names, file):
    runs = [TrainingCurves(name, [1, 2], {"top1": [1, 2]}, [2, 1], [1, 1]) for name in names]
    plot_curves(runs, "top1", file)


def metric(names, file):
    (name,) = names
    plot_curves([TrainingCurves("run", [1, 2], {name: [1, 2]}, [2, 1], [1, 1])], name, file)


def bars(names, file):
    save_figure(draw_bars({name: {"fog": 1.0} for name in names}, ["fog"], "CE"), file)


def severities(names, file):
    save_figure(draw_severities({name: {"fog": {1: 1.0, 2: 2.0}} for name in names}), file)


WORST = r"_$x^2$\$"
# Every name in one figure, the worst one in all, and what no XML can hold where runs have names.
CASES = [(curve, [*NAMES, BROKEN])]
CASES += [(draw, [WORST, BROKEN]) for draw in (bands, plane, spectrum, rates_of_setting, training)]
CASES += [(draw, [WORST, BROKEN]) for draw in (bars, severities)]
CASES += [(draw, [WORST]) for draw in (rates_of_network, metric)]


@pytest.mark.parametrize(("draw", "names"), CASES, ids=[draw.__name__ for draw, _ in CASES])
def test_name_is_written_as_it_is(tmp_path, draw, names):
    file = tmp_path / "figure.svg"
    draw(names, file)
    ElementTree.fromstring(file.read_bytes())
    texts = [html.unescape(text) for text in re.findall(r">([^<>]+)<", file.read_text())]
    for name in names:
        expected = name.replace("_", "") if draw is rates_of_network else name
        if name == BROKEN:
            expected = "a\ufffd[31mb\ufffd\ufffdc"
        assert any(expected in text for text in texts), [text for text in texts if text.strip()]
