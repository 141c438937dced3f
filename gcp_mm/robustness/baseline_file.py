"""Turn a complete result into a baseline that other results are divided by."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gcp_mm.engine.atomic_backend import AtomicLocalBackend
from gcp_mm.errors import UserError
from gcp_mm.evaluation.baseline import FORMAT, VERSION, load_baseline
from gcp_mm.evaluation.corruptions import ALL_CORRUPTIONS, BENCHMARK_CORRUPTIONS, SEVERITIES
from gcp_mm.evaluation.perturbations import PERTURBATIONS


def write_baseline(content: Mapping[str, Any], path: Path) -> None:
    """Write the measurements of a network as a baseline.

    Args:
        content: Of a result file: all fifteen corruptions at all severities, or all ten
            perturbations, of the whole data.
        path: The file.

    Raises:
        UserError: If the result is not complete, or the file cannot be written.
    """
    settings, dataset = content["settings"], content["dataset"]
    if settings["shard"] or settings["num_samples"] is not None:
        raise UserError("a baseline needs all files of each cell: no --shard, no --num-samples")
    measured = _errors(content) if dataset == "imagenet-c" else _sequences(content)
    baseline = {
        "format": FORMAT,
        "version": VERSION,
        "dataset": dataset,
        "name": content["name"],
        "source": [f"measured: {json.dumps(settings, sort_keys=True)}"],
        **measured,
    }
    text = json.dumps(baseline, indent=1, allow_nan=False) + "\n"
    try:
        AtomicLocalBackend().put(text.encode(), path)
    except OSError as error:
        raise UserError(f"baseline {str(path)!r} cannot be written: {error}") from error
    # A network without any error cannot be divided by.
    load_baseline(path, dataset)


def _errors(content: Mapping[str, Any]) -> dict[str, Any]:
    cells = content["cells"]
    rows = {
        name: [cells.get(f"{name}/{severity}") for severity in SEVERITIES]
        for name in ALL_CORRUPTIONS
    }
    complete = {name: row for name, row in rows.items() if None not in row}
    _require(BENCHMARK_CORRUPTIONS, complete)
    return {
        "clean_error": content["metrics"]["clean_error"],
        "error": {
            name: [(cell["total"] - cell["correct"]) / cell["total"] for cell in row]
            for name, row in complete.items()
        },
    }


def _sequences(content: Mapping[str, Any]) -> dict[str, Any]:
    names = ("difficulty", "flip_probability", "top5_distance")
    measured = {name: content["metrics"][name] for name in names}
    _require(PERTURBATIONS, measured["flip_probability"])
    return measured


def _require(names: tuple[str, ...], found: Mapping[str, Any]) -> None:
    if missing := [name for name in names if name not in found]:
        raise UserError(f"a baseline needs all cells; not measured: {', '.join(missing)}")
