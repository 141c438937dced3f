import numpy as np
import pytest

from gcp_mm.errors import UserError
from gcp_mm.landscape.bands import run_bands
from gcp_mm.landscape.plot import draw_bands, draw_spectra, draw_surfaces
from gcp_mm.plots.figure import save_figure, svg_text


@pytest.fixture
def runs():
    rng = np.random.default_rng(0)
    return [
        run_bands(
            name,
            {},
            [
                {"step": 10 * step, "losses": 1 + rng.random(4), "grad_diffs": 1 + rng.random(4)}
                for step in range(8)
            ],
        )
        for name in ("resnet18_gap", "resnet18_gcp")
    ]


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"smooth": 3}, {"zoom": (0, 30), "log": True}])
def test_bands_have_two_panels_and_a_name_for_each_run(runs, tmp_path, options):
    figure = draw_bands(runs, **options)
    text = svg_text(figure)
    for label in ("Loss Landscape", "Gradient Predictiveness", "resnet18_gap", "resnet18_gcp"):
        assert text.count(f">{label}<") == 1, label
    assert text.count(">training steps<") == 2
    files = [save_figure(figure, tmp_path / f"bands.{suffix}") for suffix in ("png", "pdf")]
    assert all(file.stat().st_size > 1000 for file in files)


def test_what_is_drawn_are_the_edges(runs):
    figure = draw_bands(runs, smooth=3, log=True, zoom=(20, 50))
    for axes, name in zip(figure.axes, ("loss", "gradient"), strict=True):
        lines = iter(axes.lines)
        (inset,) = axes.child_axes
        for run in runs:
            band = getattr(run, name).smoothed(3)
            for edge in (band.lower, band.upper):
                line = next(lines)
                assert np.array_equal(line.get_ydata(), edge)
                assert np.array_equal(line.get_xdata(), np.arange(0, 80, 10))
        assert axes.get_yscale() == inset.get_yscale() == "log"
        assert inset.get_xlim() == (20, 50)
        inside = [getattr(run, name).smoothed(3) for run in runs]
        low = min(band.lower[2:6].min() for band in inside)
        high = max(band.upper[2:6].max() for band in inside)
        assert inset.get_ylim() == pytest.approx((low, high))


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(zoom=(50, 20)), "zoom 50 to 20: the first"),
        (dict(zoom=(1000, 2000)), "zoom 1000 to 2000: no run has two probes"),
        (dict(zoom=(39, 41)), "no run has two probes"),
        (dict(smooth=2), "over 2 probes"),
    ],
)
def test_options_that_do_not_fit(runs, options, message):
    with pytest.raises(UserError, match=message):
        draw_bands(runs, **options)


def surface(name, betas=(0.0,), shift=0.0):
    alphas = np.linspace(-1, 1, 5)
    losses = 1 + shift + alphas[:, None] ** 2 + 3 * np.array(betas)[None] ** 2
    losses[4, 0] = np.nan
    return {"name": name, "alphas": alphas.tolist(), "betas": list(betas), "losses": losses}


def test_curves_are_drawn_together_with_gaps():
    curves = [surface("gap"), surface("gcp", shift=1.0)]
    (axes,) = draw_surfaces(curves).axes
    for line, curve in zip(axes.lines, curves, strict=True):
        assert np.array_equal(line.get_ydata(), curve["losses"][:, 0], equal_nan=True)
        assert line.get_label() == curve["name"]


def test_planes_are_drawn_with_alpha_to_the_right():
    betas = (-2.0, 0.0, 2.0)
    figure = draw_surfaces([surface("gap", betas), surface("gcp", betas, shift=1.0)])
    panels = [axes for axes in figure.axes if axes.get_xlabel()]
    assert [axes.get_title() for axes in panels] == ["gap", "gcp"]
    for axes in panels:
        assert axes.get_xlim() == (-1, 1) and axes.get_ylim() == (-2, 2)
        assert (axes.get_xlabel(), axes.get_ylabel()) == ("alpha", "beta")


NEARLY_FLAT = np.where(np.eye(5, 3) == 1, np.nextafter(2.0, 3.0), 2.0)


@pytest.mark.parametrize("losses", [np.full((5, 3), 2.0), np.full((5, 3), 0.0), NEARLY_FLAT])
def test_flat_plane_is_drawn(losses):
    flat = {**surface("flat", (-1.0, 0.0, 1.0)), "losses": losses}
    assert ">flat<" in svg_text(draw_surfaces([flat]))


def test_surfaces_that_cannot_be_drawn():
    with pytest.raises(UserError, match="curves and planes"):
        draw_surfaces([surface("a"), surface("b", (0.0, 1.0))])
    empty = {**surface("empty", (0.0, 1.0)), "losses": np.full((5, 2), np.nan)}
    with pytest.raises(UserError, match="'empty' has no finite value"):
        draw_surfaces([empty])


def test_spectra_are_drawn_with_their_eigenvalues():
    grid = np.linspace(-1, 9, 50).tolist()
    density = np.exp(-np.square(grid)).tolist()
    spectrum = {"name": "gcp", "grid": grid, "density": density, "eigenvalues": [8.0, 3.0]}
    (axes,) = draw_spectra([spectrum, {**spectrum, "name": "gap"}]).axes
    curve, ticks = axes.lines[:2]
    assert curve.get_ydata() == pytest.approx(np.maximum(density, 1e-10))
    assert list(ticks.get_xdata()) == [8.0, 3.0] and axes.get_yscale() == "log"
    assert len(axes.lines) == 4 and curve.get_color() != axes.lines[2].get_color()
