"""The settings of an evaluation, by which a result file is recognised."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.config import Config

from gcp_mm.datasets.fixed_size import RELEASED_SIZE
from gcp_mm.datasets.robustness_tree import RobustnessTree
from gcp_mm.evaluation.baseline import load_baseline
from gcp_mm.files import sha256
from gcp_mm.plain_data import digest
from gcp_mm.robustness.options import Options


def make_settings(
    cfg: Config, checkpoint: str | Path, options: Options, tree: RobustnessTree
) -> dict[str, Any]:
    """Collect everything that the counts depend on.

    Args:
        cfg: Config of the network.
        checkpoint: Its weights.
        options: Of the evaluation.
        tree: The data.

    Returns:
        Plain data. ``config_sha256`` is that of the network and its normalisation: how it was
        trained does not matter here.
    """
    read = "FFmpeg" if options.dataset == "imagenet-p" else options.decoder
    size = options.input_size or RELEASED_SIZE
    asked = f"require {size} x {size}"
    if options.input_size:
        asked = f"keep {size} x {size}, resize others (pillow, bilinear)"
        if tree.resizes:
            asked = f"resize to {size} x {size} (pillow, bilinear)"
    baseline = load_baseline(options.baseline, options.dataset)
    network = {"model": cfg.model, "data_preprocessor": cfg.get("data_preprocessor")}
    return {
        "config": Path(cfg.filename).stem if cfg.filename else "alexnet",
        "config_sha256": digest(network),
        "checkpoint": Path(checkpoint).name,
        "checkpoint_sha256": sha256(checkpoint),
        "transform": [f"decode ({read})", asked, "normalise on the device"],
        **tree.settings,
        "shard": options.shard,
        "dtype": options.dtype,
        # Not its path: the same file may lie elsewhere, and another one there.
        "baseline": baseline.name,
        "baseline_sha256": baseline.sha256,
        "clean_error": options.clean_error,
        "difficulty": options.difficulty,
    }
