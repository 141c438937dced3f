"""The report in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tabulate import tabulate

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

_LEGEND = (
    "All in %, lower is better. *mean error*: plain mean of the top-1 errors of the 15 "
    "corruptions. mCE, relative mCE, mFP (called mFR elsewhere) and mT5D are relative to the "
    "baseline, which is AlexNet unless a note says otherwise."
)


def markdown(models: Sequence[Model], numbers: Sequence[Number], notes: Iterable[str] = ()) -> str:
    """Render the report of a long table, and what is to be said of its models."""
    sections = ["# Robustness", overview(models, numbers, notes), _LEGEND]
    curves = error_curves(numbers)
    relative, errors = pivot(numbers, "CE"), mean_errors(curves)
    flips = of_clips(numbers, "flip_probability", 100)
    distances = of_clips(numbers, "top5_distance")
    apart = "corruptions outside of the mCE"
    for title, names, table, digits in (
        ("CE in %", BENCHMARK_CORRUPTIONS, relative, 1),
        ("Top-1 error in %, mean of five severities", BENCHMARK_CORRUPTIONS, errors, 2),
        (f"CE in %, {apart}", EXTRA_CORRUPTIONS, relative, 1),
        (f"Top-1 error in %, {apart}", EXTRA_CORRUPTIONS, errors, 2),
        ("Top-1 error in %, single cells", _CELLS, single_cells(curves), 2),
        ("Flip rate in %", PERTURBATIONS, pivot(numbers, "flip_rate"), 1),
        ("Flip probability in %", PERTURBATIONS, flips, 2),
        ("Top-5 distance (T5D)", PERTURBATIONS, distances, 3),
    ):
        sections.extend(_by_name(title, names, table, digits))
    return "\n\n".join(sections) + "\n"


def overview(models: Sequence[Model], numbers: Sequence[Number], notes: Iterable[str] = ()) -> str:
    """Render the means in the layout of the paper, and what they do not allow to say."""
    marked = {model.name for model in models if model.reasons()}
    rows = means(numbers)
    body = [
        [f"{name} \\*" if name in marked else name]
        + ["-" if value is None else f"{value:.1f}" for value in row.values()]
        for name, row in rows.items()
    ]
    table = _table(["model", *next(iter(rows.values()))], body)
    items = "\n".join(f"- {note}" for note in (*_notes(models), *notes))
    return f"{table}\n\n{items}" if items else table


def _notes(models: Sequence[Model]) -> list[str]:
    notes = []
    for model in models:
        if reasons := model.reasons():
            notes.append(
                f"\\* {model.name}: not comparable with published numbers ({', '.join(reasons)})"
            )
        for dataset, mean in (("imagenet-c", "mCE"), ("imagenet-p", "mFR"), ("imagenet-p", "mT5D")):
            if reason := model.metrics(dataset).get(f"{mean}_reason"):
                label = "mFP" if mean == "mFR" else mean
                notes.append(f"{model.name}, no {label}: {reason}")
        for dataset, result in model.results.items():
            if (step := result["settings"]["transform"][1]).startswith("resize"):
                notes.append(f"{model.name}, {dataset}: images were not used as they are: {step}")
    return notes


def _by_name(title: str, names: Sequence[str], table: Table, digits: int) -> list[str]:
    """Render a line for each corruption and a column for each model."""
    shown, columns = select(table, names)
    if not columns:
        return []

    def line(label: str, values: Iterable[float | None]) -> list[str]:
        return [label, *("-" if value is None else f"{value:.{digits}f}" for value in values)]

    body = [line(name, (row.get(name) for row in columns.values())) for name in shown]
    if shown == list(names):
        averages = (
            sum(row[name] for name in names) / len(names) if row.keys() >= set(names) else None
            for row in columns.values()
        )
        body.append(line("mean", averages))
    return [f"## {title}", _table(["", *columns], body)]


def _table(headers: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    # Without disable_numparse, 70.0 would lose its zero.
    return tabulate(body, headers=headers, tablefmt="pipe", disable_numparse=True)
