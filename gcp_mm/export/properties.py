"""What a program that loads an exported file has to know, kept inside of the file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import DATASETS

import gcp_mm.registry  # noqa: F401  (its data sets)
from gcp_mm.checkpoints.loader import load_from_file
from gcp_mm.engine.config import tested_dataset
from gcp_mm.export.images import swaps_channels
from gcp_mm.export.numeric_check import Logits
from gcp_mm.files import sha256
from gcp_mm.plain_data import part_of
from gcp_mm.version import __version__


def class_names(cfg: Config, checkpoint: str | Path, number: int) -> list[str] | None:
    """Look up what the outputs of a classifier are called, None if nothing names this many.

    The names that it was trained with, in the checkpoint, come before those of the config.
    """
    described = part_of(load_from_file(checkpoint, "meta"), "meta").get("dataset_meta")
    dataset = tested_dataset(cfg)
    kind = dataset.get("type")
    if isinstance(kind, str):
        with DATASETS.switch_scope_and_registry("mmpretrain") as registry:
            kind = registry.get(kind)
    for source in (
        described,
        {"classes": dataset.get("classes")},
        dataset.get("metainfo"),
        getattr(kind, "METAINFO", None),
    ):
        names = source.get("classes") if isinstance(source, Mapping) else None
        if isinstance(names, list | tuple) and len(names) == number:
            return [str(name) for name in names]
    return None


def properties(
    network: Logits,
    checkpoint: str | Path,
    config: str,
    size: Sequence[int],
    batch: int | None,
    classes: Sequence[str] | None = None,
) -> dict[str, str]:
    """Describe input, output and origin of an exported network, in texts by name.

    ``mean`` and ``std`` are JSON lists for pixels of 0 to 255 in the order of ``channels``, there
    if the caller has to apply them; ``classes`` is one too. ``batch`` None is any number.
    """
    preprocessor = network.network.data_preprocessor
    mean = getattr(preprocessor, "mean", None)
    shape = f"({'batch' if batch is None else batch}, 3, {size[0]}, {size[1]})"
    values = "pixels of 0 to 255"
    found = {"channels": "RGB" if swaps_channels(network.network) else "BGR"}
    if mean is not None and not network.normalise:
        values = "(pixel - mean) / std"
        for name in ("mean", "std"):
            # Seven digits are what float32 holds.
            numbers = getattr(preprocessor, name).flatten().tolist()
            found[name] = json.dumps([float(f"{number:.7g}") for number in numbers])
    if classes:
        found["classes"] = json.dumps(list(classes))
    return {
        "input": f"images, float32 {shape}, {found['channels']}, {values}",
        "output": "scores (softmax)" if network.scores else "logits",
        **found,
        "config": config,
        "checkpoint_sha256": sha256(checkpoint),
        "exporter": f"gcp_mm {__version__}",
    }
