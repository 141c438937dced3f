"""Turn a complete result into a baseline that other results are divided by."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from gcp_mm.errors import UserError
from gcp_mm.evaluation.baseline import FORMAT, VERSION, parse_baseline
from gcp_mm.evaluation.corruptions import ALL_CORRUPTIONS, BENCHMARK_CORRUPTIONS, SEVERITIES
from gcp_mm.evaluation.perturbations import PERTURBATIONS
from gcp_mm.files import atomic_write
from gcp_mm.robustness.cells import choose_corruptions, choose_perturbations
from gcp_mm.robustness.measured_data import measured_data
from gcp_mm.robustness.options import Options


def check_options(options: Options) -> None:
    """Require that an evaluation will measure all that a baseline needs.

    Args:
        options: Of the evaluation.

    Raises:
        UserError: If it leaves out files or cells.
    """
    _require_files(options.shard, options.num_samples)
    if options.dataset == "imagenet-p":
        _require_cells(PERTURBATIONS, choose_perturbations(options.names))
        return
    _require_cells(BENCHMARK_CORRUPTIONS, choose_corruptions(options.names))
    _require_cells(SEVERITIES, options.severities, "severity ")


def write_baseline(content: Mapping[str, Any], path: Path) -> None:
    """Write the measurements of a network as a baseline.

    Args:
        content: Of a result file: all fifteen corruptions at all severities, or all ten
            perturbations, of the whole data.
        path: The file.

    Raises:
        UserError: If the result is not complete, nothing can be divided by it, or the file cannot
            be written. An existing file stays as it is.
    """
    settings, dataset = content["settings"], content["dataset"]
    _require_files(settings["shard"], settings["num_samples"])
    measured = _errors(content) if dataset == "imagenet-c" else _sequences(content)
    baseline = {
        "format": FORMAT,
        "version": VERSION,
        "dataset": dataset,
        "name": content["name"],
        "data": measured_data(settings),
        "source": [f"measured: {json.dumps(settings, sort_keys=True)}"],
        **measured,
    }
    text = json.dumps(baseline, indent=1, allow_nan=False) + "\n"
    # A network without any error cannot be divided by.
    parse_baseline(text, str(path), dataset)
    atomic_write(path, text, "baseline")


def _errors(content: Mapping[str, Any]) -> dict[str, Any]:
    cells = content["cells"]
    rows = {
        name: [cells.get(f"{name}/{severity}") for severity in SEVERITIES]
        for name in ALL_CORRUPTIONS
    }
    complete = {name: row for name, row in rows.items() if None not in row}
    _require_cells(BENCHMARK_CORRUPTIONS, complete)
    return {
        "clean_error": content["metrics"].get("clean_error"),
        "error": {
            name: [(cell["total"] - cell["correct"]) / cell["total"] for cell in row]
            for name, row in complete.items()
        },
    }


def _sequences(content: Mapping[str, Any]) -> dict[str, Any]:
    metrics = content["metrics"]
    measured = {name: metrics.get(name) or {} for name in ("flip_probability", "top5_distance")}
    for values in measured.values():
        _require_cells(PERTURBATIONS, values)
    return {"difficulty": metrics.get("difficulty", 1), **measured}


def _require_files(shard: object, num_samples: int | None) -> None:
    if shard or num_samples is not None:
        raise UserError("a baseline needs all files of each cell: no --shard, no --num-samples")


def _require_cells(names: Iterable[object], found: Iterable[object], prefix: str = "") -> None:
    if missing := [f"{prefix}{name}" for name in names if name not in set(found)]:
        raise UserError(f"a baseline needs all cells; not measured: {', '.join(missing)}")
