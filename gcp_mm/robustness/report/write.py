"""Write the files of a report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gcp_mm.evaluation.corruptions import ALL_CORRUPTIONS
from gcp_mm.evaluation.perturbations import PERTURBATIONS
from gcp_mm.files import atomic_write
from gcp_mm.plots.robustness import plot_bars, plot_severities
from gcp_mm.robustness.report.comparable import check_comparable
from gcp_mm.robustness.report.csv_file import csv_text
from gcp_mm.robustness.report.models import Model, results_of
from gcp_mm.robustness.report.tables import markdown
from gcp_mm.robustness.report.values import (
    Table,
    corruption_errors,
    mean_errors,
    means,
    perturbation_values,
    severity_errors,
)
from gcp_mm.zoo.robustness import MEANS, PublishedRobustness


def write_report(
    models: Sequence[Model],
    folder: Path,
    published: Sequence[PublishedRobustness] = (),
    formats: Sequence[str] = ("png", "pdf"),
) -> list[Path]:
    """Write tables, numbers and figures of several networks.

    Args:
        models: The networks.
        folder: Where to; made if needed.
        published: Rows beside them.
        formats: Of the figures: 'png', 'pdf', 'svg'.

    Returns:
        The files: ``report.md``, ``report.csv``, and in each format those of ``means``,
        ``corruption_error``, ``severities``, ``flip_rate`` and ``top5_distance`` that there are
        numbers for. Where there is no CE or no flip rate, errors and flip probabilities are drawn.

    Raises:
        UserError: If results do not go together, a format is unknown or a file cannot be written.
    """
    notes = check_comparable(models)
    texts = {
        "report.md": markdown(models, published, notes),
        "report.csv": csv_text(models, published),
    }
    written = []
    for name, text in texts.items():
        written.append(atomic_write(folder / name, text, "report"))
    curves = {m.name: severity_errors(result) for m, result in results_of(models, "imagenet-c")}
    if any(curves.values()):
        paths = [folder / f"severities.{suffix}" for suffix in formats]
        written += plot_severities(curves, paths)
    for stem, label, names, table in _bars(models, published):
        if any(name in row for row in table.values() for name in names):
            paths = [folder / f"{stem}.{suffix}" for suffix in formats]
            written += plot_bars(table, names, label, paths)
    return written


def _bars(
    models: Sequence[Model], published: Sequence[PublishedRobustness]
) -> list[tuple[str, str, Sequence[str], Table]]:
    """List the figures with bars: file, label of the axis, groups and numbers."""
    errors, flips = corruption_errors(models), perturbation_values(models, "flip_rate")
    marked = {model.name: f"{model.name} *" for model in models if model.reasons()}
    averages: Table = {
        marked.get(name, name): {key: value for key, value in row.items() if value is not None}
        for name, row in means(models, published).items()
    }
    return [
        ("means", "% of the baseline (* not comparable)", MEANS, averages),
        ("corruption_error", "CE (%)", ALL_CORRUPTIONS, corruption_errors(models, published))
        if errors
        else ("corruption_error", "top-1 error (%)", ALL_CORRUPTIONS, mean_errors(models)),
        ("flip_rate", "flip rate (% of the baseline's)", PERTURBATIONS, flips)
        if flips
        else (
            "flip_rate",
            "flip probability (%)",
            PERTURBATIONS,
            perturbation_values(models, "flip_probability"),
        ),
        (
            "top5_distance",
            "top-5 distance",
            PERTURBATIONS,
            perturbation_values(models, "top5_distance"),
        ),
    ]
