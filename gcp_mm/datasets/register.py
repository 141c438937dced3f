"""Import every data set, for the registry; what cannot be imported is left out with a warning."""

from gcp_mm.optional_import import import_available

import_available(
    [f"gcp_mm.datasets.{name}" for name in ("class_folder", "imagenet", "imagenet_c", "imagenet_p")]
)
import_available(["gcp_mm.datasets.coco_dataset"])
