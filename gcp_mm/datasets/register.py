"""Import every data set and its metric, for the registries; what lacks a package is left out."""

from gcp_mm.registry import import_available

import_available(
    [
        "gcp_mm.datasets.class_folder",
        "gcp_mm.datasets.imagenet",
        "gcp_mm.robustness.data.imagenet_c",
        "gcp_mm.robustness.data.imagenet_p",
    ]
)
import_available(["gcp_mm.datasets.fine_grained"])
import_available(["gcp_mm.datasets.coco_dataset", "gcp_mm.datasets.coco_metric"])
