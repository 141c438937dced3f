"""Check the fields of one annotation, and repair what is certain."""

from __future__ import annotations

import math

from gcp_mm.datasets.coco_annotations.findings import Findings
from gcp_mm.datasets.coco_annotations.identifiers import as_id
from gcp_mm.datasets.coco_annotations.segmentation import (
    InvalidMaskError,
    area,
    extent,
    normalise,
)

# Pixels by which a box may reach beyond its image without a word.
TOLERANCE = 2
_FLAGS = {"0": 0, "1": 1, "false": 0, "true": 1, "": 0}


class FieldCheck:
    """Check annotations one by one, in whatever form their fields are.

    Attributes:
        outside: Number of boxes that reach beyond their image.
    """

    def __init__(self, content: dict, findings: Findings, sizes: dict, categories: set) -> None:
        self.content = content
        self.findings = findings
        self.sizes = sizes
        self.categories = categories
        self.outside = 0

    def check(self, index: int, annotation: object) -> None:
        """Check the entry of an index."""
        findings = self.findings
        if not isinstance(annotation, dict):
            findings.count(findings.problems, "an annotation is no object", f"entry {index}")
            return
        where = f"annotation {annotation.get('id', f'of entry {index}')!r}"
        size = self._check_image(index, annotation, where)
        if size is None:
            return
        self._check_category(index, annotation, where)
        for key, default in (("iscrowd", True), ("ignore", False)):
            self._check_flag(index, annotation, key, where, default)
        mask = self._check_mask(index, annotation, where, *size)
        self._check_box(index, annotation, where, mask, *size)
        self._check_area(index, annotation, where, mask, *size)

    def _patch(self, index: int, key: str, value: object, remark: str, where: str) -> None:
        self.findings.patch(self.content, "annotations", index, key, value)
        self.findings.count(self.findings.repairs, remark, where)

    def _refuse(self, remark: str, where: str) -> None:
        self.findings.count(self.findings.problems, remark, where)

    def _check_image(self, index: int, annotation: dict, where: str) -> tuple | None:
        """Return the size of the annotation's image; None if the annotation goes no further."""
        image = annotation.get("image_id")
        if image is None or isinstance(image, (bool, list, dict)):
            self._refuse("annotations need an image_id", f"{where} has {image!r}")
            return None
        if image not in self.sizes or isinstance(image, float):
            number = as_id(image)
            if number is None or number not in self.sizes:
                self.findings.drop("annotations", index)
                remark = "annotations of images that the file does not list left out"
                self.findings.count(self.findings.repairs, remark, f"{where} of image {image!r}")
                return None
            self._patch(index, "image_id", number, "image_id made a whole number", where)
            image = number
        return self.sizes[image]

    def _check_category(self, index: int, annotation: dict, where: str) -> None:
        category = annotation.get("category_id")
        number = as_id(category)
        if number is None or number not in self.categories:
            known = ", ".join(map(str, sorted(self.categories)[:8]))
            more = ", ..." if len(self.categories) > 8 else ""
            remark = f"annotations need the id of a category of the file ({known}{more})"
            self._refuse(remark, f"{where} has category_id {category!r}")
        elif type(category) is not int:
            self._patch(index, "category_id", number, "category_id made a whole number", where)

    def _check_flag(
        self, index: int, annotation: dict, key: str, where: str, is_needed: bool
    ) -> None:
        """Make a flag 0 or 1: mmdet takes the text '0' for true, pycocotools needs a number."""
        value = annotation.get(key)
        if type(value) is int and value in (0, 1):
            return
        if value is None:
            if is_needed or key in annotation:
                self._patch(index, key, 0, f"{key} set to 0 where it was missing", where)
            return
        flag = None
        if isinstance(value, (bool, float)) and value in (0, 1):
            flag = int(value)
        elif isinstance(value, str):
            flag = _FLAGS.get(value.strip().lower())
        if flag is None:
            self._refuse(f"{key} has to be 0 or 1", f"{where} has {value!r}")
        else:
            self._patch(index, key, flag, f"{key} made 0 or 1", where)

    def _check_mask(
        self, index: int, annotation: dict, where: str, width: float, height: float
    ) -> list | dict | None:
        findings = self.findings
        value = annotation.get("segmentation")
        try:
            mask = normalise(value, width, height)
        except InvalidMaskError as error:
            findings.count(
                findings.mask_problems,
                f"the segmentation {error}: correct it, or use a detector without masks "
                "(configs/faster_rcnn_*.py)",
                where,
            )
            return None
        if mask is None:
            findings.count(
                findings.mask_problems,
                "annotations without segmentation, which masks need: draw them, or use a detector "
                "without masks (configs/faster_rcnn_*.py)",
                where,
            )
            return None
        if mask.repair is not None:
            self._patch(index, "segmentation", mask.value, mask.repair, where)
        if isinstance(mask.value, dict) and annotation.get("iscrowd") == 0:
            findings.count(
                findings.outlines_only,
                "run lengths would be left out: set poly2mask=True in LoadAnnotations",
                where,
            )
        return mask.value

    def _check_box(
        self,
        index: int,
        annotation: dict,
        where: str,
        mask: list | dict | None,
        width: float,
        height: float,
    ) -> None:
        box = annotation.get("bbox")
        if box is None or box == []:
            if mask is None or math.inf in (width, height):
                self._refuse("annotations need a bbox or an outline", f"{where} has neither")
                return
            box = extent(mask, width, height)
            self._patch(index, "bbox", box, "bbox computed from the segmentation", where)
        try:
            numbers = [float(number) for number in box]
            x, y, w, h = numbers
        except (TypeError, ValueError):
            numbers = []
        if len(numbers) != 4 or not all(map(math.isfinite, numbers)) or isinstance(box, str):
            self._refuse("bbox has to be four numbers [x, y, width, height]", f"{where}: {box!r}")
            return
        if not all(type(number) in (int, float) for number in box):
            self._patch(index, "bbox", numbers, "bbox made numbers", where)
        if w < 0 or h < 0:
            self._refuse("width and height of a bbox are negative", f"{where}: {box!r}")
        elif x >= width or y >= height or x + w < 0 or y + h < 0:
            self._refuse(
                "boxes outside of their image; a bbox is [x, y, width, height] in pixels",
                f"{where}: {box!r} in an image of {width} x {height}",
            )
        else:
            if mask is not None and not _overlap(numbers, extent(mask, width, height)):
                self.findings.count(
                    self.findings.mask_problems,
                    "segmentations that lie outside of their bbox: one of the two is in other "
                    "coordinates",
                    f"{where}: bbox {box!r}, mask {extent(mask, width, height)!r}",
                )
            if min(x, y) < -TOLERANCE or x + w > width + 2 or y + h > height + 2:
                self.outside += 1
                remark = "boxes that reach beyond their image"
                at = f"{where}: {box!r} in an image of {width} x {height}"
                self.findings.count(self.findings.remarks, remark, at)
            if w == 0 or h == 0:
                remark = "boxes without extent, which training leaves out and nothing can find"
                self.findings.count(self.findings.remarks, remark, where)

    def _check_area(
        self,
        index: int,
        annotation: dict,
        where: str,
        mask: list | dict | None,
        width: float,
        height: float,
    ) -> None:
        value = annotation.get("area")
        if type(value) in (int, float) and 0 < value < math.inf:
            return
        if isinstance(value, str):
            try:
                number = float(value)
            except ValueError:
                number = 0.0
            if 0 < number < math.inf:
                self._patch(index, "area", number, "area made a number", where)
                return
        if mask is not None and math.inf not in (width, height):
            computed, origin = area(mask, width, height), "segmentation"
        else:
            try:
                computed = float(annotation["bbox"][2]) * float(annotation["bbox"][3])
            except (KeyError, TypeError, ValueError, IndexError):
                return  # The box is refused already.
            origin = "bbox"
        # COCO's own files have objects of no pixel; they stay as they are.
        if computed > 0 or type(value) not in (int, float):
            self._patch(index, "area", computed, f"area computed from the {origin}", where)


def _overlap(box: list[float], other: list[float]) -> bool:
    """Say whether two boxes have a point in common, with a pixel of tolerance."""
    return all(
        first[i] <= second[i] + second[i + 2] + 1
        for i in (0, 1)
        for first, second in ((box, other), (other, box))
    )
