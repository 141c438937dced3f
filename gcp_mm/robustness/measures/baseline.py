"""What errors are divided by: the measurements of one network, shipped or from a file."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from gcp_mm.console.command_names import command_line
from gcp_mm.errors import UserError
from gcp_mm.plain_data import FRACTION, NUMBER, OBJECT, Kind, digest
from gcp_mm.robustness.names import (
    ALL_CORRUPTIONS,
    BENCHMARK_CORRUPTIONS,
    DIFFICULTIES,
    PERTURBATIONS,
    SEVERITIES,
)

FORMAT, VERSION = "gcp_mm robustness baseline", 1

_SHIPPED = ("alexnet",)


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
        text = (files("gcp_mm.robustness.measures") / "baselines" / name).read_text(
            encoding="utf-8"
        )
        return parse_baseline(text, name, dataset)
    path = Path(baseline).expanduser()
    if not path.is_file():
        raise UserError(
            f"baseline {str(baseline)!r} is neither one of {', '.join(_SHIPPED)} nor a file; "
            f"`{command_line('robustness')} baseline` measures a network and writes one"
        )
    return parse_baseline(path.read_text(encoding="utf-8", errors="replace"), str(path), dataset)


def parse_baseline(text: str, source: str, dataset: str) -> Baseline:
    """Read the content of a file."""
    try:
        content = json.loads(text)
        if content["format"] != FORMAT or content["version"] != VERSION:
            raise KeyError("format")
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{source!r} is no baseline: a JSON file with 'format': {FORMAT!r} and 'version': "
            f"{VERSION}; `{command_line('robustness')} baseline` writes one"
        ) from error
    if content.get("dataset") != dataset:
        raise UserError(
            f"baseline {source!r} was measured on {content.get('dataset')!r}, not {dataset!r}"
        )
    common: dict[str, Any] = {
        "name": str(content.get("name", Path(source).stem)),
        "dataset": dataset,
        "data": _optional(content, "data", OBJECT, source),
        "sha256": digest(content),
        "source": _source(content.get("source"), source),
    }
    if dataset == "imagenet-p":
        difficulty = content.get("difficulty", 1)
        if difficulty not in DIFFICULTIES:
            raise UserError(f"baseline {source!r}: difficulty is {difficulty!r}, not 1, 2 or 3")
        return Baseline(
            difficulty=difficulty,
            flip_probability=_values(content, "flip_probability", source),
            top5_distance=_values(content, "top5_distance", source),
            **common,
        )
    return Baseline(
        error=_errors(content.get("error"), source),
        clean_error=_optional(content, "clean_error", FRACTION, source),
        **common,
    )


def _optional(content: Mapping, key: str, kind: Kind, source: str) -> Any:
    value = content.get(key)
    if value is not None and not kind.fits(value):
        raise UserError(f"baseline {source!r}: {key!r} is {value!r}, not {kind.name} or null")
    return value


def _errors(table: Any, source: str) -> dict[str, tuple[float, ...]]:
    table = table if isinstance(table, dict) else {}
    _require(table, BENCHMARK_CORRUPTIONS, f"baseline {source!r}: 'error'")
    for name, row in table.items():
        wrong = not isinstance(row, list) or len(row) != len(SEVERITIES)
        # Only their sum divides.
        if wrong or not all(FRACTION.fits(value) for value in row) or not any(row):
            raise UserError(
                f"baseline {source!r}: 'error' of {name!r} is {row!r}, expected five fractions "
                "from 0 to 1, not all 0"
            )
    return {name: tuple(table[name]) for name in ALL_CORRUPTIONS if name in table}


def _values(content: Mapping, key: str, source: str) -> dict[str, float] | None:
    table = content.get(key)
    if table is None:
        return None
    where = f"baseline {source!r}: {key!r}"
    _require(table if isinstance(table, dict) else {}, PERTURBATIONS, where)
    for name, value in table.items():
        if not NUMBER.fits(value) or value <= 0:
            raise UserError(f"{where} of {name!r} is {value!r}, and it divides: a number above 0")
    return {name: float(table[name]) for name in PERTURBATIONS}


def _source(value: Any, source: str) -> tuple[str, ...]:
    parts = [value] if isinstance(value, str) else value or []
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
        raise UserError(f"baseline {source!r}: 'source' is {value!r}, not a text or a list")
    return tuple(parts)


def _require(table: Mapping, names: Iterable[str], where: str) -> None:
    if missing := [name for name in names if name not in table]:
        raise UserError(f"{where} lacks {', '.join(missing)}")
