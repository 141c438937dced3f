"""Write the files of a report, and the measures of one result in a few lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gcp_mm.files import atomic_write
from gcp_mm.plots.figure import save_figure, svg_text
from gcp_mm.robustness.names import ALL_CORRUPTIONS, PERTURBATIONS
from gcp_mm.robustness.report.models import MEANS, Model, PublishedRobustness, check_comparable
from gcp_mm.robustness.report.page import report_page
from gcp_mm.robustness.report.plot import draw_bars, draw_severities
from gcp_mm.robustness.report.tables import markdown
from gcp_mm.robustness.report.values import (
    Curves,
    Number,
    Table,
    csv_text,
    error_curves,
    long_table,
    mean_errors,
    means,
    of_clips,
    pivot,
    select,
)


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
        The files: ``report.html``, a page with all that the others have, ``report.md``,
        ``report.csv``, and in each format those of ``means``, ``corruption_error``, ``severities``,
        ``flip_rate`` and ``top5_distance`` that there are numbers for. Where there is no CE or no
        flip rate, errors and flip probabilities are drawn.

    Raises:
        UserError: If results do not go together, a format is unknown or a file cannot be written.
    """
    notes = check_comparable(models)
    numbers = long_table(models, published)
    texts = {"report.md": markdown(models, numbers, notes), "report.csv": csv_text(numbers)}
    written = [atomic_write(folder / name, text, "report") for name, text in texts.items()]
    curves = error_curves(numbers)
    figures = {"severities": draw_severities(curves)} if any(curves.values()) else {}
    for stem, label, names, table in _bars(models, numbers, curves):
        if select(table, names)[0]:
            figures[stem] = draw_bars(table, names, label)
    for stem, figure in figures.items():
        written += [save_figure(figure, folder / f"{stem}.{suffix}") for suffix in formats]
    drawings = {stem: svg_text(figure) for stem, figure in figures.items()}
    page = report_page(models, numbers, notes, drawings)
    return [page.write_html(folder / "report.html"), *written]


def _bars(
    models: Sequence[Model], numbers: Sequence[Number], curves: Curves
) -> list[tuple[str, str, Sequence[str], Table]]:
    """List the figures with bars: file, label of the axis, groups and numbers."""
    marked = {model.name: f"{model.name} *" for model in models if model.reasons()}
    averages: Table = {
        marked.get(name, name): {key: value for key, value in row.items() if value is not None}
        for name, row in means(numbers).items()
    }
    errors, errors_label = pivot(numbers, "CE"), "CE (%)"
    if not any(model.name in errors for model in models):
        errors, errors_label = mean_errors(curves), "top-1 error (%)"
    flips, flips_label = pivot(numbers, "flip_rate"), "flip rate (% of the baseline's)"
    if not flips:
        flips, flips_label = of_clips(numbers, "flip_probability", 100), "flip probability (%)"
    distances = of_clips(numbers, "top5_distance")
    return [
        ("means", "% of the baseline (* not comparable)", MEANS, averages),
        ("corruption_error", errors_label, ALL_CORRUPTIONS, errors),
        ("flip_rate", flips_label, PERTURBATIONS, flips),
        ("top5_distance", "top-5 distance", PERTURBATIONS, distances),
    ]


# What is said of a mean, or else why there is none.
_SAID = {
    "mean_error": "mean error of 15 corruptions {:.2%}",
    "clean_error": "clean error {:.2%}",
    "mCE": "mCE {:.2f}",
    "relative_mCE": "relative mCE {:.2f}",
    "mFR": "mFR {:.2f}",
    "mT5D": "mT5D {:.2f}",
}


def summary(content: Mapping[str, Any]) -> str:
    """Say what a result file holds, and what it does not allow to say."""
    metrics = content["metrics"]
    lines = [f"{content['name']}, {len(content['cells'])} cells measured"]
    for name, probability in metrics.get("flip_probability", {}).items():
        distance = metrics["top5_distance"][name]
        lines.append(f"{name}: flip probability {probability:.5f}, top-5 distance {distance:.4f}")
    for mean, said in _SAID.items():
        if (value := metrics.get(mean)) is not None:
            lines.append(said.format(value))
        elif reason := metrics.get(f"{mean}_reason"):
            lines.append(f"no {mean}: {reason}")
    if reasons := metrics["not_comparable"]:
        lines.append(f"not comparable with published numbers: {', '.join(reasons)}")
    if content["settings"]["transform"][1].startswith("resize"):
        lines.append(f"images: {content['settings']['transform'][1]}")
    return "\n".join(lines)
