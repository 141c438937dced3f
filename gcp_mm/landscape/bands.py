"""Bands of loss and of gradient change over a training, and how wide they are.

A probe evaluates the loss at K steps along the gradient. The band of the loss reaches from the
smallest to the largest of these K values (Lipschitzness of the loss), the band of the gradient
change from the smallest to the largest ``||grad L(y + eta g) - g||`` (gradient predictiveness).
Paper: arXiv 2003.11241, section 4; the figure is that of "How Does Batch Normalization Help
Optimization?", arXiv 1805.11604. The widths of several runs are compared, and written as a table.
"""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gcp_mm.errors import UserError
from gcp_mm.files import atomic_write
from gcp_mm.landscape.records import different_settings, was_counted


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
        """Average both edges over neighbouring probes."""
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

    Records of several batches at the same step have a ``batch`` each, and the edges of their bands
    and their scalars are averaged. Of two for the same step and batch the later one counts.
    """
    unique: dict[tuple[int, int], Mapping[str, Any]] = {}
    for probe in probes:
        earlier = unique.setdefault((probe["step"], probe.get("batch", 0)), probe)
        if earlier.get("sha256") != probe.get("sha256"):
            names = " and ".join(repr(record.get("checkpoint")) for record in (earlier, probe))
            raise UserError(
                f"run {name!r} has the checkpoints {names} at step {probe['step']}: probe "
                "those of one training, in their order, into a file of their own (--out)"
            )
        unique[probe["step"], probe.get("batch", 0)] = probe
    if not unique:
        raise UserError(f"run {name!r} has no probe yet")
    _require_one_axis(name, probes)
    steps = np.unique([step for step, _ in unique])
    ordered = sorted(unique.items(), key=lambda item: item[0])
    by_step = itertools.groupby(ordered, key=lambda item: item[0][0])
    grouped = [[probe for _, probe in group] for _, group in by_step]
    scalars = {
        key: np.array([np.mean(np.array([p.get(key) for p in g], dtype=float)) for g in grouped])
        for key in ("epoch", "lr", "loss", "grad_norm")
    }
    scalars["beta_max"] = np.array([np.mean([_range(p, "beta")[1] for p in g]) for g in grouped])
    loss, gradient = (_band(steps, grouped, key) for key in ("losses", "grad_diffs"))
    return RunBands(name, settings, loss, gradient, scalars)


def _range(probe: Mapping[str, Any], key: str) -> tuple[float, float]:
    """Return the smallest and largest value of a probe, NaN unless all are finite."""
    values = np.array(probe.get(key, [np.nan]), dtype=float)
    return (values.min(), values.max()) if np.isfinite(values).all() else (np.nan, np.nan)


def _band(steps: np.ndarray, grouped: Sequence[Sequence[Mapping[str, Any]]], key: str) -> Band:
    edges = [np.mean([_range(probe, key) for probe in group], axis=0) for group in grouped]
    return Band(steps, *np.transpose(edges))


CSV_COLUMNS = (
    *("run", "step", "epoch", "lr", "loss", "loss_min", "loss_max", "loss_width"),
    *("grad_norm", "grad_min", "grad_max", "grad_width", "beta_max"),
)


def _require_one_axis(name: str, probes: Sequence[Mapping[str, Any]]) -> None:
    """Refuse checkpoints that were counted among iterations of others; the first may be."""
    files = [probe for probe in probes if "checkpoint" in probe]
    counted = list(filter(was_counted, files))
    others = [probe["step"] for probe in files if not was_counted(probe)]
    if counted and others and max(probe["step"] for probe in counted) >= min(others):
        raise UserError(
            f"run {name!r}: {counted[-1]['checkpoint']!r} does not say its iteration and was "
            "counted, others say theirs: probe them into files of their own (--out)"
        )


def _ratio(width: float, of: float) -> float | None:
    """Return how many times as wide a band is; a band of one step has no width."""
    return float(width / of) if of > 0 else None


def mean_widths(run: RunBands, reference: RunBands) -> dict[str, Any]:
    """Compare the widths of two runs over the steps that both have.

    ``probes`` counts those at which all values are finite, ``gaps`` the others; widths are means,
    and their ratios None where the reference has no width.
    """
    _, own, other = np.intersect1d(run.loss.steps, reference.loss.steps, return_indices=True)
    bands = ((run.loss, reference.loss), (run.gradient, reference.gradient))
    widths = np.array([(mine.width[own], theirs.width[other]) for mine, theirs in bands])
    finite = np.isfinite(widths).all(axis=(0, 1))
    if not finite.any():
        raise UserError(
            f"runs {run.name!r} and {reference.name!r} have no probe at the same step whose "
            "values are finite, so their widths cannot be compared"
        )
    (loss, loss_of_reference), (gradient, gradient_of_reference) = widths[..., finite].mean(axis=2)
    return {
        "run": run.name,
        "probes": int(finite.sum()),
        "gaps": int((~finite).sum()),
        "loss_width": float(loss),
        "grad_width": float(gradient),
        "loss_ratio": _ratio(loss, loss_of_reference),
        "grad_ratio": _ratio(gradient, gradient_of_reference),
    }


def incomparable(
    settings: Mapping[str, Mapping[str, Any]], only: Iterable[str] | None = None
) -> list[str]:
    """Name settings in which measurements differ from the first: they mean different things."""
    (first, of_first), *others = settings.items()
    return [
        f"{name!r} was probed differently from {first!r}: {'; '.join(different)}. Their numbers "
        "mean different things"
        for name, found in others
        if (different := different_settings(found, of_first, only))
    ]


def write_csv(runs: Sequence[RunBands], path: str | Path) -> Path:
    """Write a line for each run and step, unsmoothed."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for run in runs:
        columns = {"step": run.loss.steps, **run.scalars}
        for name, band in (("loss", run.loss), ("grad", run.gradient)):
            columns |= {f"{name}_min": band.lower, f"{name}_max": band.upper}
            columns[f"{name}_width"] = band.width
        values = (columns[name] for name in CSV_COLUMNS[1:])
        writer.writerows((run.name, *row) for row in zip(*values, strict=True))
    return atomic_write(path, text.getvalue(), "table")
