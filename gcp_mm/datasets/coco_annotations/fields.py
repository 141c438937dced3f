"""Check the fields of one annotation, and repair what is certain."""

from __future__ import annotations

import math

from gcp_mm.datasets.coco_annotations.findings import Findings, as_id
from gcp_mm.datasets.coco_annotations.segmentation import (
    InvalidMaskError,
    area,
    extent,
    normalise,
)

# Pixels by which a box may reach beyond its image without a word.
TOLERANCE = 2
_NUMBERS = (int, float)
_FLAGS = {"0": 0, "1": 1, "false": 0, "true": 1, "": 0}


class FieldCheck:
    """Check annotations one by one, in whatever form their fields are.

    Attributes:
        outside: Number of boxes that reach beyond their image.
        corners: Number of boxes that fit their outline as [x1, y1, x2, y2].
        centres: Number of boxes that fit their outline as [centre x, centre y, width, height].
    """

    def __init__(self, content: dict, findings: Findings, sizes: dict, categories: set) -> None:
        self.content = content
        self.findings = findings
        self.sizes = sizes
        self.categories = categories
        self.outside = self.corners = self.centres = 0

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
        self._check_flag(index, annotation, "iscrowd", where)
        if "ignore" in annotation:
            self._check_flag(index, annotation, "ignore", where)
        mask = annotation.get("segmentation")
        try:
            is_usual = is_placed(mask, *annotation["bbox"], *size)
        except (KeyError, TypeError, ValueError):
            is_usual = False
        if not is_usual:
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

    def _check_flag(self, index: int, annotation: dict, key: str, where: str) -> None:
        """Make a flag 0 or 1: mmdet takes the text '0' for true, pycocotools needs a number."""
        value = annotation.get(key)
        if type(value) is int and value in (0, 1):
            return
        if value is None:
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
        except (TypeError, ValueError, OverflowError):
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
            if mask is not None:
                self._compare(numbers, extent(mask, width, height), where)
            if min(x, y) < -TOLERANCE or x + w > width + 2 or y + h > height + 2:
                self.outside += 1
                remark = "boxes that reach beyond their image"
                at = f"{where}: {box!r} in an image of {width} x {height}"
                self.findings.count(self.findings.remarks, remark, at)
            if w == 0 or h == 0:
                remark = "boxes without extent, which training leaves out and nothing can find"
                self.findings.count(self.findings.remarks, remark, where)

    def _compare(self, box: list[float], outline: list[float], where: str) -> None:
        """Compare a box with the one around its mask."""
        findings = self.findings
        both = f"{where}: bbox {box!r}, mask {outline!r}"
        if not _overlap(box, outline):
            remark = "segmentations that lie outside of their bbox: one of the two is in other "
            findings.count(findings.mask_problems, f"{remark}coordinates", both)
            return
        if _are_alike(box, outline):
            return
        x, y, w, h = box
        self.corners += _are_alike([x, y, w - x, h - y], outline)
        self.centres += _are_alike([x - w / 2, y - h / 2, w, h], outline)
        findings.count(findings.remarks, "boxes that are not those around their masks", both)

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
        try:
            w, h = (float(side) for side in annotation["bbox"][2:])
        except (KeyError, TypeError, ValueError, OverflowError):
            return  # The box is refused already.
        largest = largest_area(w, h)
        if type(value) in (int, float) and 0 < value <= largest:
            return
        if isinstance(value, str):
            try:
                number = float(value)
            except ValueError:
                number = 0.0
            if 0 < number <= largest:
                self._patch(index, "area", number, "area made a number", where)
                return
        if mask is not None and math.inf not in (width, height):
            computed, origin = area(mask, width, height), "segmentation"
        else:
            computed, origin = w * h, "bbox"
        # COCO's own files have objects of no pixel; they stay as they are.
        if type(value) not in (int, float) or not math.isfinite(value):
            self._patch(index, "area", computed, f"area computed from the {origin}", where)
        elif computed > 0 and (value <= 0 or computed < value):
            why = " where it was larger than the bbox" if value > 0 else ""
            self._patch(index, "area", computed, f"area computed from the {origin}{why}", where)


def largest_area(width: float, height: float) -> float:
    """Return the largest area that an object in a box can have, in whole pixels."""
    return (width + TOLERANCE) * (height + TOLERANCE)


def is_placed(
    segmentation: object,
    x: float,
    y: float,
    w: float,
    h: float,
    width: float,
    height: float,
) -> bool:
    """Say whether a box is within its image, and the one around polygons.

    Raises TypeError on what is no number.
    """
    if (
        type(x) not in _NUMBERS
        or type(y) not in _NUMBERS
        or not (w >= 1 and h >= 1)
        or not (-TOLERANCE <= x < width and x + w <= width + TOLERANCE)
        or not (-TOLERANCE <= y < height and y + h <= height + TOLERANCE)
        or type(segmentation) is not list
        or not segmentation
    ):
        return False
    left = top = math.inf
    right = bottom = -math.inf
    total = 0.0
    for polygon in segmentation:
        if type(polygon) is not list or len(polygon) < 6 or len(polygon) % 2:
            return False
        across, down = polygon[0::2], polygon[1::2]
        left, right = min(left, min(across)), max(right, max(across))
        top, bottom = min(top, min(down)), max(bottom, max(down))
        total += sum(polygon)
    return (
        abs(left - x) <= TOLERANCE
        and abs(top - y) <= TOLERANCE
        and abs(right - x - w) <= TOLERANCE
        and abs(bottom - y - h) <= TOLERANCE
        # NaN and infinite numbers may pass until here.
        and total - total == 0
        and type(total) is float
    )


def _are_alike(box: list[float], other: list[float]) -> bool:
    """Say whether the edges of two boxes are within some pixels, or a tenth of their size."""
    return all(
        abs(box[i] - other[i]) <= margin
        and abs(box[i] + box[i + 2] - other[i] - other[i + 2]) <= margin
        for i in (0, 1)
        for margin in [max(TOLERANCE, 0.1 * other[i + 2])]
    )


def _overlap(box: list[float], other: list[float]) -> bool:
    """Say whether two boxes have a point in common, with a pixel of tolerance."""
    return all(
        first[i] <= second[i] + second[i + 2] + 1
        for i in (0, 1)
        for first, second in ((box, other), (other, box))
    )
