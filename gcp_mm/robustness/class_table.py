"""Which class folder is which output of a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

from gcp_mm.datasets.imagenet_classes import imagenet_wnids
from gcp_mm.datasets.text_list import check_class_names, read_class_names
from gcp_mm.images.names import list_class_folders


def tested_dataset(cfg: Config) -> dict[str, Any]:
    """Return the innermost data set of a config's test loader; empty without one.

    Args:
        cfg: The config.
    """
    dataset = (cfg.get("test_dataloader") or cfg.get("val_dataloader") or {}).get("dataset", {})
    while "dataset" in dataset:
        dataset = dataset["dataset"]
    return dataset


def class_table(cfg: Config, clean_root: str | Path | None = None) -> Sequence[str] | None:
    """Find the class folders in the order of a network's outputs.

    Never from the folders of a cell: where one is missing, all labels behind it would shift. In
    this order: ``classes`` of the config's test data, ImageNet's table if these are ImageNet, the
    class folders that they have, those of the clean images.

    Args:
        cfg: Config of the network.
        clean_root: Class folders with images without corruption.

    Returns:
        Names of the folders; None leaves it to the tree, whose manifest may name them, see
        :class:`gcp_mm.datasets.robustness_tree.RobustnessTree`.
    """
    dataset = tested_dataset(cfg)
    kind = str(dataset.get("type")).rpartition(".")[2]
    classes = dataset.get("classes")
    if kind == "ClassFolder" and not classes:
        classes = (dataset.get("metainfo") or {}).get("classes")
    if classes:
        return read_classes(classes)
    if kind == "ImageNet":
        return imagenet_wnids()
    prefix = dataset.get("data_prefix") or ""
    if isinstance(prefix, Mapping):
        prefix = prefix.get("img_path") or ""
    own = Path(dataset.get("data_root") or "", prefix)
    has_folder = dataset.get("data_root") and not dataset.get("ann_file")
    for folder in (own if has_folder else None, clean_root):
        if folder is not None and Path(folder).is_dir():
            if names := list_class_folders(folder):
                return names
    return None


def read_classes(classes: str | Sequence[object]) -> list[str]:
    """Return the names of classes that a config gives, or a file with one a line."""
    if isinstance(classes, str):
        return read_class_names(classes)
    return check_class_names(classes, "classes of the data set")
