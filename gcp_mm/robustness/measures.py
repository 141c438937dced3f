"""From finished cells to mCE, mFR and mT5D, as far as they may be stated."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gcp_mm.evaluation.baseline import Baseline, load_baseline
from gcp_mm.evaluation.corruption_error import corruption_error
from gcp_mm.evaluation.corruptions import (
    ALL_CORRUPTIONS,
    BENCHMARK_CORRUPTIONS,
    EXTRA_CORRUPTIONS,
    SEVERITIES,
)
from gcp_mm.evaluation.perturbation_robustness import perturbation_robustness
from gcp_mm.evaluation.perturbations import PERTURBATIONS, folder_name
from gcp_mm.robustness.loader import CLEAN

CLASSES = 1000


def not_comparable(settings: Mapping[str, Any]) -> list[str]:
    """Say why results cannot be compared with published ones.

    Args:
        settings: Of a result file.

    Returns:
        The reasons; none for the whole released data and the published baseline.
    """
    reasons = []
    if settings["regenerated"]:
        reasons.append("regenerated data")
    if settings["num_classes"] != CLASSES:
        reasons.append(f"{settings['num_classes']} classes, not {CLASSES}")
    if settings["num_samples"] is not None:
        reasons.append(f"--num-samples {settings['num_samples']}")
    if settings["baseline"] != "alexnet":
        reasons.append(f"baseline {settings['baseline']}")
    return reasons


def _unsuited(settings: Mapping[str, Any]) -> str | None:
    """Say why nothing may be divided by the baseline."""
    if settings.get("shard"):
        return f"shard {'/'.join(map(str, settings['shard']))}: merge the shards first"
    other_data = settings["regenerated"] or settings["num_classes"] != CLASSES
    if other_data and settings["baseline"] == "alexnet":
        return (
            "the published AlexNet was not measured on these data; measure a baseline on the same "
            "tree (`baseline`) and name it with --baseline"
        )
    return None


def corruption_measures(
    cells: Mapping[str, Mapping[str, Any]],
    settings: Mapping[str, Any],
    baseline: str | Path | Baseline = "alexnet",
) -> dict[str, Any]:
    """Compute what ImageNet-C's finished cells allow.

    Args:
        cells: ``correct`` and ``total`` by ``<corruption>/<severity>``, and of ``clean``.
        settings: Of the result file.
        baseline: See :func:`gcp_mm.evaluation.corruption_error`.

    Returns:
        What :func:`gcp_mm.evaluation.corruption_error` gives, with None in place of what is
        relative to an unsuited baseline; ``clean_error``, ``mCE_reason`` (why there is no mCE, or
        None) and ``not_comparable`` (reasons).
    """
    errors = {
        name: [_error(cells[f"{name}/{severity}"]) for severity in SEVERITIES]
        for name in ALL_CORRUPTIONS
        if all(f"{name}/{severity}" in cells for severity in SEVERITIES)
    }
    clean = _error(cells[CLEAN]) if CLEAN in cells else settings.get("clean_error")
    reference = load_baseline(baseline, "imagenet-c")
    known = {name: row for name, row in errors.items() if name in reference.error}
    found = corruption_error(known, clean, reference)
    missing = [name for name in BENCHMARK_CORRUPTIONS if name not in errors]
    reason = _unsuited(settings)
    if reason:
        relative = ("CE", "mCE", "relative_CE", "relative_mCE")
        found.update(dict.fromkeys(relative))
    elif missing:
        reason = f"not complete: {', '.join(missing)}"
    extra = [sum(errors[name]) / len(SEVERITIES) for name in EXTRA_CORRUPTIONS if name in errors]
    complete = len(extra) == len(EXTRA_CORRUPTIONS)
    return {
        **found,
        "mean_error_extra": sum(extra) / len(extra) if complete else None,
        "clean_error": clean,
        "mCE_reason": reason,
        "not_comparable": not_comparable(settings),
    }


def perturbation_measures(
    cells: Mapping[str, Mapping[str, Any]],
    settings: Mapping[str, Any],
    baseline: str | Path | Baseline = "alexnet",
) -> dict[str, Any]:
    """Compute what ImageNet-P's finished cells allow at the difficulty of the settings.

    Args:
        cells: ``difficulty`` by folder of the perturbation.
        settings: Of the result file.
        baseline: See :func:`gcp_mm.evaluation.perturbation_robustness`.

    Returns:
        What :func:`gcp_mm.evaluation.perturbation_robustness` gives, with None in place of what is
        relative to an unsuited baseline, and ``not_comparable`` (reasons).
    """
    difficulty = settings.get("difficulty", 1)
    flips, distances = {}, {}
    for name in PERTURBATIONS:
        cell = cells.get(folder_name(name, difficulty), {})
        found = cell.get("difficulty", {}).get(str(difficulty))
        if found:
            flips[name], distances[name] = found["flip_probability"], found["top5_distance"]
    measures = perturbation_robustness(flips, distances, difficulty, baseline)
    if reason := _unsuited(settings):
        for mean, ratios in (("mFR", "flip_rate"), ("mT5D", "top5_ratio")):
            measures.update({mean: None, ratios: None, f"{mean}_reason": reason})
    return {**measures, "not_comparable": not_comparable(settings)}


def _error(cell: Mapping[str, int]) -> float:
    return (cell["total"] - cell["correct"]) / cell["total"]
