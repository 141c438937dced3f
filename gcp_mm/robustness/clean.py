"""The images without corruption, prepared as the config prepares its test images."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from mmengine.config import Config
from mmengine.registry import DATASETS, DefaultScope
from torch.utils.data import Dataset, Subset

from gcp_mm.engine.preflight import check_data
from gcp_mm.errors import UserError
from gcp_mm.robustness.class_table import tested_dataset
from gcp_mm.robustness.options import Options


def clean_images(
    cfg: Config, options: Options, table: Mapping[str, int]
) -> tuple[Dataset, np.ndarray] | None:
    """Build the data set of the images without corruption.

    Args:
        cfg: Config of the network; its test pipeline resizes and crops.
        options: Say where the images are.
        table: Class index of each class folder.

    Returns:
        The data set and the class of each image, or None if none is asked for.

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
            raise UserError(f"--clean-root {str(options.clean_root)!r} is no folder")
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
    if options.num_samples is None or options.num_samples >= len(labels):
        return built, labels
    chosen = np.arange(options.num_samples) * len(labels) // options.num_samples
    return Subset(built, chosen.tolist()), labels[chosen]
