"""How wide the bands of several runs are, compared and as a table."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gcp_mm.errors import UserError
from gcp_mm.files import atomic_write
from gcp_mm.landscape.bands import RunBands
from gcp_mm.landscape.result_file import differences

CSV_COLUMNS = (
    *("run", "step", "epoch", "lr", "loss", "loss_min", "loss_max", "loss_width"),
    *("grad_norm", "grad_min", "grad_max", "grad_width", "beta_max"),
)


def mean_widths(run: RunBands, reference: RunBands) -> dict[str, Any]:
    """Compare the widths of two runs over the steps that both have.

    Args:
        run: A run.
        reference: What it is compared with; the run itself for its widths alone.

    Returns:
        ``probes`` (number of common steps where all values are finite), ``loss_width`` and
        ``grad_width`` of ``run`` (means over these), ``loss_ratio`` and ``grad_ratio`` (the same
        divided by that of ``reference``), and ``gaps`` (common steps left out).

    Raises:
        UserError: If they have no step in common.
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
        "loss_ratio": float(loss / loss_of_reference),
        "grad_ratio": float(gradient / gradient_of_reference),
    }


def incomparable(runs: Sequence[RunBands]) -> list[str]:
    """Name settings in which runs differ from the first one: their bands mean different things.

    Args:
        runs: The runs.

    Returns:
        A sentence for each run that differs.
    """
    return [
        f"{run.name!r} was probed differently from {runs[0].name!r}: {'; '.join(different)}"
        for run in runs[1:]
        if (different := differences(run.settings, runs[0].settings))
    ]


def write_csv(runs: Sequence[RunBands], path: str | Path) -> Path:
    """Write a line for each run and step, unsmoothed.

    Args:
        runs: The runs.
        path: The file; its columns are ``CSV_COLUMNS``.

    Returns:
        The path.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, CSV_COLUMNS, lineterminator="\n")
    writer.writeheader()
    for run in runs:
        columns = {"step": run.loss.steps, **run.scalars}
        for prefix, band in (("loss", run.loss), ("grad", run.gradient)):
            edges = (band.lower, band.upper, band.width)
            columns.update(
                {f"{prefix}_{k}": v for k, v in zip(("min", "max", "width"), edges, strict=True)}
            )
        for index in range(len(run.loss.steps)):
            writer.writerow({"run": run.name, **{k: v[index] for k, v in columns.items()}})
    return atomic_write(path, text.getvalue(), "table")
