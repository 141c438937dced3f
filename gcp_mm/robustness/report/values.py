"""All numbers of a report as one long table, and what tables and figures take from it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from gcp_mm.plain_data import NUMBER
from gcp_mm.robustness.names import ALL_CORRUPTIONS, SEVERITIES
from gcp_mm.robustness.report.models import Model, PublishedRobustness

# Numbers by model and name.
Table = dict[str, dict[str, float]]
# Errors in percent by model, corruption and severity.
Curves = dict[str, dict[str, dict[int, float]]]


class Number(NamedTuple):
    """A line of the long table: a number as in the result files, or a text of the settings.

    Errors are fractions, what is relative to the baseline is in percent. The cell is
    ``<corruption>/<severity>``, a corruption, a perturbation, or empty for means and for
    ``settings.*``, ``versions.*`` and ``environment.*``; perturbations have a difficulty.
    """

    model: str
    dataset: str
    cell: str
    difficulty: Any
    measure: str
    value: Any


_SUMMARIES = {"imagenet-c": ("CE", "relative_CE"), "imagenet-p": ("flip_rate", "top5_ratio")}
_COUNTS = ("correct", "total", "clips", "frames", "seconds")
# The columns of the paper's table, by their names in result files.
_MEANS = {
    "clean_error": "clean error",
    "mean_error": "mean error",
    "mCE": "mCE",
    "relative_mCE": "relative mCE",
    "mFR": "mFP",
    "mT5D": "mT5D",
}


def long_table(
    models: Sequence[Model], published: Sequence[PublishedRobustness] = ()
) -> list[Number]:
    """List every number of the models and of published rows beside them."""
    numbers = [
        Number(model.name, dataset, *line)
        for model in models
        for dataset, content in model.results.items()
        for line in _lines(content)
    ]
    for row in published:
        name = f"{row.name} (published)"
        for mean, value in row.means.items():
            dataset = "imagenet-c" if "mCE" in mean else "imagenet-p"
            numbers.append(Number(name, dataset, "", "", mean, value))
        for corruption, value in row.corruption_errors.items():
            numbers.append(Number(name, "imagenet-c", corruption, "", "CE", value))
    return numbers


def _lines(content: Mapping[str, Any]) -> Iterator[tuple[str, Any, str, Any]]:
    """Yield cell, difficulty, measure and value of each number of a result file."""
    for cell, counts in content["cells"].items():
        yield from ((cell, "", key, counts[key]) for key in _COUNTS if key in counts)
        if "total" in counts:
            yield cell, "", "error", 1 - counts["correct"] / counts["total"]
        for difficulty, found in counts.get("difficulty", {}).items():
            changes, pairs = found["flips"]
            yield cell, difficulty, "flips", changes
            yield cell, difficulty, "pairs", pairs
            yield cell, difficulty, "flip_probability", found["flip_probability"]
            yield cell, difficulty, "top5_distance", found["top5_distance"]
    metrics = content["metrics"]
    for measure in _SUMMARIES[content["dataset"]]:
        for name, value in (metrics.get(measure) or {}).items():
            yield name, metrics.get("difficulty", ""), measure, value
    for measure, value in metrics.items():
        # The difficulty is the column beside it.
        if measure != "difficulty" and NUMBER.fits(value):
            yield "", metrics.get("difficulty", ""), measure, value
    for group in ("settings", "versions", "environment"):
        for key, value in content.get(group, {}).items():
            yield "", "", f"{group}.{key}", value if isinstance(value, str) else json.dumps(value)


def csv_text(numbers: Iterable[Number]) -> str:
    """Write the long table."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([Number._fields, *numbers])
    return text.getvalue()


def pivot(numbers: Iterable[Number], measure: str, factor: float = 1) -> Table:
    """Arrange a measure by model and cell."""
    table: Table = {}
    for number in numbers:
        if number.measure == measure:
            table.setdefault(number.model, {})[number.cell] = factor * number.value
    return table


def select(table: Table, names: Sequence[str]) -> tuple[list[str], Table]:
    """Choose the names that a model has a number of, and the models that have one."""
    shown = [name for name in names if any(name in row for row in table.values())]
    return shown, {model: row for model, row in table.items() if row.keys() & set(shown)}


def error_curves(numbers: Iterable[Number]) -> Curves:
    """Take the errors over the severities, corruptions in the paper's order."""
    found = {}
    for model, row in pivot(numbers, "error", 100).items():
        errors = {
            name: {s: row[cell] for s in SEVERITIES if (cell := f"{name}/{s}") in row}
            for name in ALL_CORRUPTIONS
        }
        found[model] = {name: by_severity for name, by_severity in errors.items() if by_severity}
    return found


def mean_errors(curves: Curves) -> Table:
    """Compute the mean error over the severities of each corruption that has all of them."""
    return {
        model: {
            name: sum(row.values()) / len(SEVERITIES)
            for name, row in rows.items()
            if len(row) == len(SEVERITIES)
        }
        for model, rows in curves.items()
    }


def single_cells(curves: Curves) -> Table:
    """Take the errors of corruptions that one of the models has not at all severities."""
    partial = {
        name for rows in curves.values() for name, row in rows.items() if len(row) < len(SEVERITIES)
    }
    return {
        model: {
            f"{name}/{severity}": error
            for name in rows.keys() & partial
            for severity, error in rows[name].items()
        }
        for model, rows in curves.items()
    }


def of_clips(numbers: Sequence[Number], measure: str, factor: float = 1) -> Table:
    """Take a measure of the clips by perturbation, at the difficulty that was asked for."""
    # Results on ImageNet-C state a difficulty too, which says nothing of clips.
    asked = {
        n.model: n.value
        for n in numbers
        if (n.dataset, n.measure) == ("imagenet-p", "settings.difficulty")
    }
    table: Table = {}
    for number in numbers:
        difficulty = asked.get(number.model, "1")
        if number.measure == measure and number.difficulty == difficulty:
            # Stronger noises have folders of their own.
            name = number.cell.removesuffix(f"_{difficulty}")
            table.setdefault(number.model, {})[name] = factor * number.value
    return table


def means(numbers: Sequence[Number]) -> dict[str, dict[str, float | None]]:
    """Take the means of the paper's table in percent, of every model."""
    table: dict[str, dict[str, float | None]] = {
        number.model: dict.fromkeys(_MEANS.values()) for number in numbers
    }
    for number in numbers:
        title = _MEANS.get(number.measure, number.measure)
        if not number.cell and title in _MEANS.values():
            factor = 100 if title.endswith("error") else 1
            table[number.model][title] = factor * number.value
    return table
