"""The images without corruption, prepared as the config prepares its test images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mmengine.config import Config
from mmengine.registry import DATASETS, DefaultScope
from torch.utils.data import Dataset, Subset

from gcp_mm.engine.preflight import check_data
from gcp_mm.errors import UserError
from gcp_mm.files import why_absent
from gcp_mm.plain_data import digest
from gcp_mm.robustness.class_table import tested_dataset
from gcp_mm.robustness.options import Options


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


def clean_images(cfg: Config, options: Options, table: Mapping[str, int]) -> CleanImages | None:
    """Build the data set of the images without corruption.

    Args:
        cfg: Config of the network; its test pipeline resizes and crops.
        options: Say where the images are.
        table: Class index of each class folder.

    Returns:
        The images, or None if none are asked for.

    Raises:
        UserError: If the config has no test data, or they do not belong to the table.
    """
    if options.clean_source is None:
        return None
    dataset = dict(tested_dataset(cfg))
    if "pipeline" not in dataset:
        raise UserError(
            "the config has no test_dataloader with a pipeline, which prepares clean images; "
            "give the error as --clean-error"
        )
    if options.clean:
        check_data(cfg, ("test_dataloader",))
    else:
        if not options.clean_root.is_dir():
            reason = why_absent(options.clean_root, "folder")
            raise UserError(f"--clean-root {str(options.clean_root)!r} {reason}")
        dataset = {
            "type": "gcp_mm.ClassFolder",
            "data_root": str(options.clean_root),
            "classes": list(table),
            "allow_missing": options.num_samples is not None,
            "pipeline": dataset["pipeline"],
        }
    if str(dataset["type"]).startswith("gcp_mm."):
        dataset["test_mode"] = True
    with DefaultScope.overwrite_default_scope(cfg.get("default_scope", "mmpretrain")):
        built = DATASETS.build(dataset)
        built.full_init()
    labels = np.asarray(built.get_gt_labels())
    number = min(options.num_samples or len(labels), len(labels))
    chosen = np.arange(number) * len(labels) // number
    names = [_name(built.get_data_info(int(index))) for index in chosen]
    sha256 = digest([dataset["pipeline"], names, labels[chosen].tolist()])
    return CleanImages(Subset(built, chosen.tolist()), labels[chosen], sha256)


def _name(info: Mapping) -> str:
    # Where the data set lies does not matter.
    return "/".join(Path(info.get("img_path", "")).parts[-2:])
