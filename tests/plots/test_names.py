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


def bands(name, file):
    records = [{"step": s, "losses": [1.0, 2.0 + s], "grad_diffs": [1.0, 2.0]} for s in (0, 1)]
    save_figure(draw_bands([run_bands(name, {}, records)], zoom=(0, 1)), file)


def curve(name, file):
    surface = dict(name=name, alphas=[0, 1], betas=[0.0], losses=np.array([[1.0], [2.0]]))
    save_figure(draw_surfaces([surface]), file)


def plane(name, file):
    surface = dict(name=name, alphas=[0, 1], betas=[0, 1], losses=np.array([[1.0, 2], [2, 3]]))
    save_figure(draw_surfaces([surface]), file)


def spectrum(name, file):
    save_figure(draw_spectra([dict(name=name, grid=[0, 1], density=[1, 1], eigenvalues=[1])]), file)


def rates_of_network(name, file):
    plot_learning_rates({f"{name.replace('_', '')}_x": np.ones(2)}, file)


def rates_of_setting(name, file):
    plot_learning_rates({f"net_{name}": np.ones(2)}, file)


def training(name, file):
    plot_curves([TrainingCurves(name, [1, 2], {"top1": [1, 2]}, [2, 1], [1, 1])], "top1", file)


def metric(name, file):
    plot_curves([TrainingCurves("run", [1, 2], {name: [1, 2]}, [2, 1], [1, 1])], name, file)


def bars(name, file):
    save_figure(draw_bars({name: {"fog": 1.0}}, ["fog"], "CE"), file)


def severities(name, file):
    save_figure(draw_severities({name: {"fog": {1: 1.0, 2: 2.0}}}), file)


FIGURES = [bands, curve, plane, spectrum, rates_of_setting, training, metric, bars, severities]


# Every name in one figure, the worst one in all.
CASES = [(curve, name) for name in NAMES] + [
    (draw, r"_$x^2$\$") for draw in [*FIGURES, rates_of_network]
]


@pytest.mark.parametrize(("draw", "name"), CASES)
def test_name_is_written_as_it_is(tmp_path, draw, name):
    file = tmp_path / "figure.svg"
    draw(name, file)
    expected = name.replace("_", "") if draw is rates_of_network else name
    texts = [html.unescape(text) for text in re.findall(r">([^<>]+)<", file.read_text())]
    assert any(expected in text for text in texts), [text for text in texts if text.strip()]


@pytest.mark.parametrize("draw", FIGURES)
def test_name_that_is_no_text_breaks_no_figure(tmp_path, draw):
    file = tmp_path / "figure.svg"
    draw("scalar" if draw is metric else BROKEN, file)
    ElementTree.fromstring(file.read_bytes())
    assert draw is metric or "a\ufffd[31mb\ufffd\ufffdc" in file.read_text()
