"""The form of a result file: which keys it has, and what may stand there.

The names of cells are folders of the data and files beside the result, so no other names pass.
"""

from __future__ import annotations

from typing import Any

from gcp_mm.plain_data import (
    COUNT,
    FRACTION,
    NUMBER,
    POSITIVE,
    TEXT,
    Kind,
    ListOf,
    Maybe,
    TableOf,
    format_head,
    why_unfit,
)
from gcp_mm.robustness.measures.baseline import DIFFICULTY
from gcp_mm.robustness.names import (
    ALL_CORRUPTIONS,
    DIFFICULTIES,
    PERTURBATIONS,
    SEVERITIES,
    folder_name,
)

FORMAT, VERSION = "gcp_mm robustness", 1
DATASETS = ("imagenet-c", "imagenet-p")
CLEAN = "clean"

_MOST_SHARDS = 100_000
_CELLS_C = frozenset({CLEAN, *(f"{name}/{i}" for name in ALL_CORRUPTIONS for i in SEVERITIES)})
_CELLS_P = frozenset(folder_name(name, d) for name in PERTURBATIONS for d in DIFFICULTIES)


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(COUNT.fits, value))


_TEXTS = ListOf(TEXT)
_NUMBERS = Maybe(TableOf(NUMBER))
_COMMON = {
    "name": TEXT,
    "settings": {
        "transform": Kind(
            "a list of at least two texts",
            lambda value: why_unfit(value, _TEXTS) is None and len(value) > 1,
        ),
        "num_samples": Maybe(POSITIVE),
        "shard": Maybe(
            Kind(
                "[i, n] with i below n",
                lambda value: _is_pair(value) and value[0] < value[1] <= _MOST_SHARDS,
            )
        ),
        "checkpoint_sha256": TEXT,
        "files_per_cell?": Maybe(POSITIVE),
        "difficulty?": DIFFICULTY,
        "clean_error?": Maybe(FRACTION),
        "input_size?": Maybe(POSITIVE),
        "num_classes?": Maybe(POSITIVE),
        "baseline?": Maybe(TEXT),
        "classes_sha256?": Maybe(TEXT),
    },
    "versions?": TableOf(TEXT),
    "environment?": TableOf(
        ListOf(Kind("a text or a number", lambda value: TEXT.fits(value) or NUMBER.fits(value)))
    ),
    "metrics": {
        "not_comparable?": _TEXTS,
        "difficulty?": DIFFICULTY,
        **dict.fromkeys(("CE?", "flip_rate?", "top5_ratio?"), _NUMBERS),
        # None where the corruption does not change the error of the baseline.
        "relative_CE?": Maybe(TableOf(Maybe(NUMBER))),
        **dict.fromkeys(("flip_probability?", "top5_distance?"), _NUMBERS),
        **dict.fromkeys(("mCE?", "relative_mCE?", "mFR?", "mT5D?"), Maybe(NUMBER)),
        **dict.fromkeys(("mean_error?", "mean_error_extra?", "clean_error?"), Maybe(NUMBER)),
        **dict.fromkeys(("mCE_reason?", "mFR_reason?", "mT5D_reason?"), Maybe(TEXT)),
    },
}
_IMAGES = {"correct": COUNT, "total": POSITIVE, "seconds": NUMBER, "files?": POSITIVE}
_CLIPS = {
    "clips": POSITIVE,
    "frames": POSITIVE,
    "seconds": NUMBER,
    "difficulty": TableOf(
        {
            "flips": Kind(
                "[changes, comparisons]",
                lambda value: _is_pair(value) and value[0] <= value[1] and value[1] > 0,
            ),
            "flip_probability": FRACTION,
            "top5_distance": NUMBER,
        },
        frozenset(map(str, DIFFICULTIES)),
    ),
}
_FORMS = {
    "imagenet-c": {**_COMMON, "cells": TableOf(_IMAGES, _CELLS_C)},
    "imagenet-p": {**_COMMON, "cells": TableOf(_CLIPS, _CELLS_P)},
}
_HEAD = {
    **format_head(FORMAT, VERSION),
    "dataset": Kind(" or ".join(DATASETS), lambda value: TEXT.fits(value) and value in DATASETS),
}


def why_no_result(content: Any) -> str | None:
    """Say why plain data are no result of an evaluation; None if they are one."""
    if unfit := why_unfit(content, _HEAD) or why_unfit(content, _FORMS[content["dataset"]]):
        return unfit
    for name, cell in content["cells"].items():
        if cell.get("correct", 0) > cell.get("total", 0):
            return f"cells/{name} has {cell['correct']} right of {cell['total']} images"
    return None
