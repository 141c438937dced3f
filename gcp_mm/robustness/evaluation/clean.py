"""The images without corruption, prepared as the config prepares its test images.

Which class folder is which output of the network is decided here, too, by :func:`class_table`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mmengine.config import Config
from mmengine.registry import DATASETS, DefaultScope
from torch.utils.data import Dataset, Subset

from gcp_mm.datasets.imagenet_classes import imagenet_wnids
from gcp_mm.datasets.text_list import check_class_names, read_class_names
from gcp_mm.engine.config import tested_dataset
from gcp_mm.engine.preflight import check_data
from gcp_mm.errors import UserError
from gcp_mm.files import abbreviate, why_absent
from gcp_mm.images.names import list_class_folders
from gcp_mm.plain_data import digest
from gcp_mm.robustness.evaluation.options import Options


def class_table(cfg: Config, clean_root: str | Path | None = None) -> Sequence[str] | None:
    """Find the class folders in the order of a network's outputs.

    Never from the folders of a cell: where one is missing, all labels behind it would shift. In
    this order: ``classes`` of the config's test data, ImageNet's table if these are ImageNet, the
    class folders that they have, those of the clean images. None leaves it to the tree.
    """
    dataset = tested_dataset(cfg)
    kind = str(dataset.get("type")).rpartition(".")[2]
    classes = dataset.get("classes")
    if kind == "ClassFolder" and not classes:
        classes = (dataset.get("metainfo") or {}).get("classes")
    if classes:
        if isinstance(classes, str):
            return read_class_names(classes)
        return check_class_names(classes, "classes of the data set")
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


@dataclass(frozen=True)
class CleanImages:
    """Images without corruption.

    Attributes:
        data: A data set of mmpretrain.
        labels: (images,) their classes.
        sha256: Digest of how they are prepared, their names and their classes.
    """

    data: Dataset
    labels: np.ndarray
    sha256: str


def clean_images(
    cfg: Config, options: Options, table: Mapping[str, int], measured: Collection[str] = ()
) -> CleanImages | None:
    """Build the data set of the images without corruption, by the class index of each folder.

    ``measured`` are the classes that the corrupted images have. Where they are a part of the
    table, ``--clean-root`` may be one that has them.
    """
    if options.clean_source is None:
        return None
    dataset = dict(tested_dataset(cfg))
    if "pipeline" not in dataset:
        raise UserError(
            "the config has no test_dataloader with a pipeline, which prepares clean images; "
            "give the error as --clean-error"
        )
    root = options.clean_root
    if root is None:
        check_data(cfg, ("test_dataloader",))
    elif not root.is_dir():
        raise UserError(f"--clean-root {str(root)!r} {why_absent(root, 'folder')}")
    else:
        dataset = {
            "type": "gcp_mm.ClassFolder",
            "data_root": str(root),
            "classes": list(table),
            "allow_missing": options.num_samples is not None or 0 < len(measured) < len(table),
            "pipeline": dataset["pipeline"],
        }
    if str(dataset["type"]).startswith("gcp_mm."):
        dataset["test_mode"] = True
    with DefaultScope.overwrite_default_scope(cfg.get("default_scope", "mmpretrain")):
        built = DATASETS.build(dataset)
        built.full_init()
    labels = np.asarray(built.get_gt_labels())
    present = set(labels.tolist()) if root and options.num_samples is None else table.values()
    if absent := [name for name in measured if table[name] not in present]:
        raise UserError(
            f"--clean-root {str(root)!r} has no image of {abbreviate(absent)}, and "
            f"{str(options.data_root)!r} has: name the images that the tree was made from"
        )
    number = min(options.num_samples or len(labels), len(labels))
    chosen = np.arange(number) * len(labels) // number
    names = [_name(built.get_data_info(int(index))) for index in chosen]
    sha256 = digest([dataset["pipeline"], names, labels[chosen].tolist()])
    return CleanImages(Subset(built, chosen.tolist()), labels[chosen], sha256)


def _name(info: Mapping) -> str:
    # Where the data set lies does not matter.
    return "/".join(Path(info.get("img_path", "")).parts[-2:])
