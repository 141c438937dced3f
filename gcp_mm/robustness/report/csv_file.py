"""Every number of the result files as CSV, one in each line."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence

from gcp_mm.robustness.report.models import Model
from gcp_mm.robustness.report.values import means
from gcp_mm.zoo.robustness import PublishedRobustness

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
