"""The numbers of result files, arranged for tables and figures, and all of them as CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gcp_mm.robustness.names import ALL_CORRUPTIONS, SEVERITIES
from gcp_mm.robustness.report.models import Model, results_of
from gcp_mm.robustness.report.published import PublishedRobustness

Table = dict[str, dict[str, float]]


def severity_errors(content: Mapping[str, Any]) -> dict[str, dict[int, float]]:
    """Compute the error in every finished cell of ImageNet-C."""
    errors = {
        name: {
            severity: 100 * (1 - cell["correct"] / cell["total"])
            for severity in SEVERITIES
            if (cell := content["cells"].get(f"{name}/{severity}"))
        }
        for name in ALL_CORRUPTIONS
    }
    return {name: row for name, row in errors.items() if row}


def mean_errors(models: Sequence[Model]) -> Table:
    """Compute the mean error over the severities of each corruption."""
    return {
        model.name: {
            name: sum(row.values()) / len(SEVERITIES)
            for name, row in severity_errors(content).items()
            if len(row) == len(SEVERITIES)
        }
        for model, content in results_of(models, "imagenet-c")
    }


def single_cells(models: Sequence[Model]) -> Table:
    """Take the errors of corruptions that were not measured at all severities."""
    curves = {
        model.name: severity_errors(content) for model, content in results_of(models, "imagenet-c")
    }
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


def corruption_errors(
    models: Sequence[Model], published: Sequence[PublishedRobustness] = ()
) -> Table:
    """Take the corruption errors CE."""
    rows = {
        model.name: dict(content["metrics"]["CE"])
        for model, content in results_of(models, "imagenet-c")
        if content["metrics"].get("CE")
    }
    others = {
        f"{row.name} (published)": dict(row.corruption_errors)
        for row in published
        if row.corruption_errors
    }
    return {**rows, **others}


def perturbation_values(models: Sequence[Model], measure: str) -> Table:
    """Take a measure of ImageNet-P."""
    factor = 100 if measure == "flip_probability" else 1
    return {
        model.name: {name: factor * value for name, value in values.items()}
        for model, content in results_of(models, "imagenet-p")
        if (values := content["metrics"].get(measure))
    }


def means(models: Sequence[Model], published: Sequence[PublishedRobustness]) -> dict[str, dict]:
    """Take the means of the paper's table."""

    def row(model: Model) -> dict[str, float | None]:
        c, p = model.metrics("imagenet-c"), model.metrics("imagenet-p")
        return {
            "clean error": _percent(c.get("clean_error")),
            "mean error": _percent(c.get("mean_error")),
            "mCE": c.get("mCE"),
            "relative mCE": c.get("relative_mCE"),
            "mFP": p.get("mFR"),
            "mT5D": p.get("mT5D"),
        }

    absent = {"clean error": None, "mean error": None}
    return {
        **{model.name: row(model) for model in models},
        **{f"{row.name} (published)": {**absent, **row.means} for row in published},
    }


def _percent(fraction: float | None) -> float | None:
    return None if fraction is None else 100 * fraction


COLUMNS = ("model", "dataset", "cell", "difficulty", "measure", "value")

_SUMMARIES = {
    "imagenet-c": ("CE", "relative_CE"),
    "imagenet-p": ("flip_rate", "top5_ratio"),
}
_COUNTS = ("correct", "total", "clips", "frames", "seconds")


def csv_text(models: Sequence[Model], published: Sequence[PublishedRobustness] = ()) -> str:
    """Write a line for each number.

    Args:
        models: The models.
        published: Rows beside them, with their means.

    Returns:
        Lines of ``model, dataset, cell, difficulty, measure, value``. Values are as in the result
        files: errors are fractions, what is relative to the baseline is in percent. ``cell`` is
        ``<corruption>/<severity>``, a corruption, a perturbation, or empty for means and for
        ``settings.*``, ``versions.*`` and ``environment.*``.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for model in models:
        for dataset in model.results:
            writer.writerows((model.name, dataset, *line) for line in _lines(model, dataset))
    for row in published:
        for measure, value in means([], [row])[f"{row.name} (published)"].items():
            if value is not None:
                dataset = "imagenet-c" if "mCE" in measure else "imagenet-p"
                writer.writerow((f"{row.name} (published)", dataset, "", "", measure, value))
        for name, value in row.corruption_errors.items():
            writer.writerow((f"{row.name} (published)", "imagenet-c", name, "", "CE", value))
    return text.getvalue()


def _lines(model: Model, dataset: str) -> Iterator[tuple]:
    content = model.results[dataset]
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
    for measure in _SUMMARIES[dataset]:
        for name, value in (metrics.get(measure) or {}).items():
            yield name, metrics.get("difficulty", ""), measure, value
    for measure, value in metrics.items():
        if isinstance(value, float):
            yield "", metrics.get("difficulty", ""), measure, value
    for group in ("settings", "versions", "environment"):
        for key, value in content.get(group, {}).items():
            yield "", "", f"{group}.{key}", value if isinstance(value, str) else json.dumps(value)
