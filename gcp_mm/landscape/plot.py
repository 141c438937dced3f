"""Figures of the loss landscape: bands over a training, surfaces, spectral densities."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np

from gcp_mm.errors import UserError
from gcp_mm.plots.figure import as_text, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.contour import QuadContourSet
    from matplotlib.figure import Figure

    from gcp_mm.landscape.bands import Band, RunBands

# In the order of the runs: with GAP before GCP, red and blue as in the paper's figure.
_COLOURS = ("tab:red", "tab:blue", "tab:orange", "tab:green", "tab:purple", "tab:brown")


def draw_bands(
    runs: Sequence[RunBands],
    smooth: int = 1,
    log: bool = False,
    zoom: tuple[float, float] | None = None,
) -> Figure:
    """Draw the bands of loss and of gradient change against training steps."""
    figure = new_figure(width=10, height=3.6)
    panels = figure.subplots(1, 2)
    names = ("loss", "gradient")
    titles = ("Loss Landscape", "Gradient Predictiveness")
    labels = ("loss along the gradient", "change of the gradient (L2)")
    for axes, name, title, label in zip(panels, names, titles, labels, strict=True):
        bands = [(run.name, getattr(run, name).smoothed(smooth)) for run in runs]
        _draw_bands(axes, bands)
        axes.set(title=title, xlabel="training steps", ylabel=label)
        if log:
            axes.set_yscale("log")
        axes.grid(alpha=0.3)
        if zoom is not None:
            _draw_inset(axes, bands, zoom, log)
    panels[0].legend(loc="upper right" if zoom is None else "upper left", fontsize=8)
    return figure


def _draw_bands(axes: Axes, bands: Sequence[tuple[str, Band]]) -> None:
    for (name, band), colour in zip(bands, cycle(_COLOURS), strict=False):
        axes.fill_between(
            band.steps,
            band.lower,
            band.upper,
            color=colour,
            alpha=0.4,
            linewidth=0,
            label=as_text(name),
        )
        # A band of one probe, or between two gaps, has no area.
        for edge in (band.lower, band.upper):
            axes.plot(band.steps, edge, color=colour, linewidth=0.6)


def _draw_inset(
    axes: Axes, bands: Sequence[tuple[str, Band]], zoom: tuple[float, float], log: bool
) -> None:
    first, last = zoom
    if not first < last:
        raise UserError(f"zoom {first} to {last}: the first step has to be the smaller one")
    inside: list[np.ndarray] = []
    for _, band in bands:
        chosen = (band.steps >= first) & (band.steps <= last)
        if chosen.sum() > 1:
            inside += [band.lower[chosen], band.upper[chosen]]
    values = np.concatenate(inside or [np.array([np.nan])])
    if log:
        values = values[values > 0]
    if not np.isfinite(values).any():
        raise UserError(f"zoom {first} to {last}: no run has two probes between these steps")
    inset = axes.inset_axes((0.5, 0.5, 0.47, 0.46))
    _draw_bands(inset, bands)
    inset.set(xlim=(first, last), yscale="log" if log else "linear")
    inset.set_ylim(np.nanmin(values), np.nanmax(values))
    inset.tick_params(labelsize=6)
    axes.indicate_inset_zoom(inset, edgecolor="black")


def draw_surfaces(surfaces: Sequence[dict[str, Any]]) -> Figure:
    """Draw loss surfaces: curves in one panel, planes as contours in a panel each."""
    planes = {len(surface["betas"]) > 1 for surface in surfaces}
    if len(planes) > 1:
        raise UserError("curves and planes do not go into one figure; draw them separately")
    if planes == {False}:
        figure = new_figure(width=5, height=3.6)
        axes = figure.subplots()
        for surface, colour in zip(surfaces, cycle(_COLOURS), strict=False):
            losses = surface["losses"][:, 0]
            axes.plot(surface["alphas"], losses, color=colour, label=as_text(surface["name"]))
        axes.set(xlabel="alpha", ylabel="loss")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    else:
        figure = new_figure(width=4.6 * len(surfaces), height=3.8)
        panels = figure.subplots(1, len(surfaces), squeeze=False)[0]
        for axes, surface in zip(panels, surfaces, strict=True):
            figure.colorbar(_draw_contours(axes, surface), ax=axes, format="%.3g")
    return figure


def _draw_contours(axes: Axes, surface: dict[str, Any]) -> QuadContourSet:
    losses = np.ma.masked_invalid(surface["losses"])
    if losses.count() == 0:
        raise UserError(f"surface {surface['name']!r} has no finite value to draw")
    low, high = float(losses.min()), float(losses.max())
    # A loss grows over orders of magnitude away from the minimum; a flat one has one level.
    spaced = np.geomspace(low, high, 24) if low > 0 else np.linspace(low, high, 24)
    # Of a nearly flat one, some of them are one number.
    spaced = np.unique(spaced)
    levels = spaced if len(spaced) > 1 else [low - 0.5, low + 0.5]
    # Rows are alphas, and contourf takes rows for the vertical axis.
    filled = axes.contourf(surface["alphas"], surface["betas"], losses.T, levels=levels)
    axes.set(title=as_text(surface["name"]), xlabel="alpha", ylabel="beta", aspect="equal")
    return filled


def draw_spectra(spectra: Sequence[dict[str, Any]]) -> Figure:
    """Draw spectral densities of Hessians, with their largest eigenvalues as ticks."""
    figure = new_figure(width=5, height=3.6)
    axes = figure.subplots()
    floor = 1e-10
    for spectrum, colour in zip(spectra, cycle(_COLOURS), strict=False):
        density = np.maximum(spectrum["density"], floor)
        axes.plot(spectrum["grid"], density, color=colour, label=as_text(spectrum["name"]))
        axes.plot(
            spectrum["eigenvalues"],
            [floor] * len(spectrum["eigenvalues"]),
            "|",
            color=colour,
            markersize=10,
        )
    axes.set(xlabel="eigenvalue of the Hessian", ylabel="density", yscale="log")
    axes.set_ylim(bottom=floor)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    return figure
