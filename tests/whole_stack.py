"""What a training or an evaluation imports and reads before it begins, for warm_python.py."""

import importlib
import warnings

import libraries_once  # noqa: F401

from gcp_mm.reproduction.worker import _PRELOAD

# To find it, mmengine reads the metafiles of mmpretrain, 85 of them.
CONFIG = "_base_ = 'mmpretrain::_base_/default_runtime.py'"

# What the registries of this project import when they are asked.
ASKED = (
    *("gcp_mm.models", "gcp_mm.datasets.register", "gcp_mm.engine.hooks"),
    *("gcp_mm.engine.epoch_seed", "gcp_mm.engine.amp", "gcp_mm.engine.poly_to_end_lr"),
    *("gcp_mm.engine.tabulated_lr", "gcp_mm.robustness.metrics", "gcp_mm.images.load_image"),
)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    for name in (*_PRELOAD, *ASKED):
        importlib.import_module(name)
importlib.import_module("mmengine.config").Config.fromstring(CONFIG, ".py")
