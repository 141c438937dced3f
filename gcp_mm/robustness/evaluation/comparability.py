"""From finished cells to mCE, mFR and mT5D, as far as they may be stated.

They may not if the result or the baseline was measured on other data than the benchmark's.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gcp_mm.datasets.imagenet_classes import imagenet_wnids
from gcp_mm.plain_data import differences, digest
from gcp_mm.robustness.data.fixed_size import RELEASED_SIZE
from gcp_mm.robustness.data.tree import RELEASED_FILES
from gcp_mm.robustness.evaluation.result_form import CLEAN
from gcp_mm.robustness.measures.baseline import Baseline, load_baseline
from gcp_mm.robustness.measures.corruption_error import corruption_error
from gcp_mm.robustness.measures.perturbation_robustness import perturbation_robustness
from gcp_mm.robustness.names import (
    ALL_CORRUPTIONS,
    BENCHMARK_CORRUPTIONS,
    EXTRA_CORRUPTIONS,
    PERTURBATIONS,
    SEVERITIES,
    folder_name,
)

CLASSES = 1000

# So far from the published numbers, errors and (relatively) flip probabilities are of another
# network: 5000 images of ImageNet-C, read otherwise, gave AlexNet's errors within 0.007.
_NEAR_ERROR, _NEAR_FLIPS = 0.01, 0.1

#: Settings of a result file that say which images were seen, and at which size.
DATA = (
    "classes_sha256",
    "files_per_cell",
    "input_size",
    "listing_sha256",
    "manifest_sha256",
    "num_classes",
    "regenerated",
)


def measured_data(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Take the settings that say which data were measured."""
    return {key: settings.get(key) for key in DATA}


def not_released(settings: Mapping[str, Any]) -> list[str]:
    """Say what tells the data from those that were released."""
    reasons = []
    if settings.get("regenerated"):
        reasons.append("regenerated data")
    number, table = settings.get("num_classes"), settings.get("classes_sha256")
    if number != CLASSES:
        reasons.append(f"{number} classes, not {CLASSES}")
    elif table not in (None, digest(imagenet_wnids())):
        reasons.append("other classes than those of ImageNet")
    return reasons


def is_released(baseline: Baseline) -> bool:
    """Tell whether a baseline was measured on the whole released data at their own size."""
    data = baseline.data or {}
    whole = data.get("files_per_cell") == RELEASED_FILES and data.get("input_size") == RELEASED_SIZE
    return whole and not not_released(data)


def is_alexnet(baseline: Baseline) -> bool:
    """Tell whether a baseline's numbers are AlexNet's, up to what decoders and kernels change."""
    published = load_baseline("alexnet", baseline.dataset)
    pairs = [
        (sum(baseline.error[name]) / len(SEVERITIES), sum(row) / len(SEVERITIES), _NEAR_ERROR)
        for name, row in published.error.items()
        if name in baseline.error
    ]
    if baseline.clean_error is not None and published.clean_error is not None:
        pairs.append((baseline.clean_error, published.clean_error, _NEAR_ERROR))
    if baseline.difficulty == published.difficulty:
        flips = baseline.flip_probability or {}
        for name, rate in (published.flip_probability or {}).items():
            pairs.append((flips.get(name, 0), rate, _NEAR_FLIPS * rate))
    return all(abs(found - expected) <= near for found, expected, near in pairs)


def not_comparable(settings: Mapping[str, Any], baseline: Baseline) -> list[str]:
    """Say why results cannot be compared with published ones."""
    reasons = not_released(settings)
    if settings["num_samples"] is not None:
        reasons.append(f"--num-samples {settings['num_samples']}")
    size = settings.get("input_size", RELEASED_SIZE)
    if size != RELEASED_SIZE:
        reasons.append(f"images of {size} x {size}")
    elif settings.get("resized") or settings.get("transform", ("", ""))[1].startswith("resize"):
        reasons.append(f"images that were resized to {size} x {size}")
    if (difficulty := settings.get("difficulty", 1)) != 1:
        reasons.append(f"difficulty {difficulty}")
    if not is_released(baseline):
        reasons.append(f"baseline {baseline.name}")
    elif not is_alexnet(baseline):
        reasons.append(f"baseline {baseline.name}, whose numbers are not those of AlexNet")
    return reasons


def _unsuited(settings: Mapping[str, Any], baseline: Baseline) -> str | None:
    """Say why nothing may be divided by the baseline."""
    if settings.get("shard"):
        return f"shard {'/'.join(map(str, settings['shard']))}: merge the shards first"
    if is_released(baseline):
        different = not_released(settings)
    elif baseline.data is None:
        different = ["its file does not state 'data'"]
    else:
        different = differences(baseline.data, settings, DATA)
    if not different:
        return None
    return (
        f"baseline {baseline.name!r} was not measured on these data ({'; '.join(different)}); "
        "measure one on the same tree (`baseline`) and name it with --baseline"
    )


def severity_errors(cells: Mapping[str, Mapping[str, Any]]) -> dict[str, list[float]]:
    """Compute the errors of the corruptions that have been measured at each severity."""
    return {
        name: [_error(cells[f"{name}/{severity}"]) for severity in SEVERITIES]
        for name in ALL_CORRUPTIONS
        if all(f"{name}/{severity}" in cells for severity in SEVERITIES)
    }


def corruption_measures(
    cells: Mapping[str, Mapping[str, Any]],
    settings: Mapping[str, Any],
    baseline: str | Path | Baseline = "alexnet",
) -> dict[str, Any]:
    """Compute what ImageNet-C's finished cells allow."""
    errors = severity_errors(cells)
    clean = settings.get("clean_error")
    if clean is None and CLEAN in cells:
        clean = _error(cells[CLEAN])
    reference = load_baseline(baseline, "imagenet-c")
    known = {name: row for name, row in errors.items() if name in reference.error}
    found = corruption_error(known, clean, reference)
    missing = [name for name in BENCHMARK_CORRUPTIONS if name not in errors]
    reason = _unsuited(settings, reference)
    if reason:
        found.update(dict.fromkeys(("CE", "mCE", "relative_CE", "relative_mCE")))
    elif missing:
        reason = f"not complete: {', '.join(missing)}"
    extra = [sum(errors[name]) / len(SEVERITIES) for name in EXTRA_CORRUPTIONS if name in errors]
    complete = len(extra) == len(EXTRA_CORRUPTIONS)
    return {
        **found,
        "mean_error_extra": sum(extra) / len(extra) if complete else None,
        "clean_error": clean,
        "mCE_reason": reason,
        "not_comparable": not_comparable(settings, reference),
    }


def perturbation_measures(
    cells: Mapping[str, Mapping[str, Any]],
    settings: Mapping[str, Any],
    baseline: str | Path | Baseline = "alexnet",
) -> dict[str, Any]:
    """Compute what ImageNet-P's finished cells allow at the difficulty of the settings."""
    difficulty = settings.get("difficulty", 1)
    flips, distances = {}, {}
    for name in PERTURBATIONS:
        cell = cells.get(folder_name(name, difficulty), {})
        found = cell.get("difficulty", {}).get(str(difficulty))
        if found:
            flips[name], distances[name] = found["flip_probability"], found["top5_distance"]
    reference = load_baseline(baseline, "imagenet-p")
    measures = perturbation_robustness(flips, distances, difficulty, reference)
    if reason := _unsuited(settings, reference):
        for mean, ratios in (("mFR", "flip_rate"), ("mT5D", "top5_ratio")):
            measures.update({mean: None, ratios: None, f"{mean}_reason": reason})
    return {**measures, "not_comparable": not_comparable(settings, reference)}


MEASURES = {"imagenet-c": corruption_measures, "imagenet-p": perturbation_measures}


def _error(cell: Mapping[str, int]) -> float:
    return (cell["total"] - cell["correct"]) / cell["total"]
