"""Data sets for classification; they build on mmpretrain's."""

from gcp_mm.datasets.class_folder import ClassFolder
from gcp_mm.datasets.imagenet import ImageNet

__all__ = ["ClassFolder", "ImageNet"]
