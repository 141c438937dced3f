"""The figures of the loss landscape as pages, with what they show as tables and as numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gcp_mm.files import abbreviate
from gcp_mm.landscape.bands import RunBands
from gcp_mm.pages import Page, literal

_WIDTHS = {
    "run": "run",
    "probes": "probes",
    "gaps": "not finite",
    "loss_width": "width of the loss",
    "grad_width": "width of the gradient",
    "loss_ratio": "times the first, loss",
    "grad_ratio": "times the first, gradient",
}
_CURVATURE = {
    "loss": "loss",
    "trace": "trace",
    "trace_standard_error": "standard error",
    "smallest_eigenvalue": "smallest eigenvalue",
}


def page_of_runs(
    runs: Sequence[RunBands],
    widths: Sequence[Mapping[str, Any]],
    drawing: str,
    warnings: Sequence[str] = (),
) -> Page:
    """Show bands over trainings, and the widths that :func:`mean_widths` found of each run."""
    page = Page(
        "Loss landscape over a training",
        "At each probe the loss is computed at several steps along its gradient. The bands reach "
        "from the smallest to the largest of these losses, and of the changes of the gradient: "
        "narrow ones mean a smooth loss, whose gradient tells where it goes "
        "([arXiv 2003.11241](https://arxiv.org/abs/2003.11241), section 4).",
    )
    _warn(page, warnings)
    names = abbreviate(run.name for run in runs)
    page.figure(
        drawing,
        f"Two panels of bands over the training steps, of {names}. Mean widths are in the table.",
        "Loss along the gradient, and change of the gradient.",
        "bands",
    )
    page.table(
        list(_WIDTHS.values()),
        [[found[key] for key in _WIDTHS] for found in widths],
        f"Mean widths over the steps that a run shares with {literal(runs[0].name)}, the first.",
    )
    page.data(
        "bands",
        [
            {
                **{"run": run.name, "step": run.loss.steps},
                **{"loss_min": run.loss.lower, "loss_max": run.loss.upper},
                **{"grad_min": run.gradient.lower, "grad_max": run.gradient.upper},
                **{"probes": run.scalars},
            }
            for run in runs
        ],
    )
    return page


def page_of_surfaces(
    surfaces: Sequence[Mapping[str, Any]], drawing: str, warnings: Sequence[str] = ()
) -> Page:
    """Show losses on lines or planes through the weights."""
    page = Page(
        "Loss surface",
        "The loss around the weights of a network, which are at 0, along random directions that "
        "are scaled filter by filter ([arXiv 1712.09913](https://arxiv.org/abs/1712.09913)).",
    )
    _warn(page, warnings)
    names = abbreviate(surface["name"] for surface in surfaces)
    alt = f"The loss against the distance from the weights, of {names}. Ranges are in the table."
    page.figure(drawing, alt, "Loss around the weights.", "surface")
    rows = []
    for surface in surfaces:
        finite = surface["losses"][np.isfinite(surface["losses"])]
        ends = (float(finite.min()), float(finite.max())) if finite.size else (None, None)
        gaps = surface["losses"].size - finite.size - surface.get("missing", 0)
        rows.append([surface["name"], surface.get("loss"), *ends, finite.size, gaps])
    columns = ["network", "at the weights", "smallest", "largest", "points", "not finite"]
    page.table(columns, rows, "Losses on the grid.")
    kept = ("name", "alphas", "betas", "losses", "loss", "cosine")
    page.data("surfaces", [_part(surface, kept) for surface in surfaces])
    return page


def page_of_spectra(
    spectra: Sequence[Mapping[str, Any]], drawing: str, warnings: Sequence[str] = ()
) -> Page:
    """Show spectral densities of Hessians."""
    page = Page(
        "Curvature of the loss",
        "The spectral density of the Hessian says how many of its eigenvalues are where. The "
        "largest ones, marked at the bottom, are the sharpest directions out of the minimum.",
    )
    _warn(page, warnings)
    names = abbreviate(spectrum["name"] for spectrum in spectra)
    alt = f"Densities of the eigenvalues, of {names}. The largest ones are in the tables."
    page.figure(drawing, alt, "Spectral density of the Hessian.", "spectrum")
    page.table(
        ["network", *_CURVATURE.values()],
        [[spectrum["name"], *map(spectrum.get, _CURVATURE)] for spectrum in spectra],
        "Loss and curvature at the weights.",
    )
    most = max(len(spectrum["eigenvalues"]) for spectrum in spectra)
    page.table(
        ["rank", *(spectrum["name"] for spectrum in spectra)],
        [
            [rank + 1, *(dict(enumerate(found["eigenvalues"])).get(rank) for found in spectra)]
            for rank in range(most)
        ],
        "The largest eigenvalues.",
    )
    kept = ("name", *_CURVATURE, "eigenvalues", "grid", "density")
    page.data("spectra", [_part(spectrum, kept) for spectrum in spectra])
    return page


def _warn(page: Page, warnings: Sequence[str]) -> None:
    for sentence in warnings:
        page.text(f"**Warning**: {literal(sentence)}.")


def _part(found: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    return {key: found[key] for key in keys if key in found}
