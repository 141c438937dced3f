"""Check the fields of one annotation, and repair what is certain."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from gcp_mm.datasets.coco_annotations.findings import Findings, as_id
from gcp_mm.datasets.coco_annotations.segmentation import InvalidMaskError, area, extent, normalise

# Pixels by which a box may reach beyond its image without a word.
TOLERANCE = 2
NUMBERS = {int, float}
# An overflow is of a whole number beyond every float.
NO_BOX = (KeyError, TypeError, ValueError, OverflowError)
_FLAGS = {"0": 0, "1": 1, "false": 0, "true": 1, "": 0}
_OR_NO_MASKS = "or use a detector without masks (configs/faster_rcnn_*.py)"

Size = tuple[float, float]
"""Width and height of an image; infinite where the file does not say and no image is there."""


@dataclass
class Known:
    """What all annotations of a file are compared with, and the boxes counted over them.

    That is those that reach beyond their image, and those that fit their outline as
    [x1, y1, x2, y2] or as [centre x, centre y, width, height].
    """

    findings: Findings
    sizes: Mapping[object, Size]
    categories: Collection
    outside: int = 0
    corners: int = 0
    centres: int = 0


class FieldCheck:
    """Check one annotation, in whatever form its fields are."""

    def __init__(self, known: Known, index: int, annotation: dict) -> None:
        self.known, self.findings = known, known.findings
        self.index, self.annotation = index, annotation
        self.where = f"annotation {annotation.get('id', f'of entry {index}')!r}"

    def check(self) -> None:
        """Check all fields."""
        annotation = self.annotation
        size = self._check_image()
        if size is None:
            return
        self._check_category()
        self._check_flag("iscrowd")
        if "ignore" in annotation:
            self._check_flag("ignore")
        mask = annotation.get("segmentation")
        try:
            is_fine = is_placed(annotation["bbox"], mask, size)
        except NO_BOX:
            is_fine = False
        if not is_fine:
            mask = self._check_mask(*size)
            self._check_box(mask, *size)
        self._check_area(mask, *size)

    def _patch(self, key: str, value: object, what: str) -> None:
        values = {key: value}
        self.findings.patch("annotations", self.index, self.annotation, values, what, self.where)

    def _check_image(self) -> Size | None:
        """Return the size of the annotation's image; None if the annotation goes no further."""
        image, sizes = self.annotation.get("image_id"), self.known.sizes
        if image is None or isinstance(image, (bool, list, dict)):
            what = "annotations need an image_id"
            self.findings.problems.add(what, f"{self.where} has {image!r}")
            return None
        if image not in sizes or isinstance(image, float):
            number = as_id(image)
            if number is None or number not in sizes:
                what = "annotations of images that the file does not list left out"
                where = f"{self.where} of image {image!r}"
                self.findings.drop("annotations", self.index, what, where)
                return None
            self._patch("image_id", number, "image_id made a whole number")
            image = number
        return sizes[image]

    def _check_category(self) -> None:
        category, known = self.annotation.get("category_id"), self.known.categories
        number = as_id(category)
        if number is None or number not in known:
            first = ", ".join(map(str, sorted(known)[:8])) + (", ..." if len(known) > 8 else "")
            self.findings.problems.add(
                f"annotations need the id of a category of the file ({first})",
                f"{self.where} has category_id {category!r}",
            )
        elif type(category) is not int:
            self._patch("category_id", number, "category_id made a whole number")

    def _check_flag(self, key: str) -> None:
        """Make a flag 0 or 1: mmdet takes the text '0' for true, pycocotools needs a number."""
        value = self.annotation.get(key)
        if type(value) is int and value in (0, 1):
            return
        flag = None
        if isinstance(value, (bool, float)) and value in (0, 1):
            flag = int(value)
        elif isinstance(value, str):
            flag = _FLAGS.get(value.strip().lower())
        if value is None:
            self._patch(key, 0, f"{key} set to 0 where it was missing")
        elif flag is None:
            self.findings.problems.add(f"{key} has to be 0 or 1", f"{self.where} has {value!r}")
        else:
            self._patch(key, flag, f"{key} made 0 or 1")

    def _check_mask(self, width: float, height: float) -> list | dict | None:
        """Return the mask in COCO's form; None if there is none that can be read."""
        try:
            mask = normalise(self.annotation.get("segmentation"), width, height)
        except InvalidMaskError as error:
            what = f"the segmentation {error}: correct it, {_OR_NO_MASKS}"
            self.findings.mask_problems.add(what, self.where)
            return None
        if mask is None:
            what = "annotations without segmentation, which masks need: draw them"
            self.findings.mask_problems.add(f"{what}, {_OR_NO_MASKS}", self.where)
            return None
        if mask.repair is not None:
            self._patch("segmentation", mask.value, mask.repair)
        if isinstance(mask.value, dict) and self.annotation.get("iscrowd") == 0:
            what = "run lengths would be left out: set poly2mask=True in LoadAnnotations"
            self.findings.outlines_only.add(what, self.where)
        return mask.value

    def _check_box(self, mask: list | dict | None, width: float, height: float) -> None:
        findings, box = self.findings, self.annotation.get("bbox")
        if box is None or box == []:
            if mask is None or math.inf in (width, height):
                what = "annotations need a bbox or an outline"
                findings.problems.add(what, f"{self.where} has neither")
                return
            box = extent(mask, width, height)
            self._patch("bbox", box, "bbox computed from the segmentation")
        at = f"{self.where}: {box!r}"
        try:
            numbers = [float(number) for number in box]
            x, y, w, h = numbers
        except (TypeError, ValueError, OverflowError):
            numbers = []
        if not numbers or not all(map(math.isfinite, numbers)) or isinstance(box, str):
            findings.problems.add("bbox has to be four numbers [x, y, width, height]", at)
            return
        if not all(type(number) in NUMBERS for number in box):
            self._patch("bbox", numbers, "bbox made numbers")
        in_image = f"{at} in an image of {width} x {height}"
        if w < 0 or h < 0:
            findings.problems.add("width and height of a bbox are negative", at)
        elif x >= width or y >= height or x + w < 0 or y + h < 0:
            what = "boxes outside of their image; a bbox is [x, y, width, height] in pixels"
            findings.problems.add(what, in_image)
        else:
            if mask is not None:
                self._compare(numbers, extent(mask, width, height))
            if min(x, y) < -TOLERANCE or x + w > width + TOLERANCE or y + h > height + TOLERANCE:
                self.known.outside += 1
                findings.remarks.add("boxes that reach beyond their image", in_image)
            if w == 0 or h == 0:
                what = "boxes without extent, which training leaves out and nothing can find"
                findings.remarks.add(what, self.where)

    def _compare(self, box: list[float], outline: list[float]) -> None:
        """Compare a box with the one around its mask."""
        both = f"{self.where}: bbox {box!r}, mask {outline!r}"
        if not _overlap(box, outline):
            self.findings.mask_problems.add(
                "segmentations that lie outside of their bbox: one of the two is in other "
                "coordinates",
                both,
            )
        elif not _are_alike(box, outline):
            x, y, w, h = box
            self.known.corners += _are_alike([x, y, w - x, h - y], outline)
            self.known.centres += _are_alike([x - w / 2, y - h / 2, w, h], outline)
            self.findings.remarks.add("boxes that are not those around their masks", both)

    def _check_area(self, mask: list | dict | None, width: float, height: float) -> None:
        value = self.annotation.get("area")
        try:
            w, h = (float(side) for side in self.annotation["bbox"][2:])
        except NO_BOX:
            return  # The box is refused already.
        largest = largest_area(w, h)
        number = math.nan
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            number = value
            if 0 < number <= largest:
                return
        elif isinstance(value, str):
            try:
                written = float(value)
            except ValueError:
                written = 0.0
            if 0 < written <= largest:
                self._patch("area", written, "area made a number")
                return
        if mask is not None and math.inf not in (width, height):
            computed, origin = area(mask, width, height), "segmentation"
        else:
            computed, origin = w * h, "bbox"
        # COCO's own files have objects of no pixel; they stay as they are.
        if not abs(number) < math.inf:
            self._patch("area", computed, f"area computed from the {origin}")
        elif computed > 0 and (number <= 0 or computed < number):
            why = " where it was larger than the bbox" if number > 0 else ""
            self._patch("area", computed, f"area computed from the {origin}{why}")


def is_placed(box: list, segmentation: object, size: Size) -> bool:
    """Say whether a box is within its image, and the one around polygons.

    Raises one of NO_BOX on what is no box.
    """
    x, y, w, h = box
    width, height = size
    if (
        not {type(x), type(y), type(w), type(h)} <= NUMBERS
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


def largest_area(width: float, height: float) -> float:
    """Return the largest area that an object in a box can have, in whole pixels."""
    return (width + TOLERANCE) * (height + TOLERANCE)


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
