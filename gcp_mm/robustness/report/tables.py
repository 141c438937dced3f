"""The tables of a report, and the report in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from tabulate import tabulate

from gcp_mm.pages import name_in_markdown
from gcp_mm.pages.inline import begin_block
from gcp_mm.robustness.names import (
    ALL_CORRUPTIONS,
    BENCHMARK_CORRUPTIONS,
    EXTRA_CORRUPTIONS,
    PERTURBATIONS,
    SEVERITIES,
)
from gcp_mm.robustness.report.models import Model
from gcp_mm.robustness.report.values import (
    Number,
    Table,
    error_curves,
    mean_errors,
    means,
    of_clips,
    pivot,
    select,
    single_cells,
)

_CELLS = tuple(f"{name}/{severity}" for name in ALL_CORRUPTIONS for severity in SEVERITIES)

LEGEND = (
    "All in %, lower is better. **mean error**: plain mean of the top-1 errors of the 15 "
    "corruptions. mCE, relative mCE, mFP (called mFR elsewhere) and mT5D are relative to the "
    "baseline, which is AlexNet unless a note says otherwise."
)


class Section(NamedTuple):
    """A table with a line for each corruption or perturbation and a column for each model.

    Attributes:
        title: What is in it.
        dataset: 'imagenet-c' or 'imagenet-p'.
        columns: The models.
        rows: Names, each with a number or None for each model.
        digits: So many are shown behind the point.
    """

    title: str
    dataset: str
    columns: list[str]
    rows: list[tuple[str | float | None, ...]]
    digits: int


def sections(numbers: Sequence[Number]) -> Iterator[Section]:
    """Yield the tables of a report that there are numbers for, behind that of the means."""
    curves = error_curves(numbers)
    relative, errors = pivot(numbers, "CE"), mean_errors(curves)
    flips = of_clips(numbers, "flip_probability", 100)
    distances = of_clips(numbers, "top5_distance")
    apart, five = "corruptions outside of the mCE", "mean of five severities"
    for title, dataset, names, table, digits in (
        ("CE in %", "imagenet-c", BENCHMARK_CORRUPTIONS, relative, 1),
        (f"Top-1 error in %, {five}", "imagenet-c", BENCHMARK_CORRUPTIONS, errors, 2),
        (f"CE in %, {apart}", "imagenet-c", EXTRA_CORRUPTIONS, relative, 1),
        (f"Top-1 error in %, {apart}", "imagenet-c", EXTRA_CORRUPTIONS, errors, 2),
        ("Top-1 error in %, single cells", "imagenet-c", _CELLS, single_cells(curves), 2),
        ("Flip rate in %", "imagenet-p", PERTURBATIONS, pivot(numbers, "flip_rate"), 1),
        ("Flip probability in %", "imagenet-p", PERTURBATIONS, flips, 2),
        ("Top-5 distance (T5D)", "imagenet-p", PERTURBATIONS, distances, 3),
    ):
        shown, columns = select(table, names)
        if columns:
            rows = _rows(names, shown, columns)
            yield Section(title, dataset, list(columns), rows, digits)


def _rows(
    names: Sequence[str], shown: Sequence[str], columns: Table
) -> list[tuple[str | float | None, ...]]:
    """Arrange the numbers by name, and their means below if there are all names."""
    rows: list[tuple[str | float | None, ...]] = [
        (name, *(row.get(name) for row in columns.values())) for name in shown
    ]
    if shown == list(names):
        averages = (
            sum(row[name] for name in names) / len(names) if row.keys() >= set(names) else None
            for row in columns.values()
        )
        rows.append(("mean", *averages))
    return rows


def markdown(models: Sequence[Model], numbers: Sequence[Number], notes: Iterable[str] = ()) -> str:
    """Render the report of a long table, and what is to be said of its models."""
    parts = ["# Robustness", overview(models, numbers, notes), LEGEND.replace("**", "*")]
    for section in sections(numbers):
        table = _table(["", *section.columns], section.rows, section.digits)
        parts += [f"## {section.title}", table]
    return "\n\n".join(parts) + "\n"


def overview(models: Sequence[Model], numbers: Sequence[Number], notes: Iterable[str] = ()) -> str:
    """Render the means in the layout of the paper, and what they do not allow to say."""
    rows = means(numbers)
    table = _table(["model", *next(iter(rows.values()))], rows_of_means(models, numbers), 1)
    remarks = (*notes_on(models), *notes)
    items = "\n".join(f"- {begin_block(name_in_markdown(note))}" for note in remarks)
    return f"{table}\n\n{items}" if items else table


def rows_of_means(
    models: Sequence[Model], numbers: Sequence[Number]
) -> list[tuple[str | float | None, ...]]:
    """Arrange the means in the layout of the paper; what is not comparable has a star."""
    marked = {model.name for model in models if model.reasons()}
    return [
        (f"{name} *" if name in marked else name, *row.values())
        for name, row in means(numbers).items()
    ]


def notes_on(models: Sequence[Model]) -> list[str]:
    """Say what the numbers of the models do not allow to say."""
    notes = []
    for model in models:
        if reasons := model.reasons():
            notes.append(
                f"* {model.name}: not comparable with published numbers ({', '.join(reasons)})"
            )
        for dataset, mean in (("imagenet-c", "mCE"), ("imagenet-p", "mFR"), ("imagenet-p", "mT5D")):
            if reason := model.metrics(dataset).get(f"{mean}_reason"):
                label = "mFP" if mean == "mFR" else mean
                notes.append(f"{model.name}, no {label}: {reason}")
        for dataset, result in model.results.items():
            if (step := result["settings"]["transform"][1]).startswith("resize"):
                notes.append(f"{model.name}, {dataset}: images were not used as they are: {step}")
    return notes


def _table(
    headers: Sequence[str], rows: Iterable[Sequence[str | float | None]], digits: int
) -> str:
    def text(value: str | float | None) -> str:
        if isinstance(value, str):
            return name_in_markdown(value)
        return "-" if value is None else f"{value:.{digits}f}"

    body = [[text(value) for value in row] for row in rows]
    # Without disable_numparse, 70.0 would lose its zero.
    return tabulate(
        body, headers=[text(name) for name in headers], tablefmt="pipe", disable_numparse=True
    )
