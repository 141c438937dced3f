"""What a COCO-format file says: checked, and repaired in memory where that is certain."""

from gcp_mm.datasets.coco_annotations.categories import Arrangement, arrange_categories
from gcp_mm.datasets.coco_annotations.findings import Findings
from gcp_mm.datasets.coco_annotations.image_folder import ImageFolder
from gcp_mm.datasets.coco_annotations.load import coco_api, load_annotations

__all__ = [
    "Arrangement",
    "Findings",
    "ImageFolder",
    "arrange_categories",
    "coco_api",
    "load_annotations",
]
