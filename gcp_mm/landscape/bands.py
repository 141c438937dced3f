"""Bands of loss and of gradient change over a training, and how wide they are.

A probe evaluates the loss at K steps along the gradient. The band of the loss reaches from the
smallest to the largest of these K values (Lipschitzness of the loss), the band of the gradient
change from the smallest to the largest ``||grad L(y + eta g) - g||`` (gradient predictiveness).
Paper: arXiv 2003.11241, section 4; the figure is that of "How Does Batch Normalization Help
Optimization?", arXiv 1805.11604.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gcp_mm.errors import UserError


@dataclass(frozen=True)
class Band:
    """Smallest and largest value at each probe.

    Attributes:
        steps: Training iterations from 0, ascending, shape (P,).
        lower: Shape (P,); NaN where a value of the probe is not finite.
        upper: Shape (P,).
    """

    steps: np.ndarray
    lower: np.ndarray
    upper: np.ndarray

    @property
    def width(self) -> np.ndarray:
        """``upper - lower``."""
        return self.upper - self.lower

    def smoothed(self, window: int) -> Band:
        """Average both edges over neighbouring probes.

        Args:
            window: Number of probes, odd; at the ends those that exist. Gaps stay gaps and do not
                enter the mean of their neighbours.

        Returns:
            The smoothed band.

        Raises:
            UserError: If ``window`` is even or smaller than 1.
        """
        if window < 1 or window % 2 == 0:
            raise UserError(f"smoothing over {window} probes: choose an odd number, 1 for none")
        return Band(self.steps, _mean_over(self.lower, window), _mean_over(self.upper, window))


def _mean_over(values: np.ndarray, window: int) -> np.ndarray:
    known = np.isfinite(values)
    sums = np.convolve(np.where(known, values, 0), np.ones(window))
    counts = np.convolve(known.astype(float), np.ones(window))
    centred = slice(window // 2, window // 2 + len(values))
    return np.where(known, sums[centred] / np.maximum(counts[centred], 1), np.nan)


@dataclass(frozen=True)
class RunBands:
    """The bands of a run; P is the number of steps that were probed.

    Attributes:
        name: Name of the run.
        settings: Settings of its probes.
        loss: Band of the loss.
        gradient: Band of the gradient change.
        scalars: Numbers by name, shape (P,): ``epoch``, ``lr``, ``loss``, ``grad_norm`` and
            ``beta_max``, the effective smoothness; NaN where the records have none.
    """

    name: str
    settings: Mapping[str, Any]
    loss: Band
    gradient: Band
    scalars: Mapping[str, np.ndarray]


def run_bands(
    name: str, settings: Mapping[str, Any], probes: Sequence[Mapping[str, Any]]
) -> RunBands:
    """Take the bands out of the records of a run.

    Args:
        name: Name of the run.
        settings: Settings of its probes.
        probes: Records with ``step``, ``losses`` (K,) and ``grad_diffs`` (K,). Those of several
            batches at the same step have a ``batch`` each, and the edges of their bands and their
            scalars are averaged. Of two for the same step and batch the later one counts.

    Returns:
        The bands.

    Raises:
        UserError: If there is no record.
    """
    unique = {(probe["step"], probe.get("batch", 0)): probe for probe in probes}
    if not unique:
        raise UserError(f"run {name!r} has no probe yet")
    steps = np.unique([step for step, _ in unique])
    grouped = [[p for key, p in sorted(unique.items()) if key[0] == step] for step in steps]
    scalars = {
        key: np.array([np.mean([_number(p.get(key)) for p in group]) for group in grouped])
        for key in ("epoch", "lr", "loss", "grad_norm")
    }
    scalars["beta_max"] = np.array([np.mean([_range(p, "beta")[1] for p in g]) for g in grouped])
    loss, gradient = (_band(steps, grouped, key) for key in ("losses", "grad_diffs"))
    return RunBands(name, settings, loss, gradient, scalars)


def _number(value: float | None) -> float:
    return np.nan if value is None else float(value)


def _range(probe: Mapping[str, Any], key: str) -> tuple[float, float]:
    """Return the smallest and largest value of a probe, NaN unless all are finite."""
    values = np.array(probe.get(key, [np.nan]), dtype=float)
    return (values.min(), values.max()) if np.isfinite(values).all() else (np.nan, np.nan)


def _band(steps: np.ndarray, grouped: Sequence[Sequence[Mapping[str, Any]]], key: str) -> Band:
    edges = [np.mean([_range(probe, key) for probe in group], axis=0) for group in grouped]
    return Band(steps, *np.transpose(edges))
