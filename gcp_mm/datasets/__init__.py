"""Data sets: for classification on mmpretrain's, for detection on mmdet's.

A class is imported when it is used, so that each needs the package that it builds on alone.
"""

import importlib

_MODULES = {
    "CUB": "gcp_mm.datasets.fine_grained",
    "ClassFolder": "gcp_mm.datasets.class_folder",
    "CocoDataset": "gcp_mm.datasets.coco_dataset",
    "FGVCAircraft": "gcp_mm.datasets.fine_grained",
    "ImageNet": "gcp_mm.datasets.imagenet",
    "ImageNetC": "gcp_mm.robustness.data.imagenet_c",
    "ImageNetP": "gcp_mm.robustness.data.imagenet_p",
    "StanfordCars": "gcp_mm.datasets.fine_grained",
}
__all__ = [*_MODULES]


def __getattr__(name: str) -> object:
    """Import a data set."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)
