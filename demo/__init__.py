"""Generators of small demo data sets that need no download.

`write_digits` writes real handwritten digits as an image-classification folder tree, and
`write_scenes` writes synthetic scenes as an instance-segmentation data set in the layout of
COCO 2017. Both are deterministic given their arguments, write atomically, and return at once
where the requested data set is already on disk.
"""

from demo.digits import write_digits
from demo.scenes import write_scenes

__all__ = ["write_digits", "write_scenes"]
