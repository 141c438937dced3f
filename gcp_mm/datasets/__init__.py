"""Data sets for classification; they build on mmpretrain's."""

from gcp_mm.datasets.class_folder import ClassFolder
from gcp_mm.datasets.imagenet import ImageNet
from gcp_mm.datasets.imagenet_c import ImageNetC
from gcp_mm.datasets.imagenet_p import ImageNetP

__all__ = ["ClassFolder", "ImageNet", "ImageNetC", "ImageNetP"]
