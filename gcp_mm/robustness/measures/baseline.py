"""What errors are divided by: the measurements of one network, shipped or from a file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from gcp_mm.console.command_names import command_line
from gcp_mm.errors import UserError
from gcp_mm.plain_data import (
    COUNT,
    FRACTION,
    NUMBER,
    OBJECT,
    TEXT,
    Kind,
    ListOf,
    Maybe,
    digest,
    format_head,
    read_json,
    why_unfit,
)
from gcp_mm.robustness.names import (
    ALL_CORRUPTIONS,
    BENCHMARK_CORRUPTIONS,
    DIFFICULTIES,
    EXTRA_CORRUPTIONS,
    PERTURBATIONS,
    SEVERITIES,
)

FORMAT, VERSION = "gcp_mm robustness baseline", 1

_SHIPPED = ("alexnet",)

_TEXTS = Maybe(ListOf(TEXT))
_HEAD = {
    **format_head(FORMAT, VERSION),
    "name?": TEXT,
    "data?": Maybe(OBJECT),
    "source?": Kind(
        "a text or a list of texts",
        lambda value: why_unfit(value, TEXT if isinstance(value, str) else _TEXTS) is None,
    ),
}
DIFFICULTY = Kind("1, 2 or 3", lambda value: COUNT.fits(value) and value in DIFFICULTIES)
# Only their sum divides.
_ROW = Kind(
    "five fractions from 0 to 1, not all 0",
    lambda row: (
        why_unfit(row, ListOf(FRACTION)) is None and len(row) == len(SEVERITIES) and any(row)
    ),
)
_DIVISOR = Kind("a number above 0, which divides", lambda value: NUMBER.fits(value) and value > 0)
_BY_PERTURBATION = Maybe(dict.fromkeys(PERTURBATIONS, _DIVISOR))
_FORMS = {
    "imagenet-c": {
        "error": {
            **dict.fromkeys(BENCHMARK_CORRUPTIONS, _ROW),
            **{f"{name}?": _ROW for name in EXTRA_CORRUPTIONS},
        },
        "clean_error?": Maybe(FRACTION),
    },
    "imagenet-p": {
        "difficulty?": DIFFICULTY,
        "flip_probability?": _BY_PERTURBATION,
        "top5_distance?": _BY_PERTURBATION,
    },
}


@dataclass(frozen=True)
class Baseline:
    """Measurements of a network on ImageNet-C or on ImageNet-P.

    Attributes:
        name: Of the network.
        dataset: 'imagenet-c' or 'imagenet-p'.
        source: Where each part comes from.
        error: Top-1 errors (fractions) of the five severities of each corruption.
        clean_error: Top-1 error (a fraction) on the images without corruption.
        difficulty: Difficulty of the following two.
        flip_probability: By perturbation.
        top5_distance: By perturbation.
        data: What it was measured on, as the settings of a result file state it; None if unknown.
        sha256: Digest of the content of its file.
    """

    name: str
    dataset: str
    source: tuple[str, ...] = ()
    error: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    clean_error: float | None = None
    difficulty: int = 1
    flip_probability: Mapping[str, float] | None = None
    top5_distance: Mapping[str, float] | None = None
    data: Mapping[str, Any] | None = None
    sha256: str | None = None


def load_baseline(baseline: str | Path | Baseline, dataset: str) -> Baseline:
    """Find a baseline by its name or read it from a file.

    Args:
        baseline: 'alexnet', the path of a JSON file, or a baseline, which is returned.
        dataset: 'imagenet-c' or 'imagenet-p'.

    Returns:
        The baseline.

    Raises:
        UserError: If there is no such file, or it is no complete baseline of that data set.
    """
    if isinstance(baseline, Baseline):
        return baseline
    if not isinstance(baseline, (str, os.PathLike)):
        raise UserError(
            f"baseline is a {type(baseline).__name__}, expected one of {', '.join(_SHIPPED)}, the "
            "path of a file or a gcp_mm.robustness.measures.Baseline"
        )
    if str(baseline) in _SHIPPED:
        name = f"{baseline}_{dataset.replace('-', '_')}.json"
        with as_file(files("gcp_mm.robustness.measures") / "baselines" / name) as path:
            return parse_baseline(read_json(path), name, dataset)
    path = Path(baseline).expanduser()
    if not path.is_file():
        raise UserError(
            f"baseline {str(baseline)!r} is neither one of {', '.join(_SHIPPED)} nor a file; "
            f"`{command_line('robustness')} baseline` measures a network and writes one"
        )
    try:
        content = read_json(path)
    except (OSError, UserError) as error:
        raise _unfit(path, error) from error
    return parse_baseline(content, str(path), dataset)


def parse_baseline(content: Any, source: str, dataset: str) -> Baseline:
    """Take a baseline from the content of a file."""
    if why := why_unfit(content, _HEAD):
        raise _unfit(source, why)
    if content.get("dataset") != dataset:
        raise UserError(
            f"baseline {source!r} was measured on {content.get('dataset')!r}, not {dataset!r}"
        )
    if why := why_unfit(content, _FORMS[dataset]):
        raise UserError(f"baseline {source!r}: {why}")
    stated = content.get("source") or ()
    common: dict[str, Any] = {
        "name": content.get("name", Path(source).stem),
        "dataset": dataset,
        "source": (stated,) if isinstance(stated, str) else tuple(stated),
        "data": content.get("data"),
        "sha256": digest(content),
    }
    if dataset == "imagenet-p":
        return Baseline(
            difficulty=content.get("difficulty", 1),
            flip_probability=content.get("flip_probability"),
            top5_distance=content.get("top5_distance"),
            **common,
        )
    rows = content["error"]
    return Baseline(
        error={name: tuple(rows[name]) for name in ALL_CORRUPTIONS if name in rows},
        clean_error=content.get("clean_error"),
        **common,
    )


def _unfit(source: str | Path, why: object) -> UserError:
    return UserError(
        f"{str(source)!r} is no baseline ({why}): a JSON file with 'format': {FORMAT!r} and "
        f"'version': {VERSION}; `{command_line('robustness')} baseline` writes one"
    )
