"""Which data a result or a baseline was measured on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gcp_mm.datasets.fixed_size import RELEASED_SIZE
from gcp_mm.datasets.imagenet_classes import imagenet_wnids
from gcp_mm.datasets.robustness_tree import RELEASED_FILES
from gcp_mm.evaluation.baseline import Baseline
from gcp_mm.plain_data import differences, digest

CLASSES = 1000

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
    """Take the settings that say which data were measured.

    Args:
        settings: Of a result file, or the ``data`` of a baseline.

    Returns:
        A value, or None, for each of :data:`DATA`.
    """
    return {key: settings.get(key) for key in DATA}


def not_released(settings: Mapping[str, Any]) -> list[str]:
    """Say what tells the data from those that were released.

    Args:
        settings: Of a result file, or the ``data`` of a baseline.

    Returns:
        The reasons. None for a part of the released data, or for these at another size.
    """
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
    """Tell whether a baseline was measured on the whole released data at their own size.

    Args:
        baseline: The baseline.
    """
    data = baseline.data or {}
    whole = data.get("files_per_cell") == RELEASED_FILES and data.get("input_size") == RELEASED_SIZE
    return whole and not not_released(data)


def why_other_data(baseline: Baseline, settings: Mapping[str, Any]) -> str | None:
    """Say why the measurements of a result may not be divided by a baseline.

    Args:
        baseline: The baseline.
        settings: Of the result file.

    Returns:
        A sentence, or None if both are of the same data. Parts of the released data count as
        these; they are not comparable for another reason.
    """
    if is_released(baseline):
        different = not_released(settings)
    elif baseline.data is None:
        different = ["its file does not state 'data'"]
    else:
        different = differences(measured_data(baseline.data), measured_data(settings))
    if not different:
        return None
    return (
        f"baseline {baseline.name!r} was not measured on these data ({'; '.join(different)}); "
        "measure one on the same tree (`baseline`) and name it with --baseline"
    )
