"""What other results are divided by: a complete result as a file, and torchvision's AlexNet.

Published robustness measures are relative to AlexNet.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from torch import nn

from gcp_mm.checkpoints.pretrained import load_model
from gcp_mm.errors import FolderExistsError, UserError
from gcp_mm.files import atomic_write
from gcp_mm.plain_data import read_json
from gcp_mm.robustness.evaluation.comparability import measured_data, severity_errors
from gcp_mm.robustness.evaluation.options import Options
from gcp_mm.robustness.measures.baseline import FORMAT, VERSION, parse_baseline
from gcp_mm.robustness.names import (
    BENCHMARK_CORRUPTIONS,
    PERTURBATIONS,
    SEVERITIES,
    choose_corruptions,
    choose_perturbations,
)


def check_options(options: Options) -> None:
    """Require that an evaluation will measure all that a baseline needs."""
    _require_files(options.shard, options.num_samples)
    if options.dataset == "imagenet-p":
        _require_cells(PERTURBATIONS, choose_perturbations(options.names))
        return
    _require_cells(BENCHMARK_CORRUPTIONS, choose_corruptions(options.names))
    _require_cells(SEVERITIES, options.severities, "severity ")


def check_target(path: Path, result: Path | None = None) -> None:
    """Refuse to write a baseline over a result file, this one or any, or over anything else."""
    if result is not None and path.expanduser().resolve() == result.expanduser().resolve():
        raise FolderExistsError(
            f"--out {str(path)!r} is the result file, whose counts would be lost; choose another"
        )
    if not path.exists():
        return
    try:
        content = read_json(path)
    except (OSError, UserError):
        content = None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise FolderExistsError(
            f"--out {str(path)!r} exists and is no baseline; choose another, or delete it"
        )


def write_baseline(content: Mapping[str, Any], path: Path) -> None:
    """Write the measurements of a network as a baseline."""
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
    # A network without any error cannot be divided by.
    parse_baseline(baseline, str(path), dataset)
    text = json.dumps(baseline, indent=1, allow_nan=False) + "\n"
    check_target(path)
    atomic_write(path, text, "baseline")


def _errors(content: Mapping[str, Any]) -> dict[str, Any]:
    errors = severity_errors(content["cells"])
    _require_cells(BENCHMARK_CORRUPTIONS, errors)
    return {"clean_error": content["metrics"].get("clean_error"), "error": errors}


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


#: The name that stands for :func:`alexnet_config` in place of the path of a config.
NAME = "alexnet"


def alexnet_config() -> Config:
    """Return a config of AlexNet for 1000 classes, with ImageNet's normalisation.

    Only torchvision's weights (``AlexNet_Weights.IMAGENET1K_V1``, alexnet-owt-7be5be79.pth) give
    the published baseline.
    """
    return Config(
        dict(
            default_scope="mmpretrain",
            model=dict(
                type="ImageClassifier",
                backbone=dict(type="AlexNet", num_classes=1000),
                neck=None,
                head=dict(type="ClsHead"),
            ),
            # No pipeline: the table of classes is what counts, whatever part of it a tree has.
            test_dataloader=dict(dataset=dict(type="ImageNet")),
            data_preprocessor=dict(
                num_classes=1000,
                mean=[123.675, 116.28, 103.53],
                std=[58.395, 57.12, 57.375],
                to_rgb=True,
            ),
        )
    )


def load_alexnet(checkpoint: str | Path) -> nn.Module:
    """Build AlexNet with weights that are named as in torchvision or in mmpretrain."""
    mismatch = "is not torchvision's AlexNet"
    remedy = "Use alexnet-owt-7be5be79.pth, or name the config of the network"
    return load_model(alexnet_config(), checkpoint, "backbone.", mismatch, remedy)
