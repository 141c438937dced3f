"""Check the annotations of a file: each of them, and what only all together show."""

from __future__ import annotations

import json
import math

from gcp_mm.datasets.coco_annotations.fields import TOLERANCE, FieldCheck
from gcp_mm.datasets.coco_annotations.findings import Findings


class AnnotationCheck:
    """Check all annotations: a few comparisons for each that is as COCO's own are."""

    def __init__(self, content: dict, findings: Findings, sizes: dict, categories: set) -> None:
        self.content = content
        self.findings = findings
        self.sizes = sizes
        self.categories = categories
        self.fields = FieldCheck(content, findings, sizes, categories)

    def check(self) -> None:
        """Check each annotation, and then what only all together show."""
        sizes, categories = self.sizes, self.categories
        ids = set()
        numbers, identifiers = (int, float), (int, str)
        for index, annotation in enumerate(self.content["annotations"]):
            try:
                key = annotation["id"]
                image = annotation["image_id"]
                width, height = sizes[image]
                x, y, w, h = annotation["bbox"]
                found = annotation["area"]
                crowd = annotation["iscrowd"]
                if (
                    type(key) is int
                    and key
                    and annotation["category_id"] in categories
                    and type(image) in identifiers
                    and type(x) in numbers
                    and type(y) in numbers
                    and type(found) in numbers
                    and 0 < found < math.inf
                    and type(crowd) is int
                    and 0 <= crowd <= 1
                    and w >= 1
                    and h >= 1
                    and -TOLERANCE <= x < width
                    and -TOLERANCE <= y < height
                    and x + w <= width + TOLERANCE
                    and y + h <= height + TOLERANCE
                    and "ignore" not in annotation
                    and _are_polygons_within(annotation["segmentation"], x, y, w, h)
                ):
                    ids.add(key)
                    continue
            except (KeyError, TypeError, ValueError):
                pass
            self.fields.check(index, annotation)
            if isinstance(annotation, dict):
                key = annotation.get("id")
                ids.add(key if type(key) is int else None)
        if not self.findings.problems:
            self._number(ids)
            self._check_boxes()

    def _number(self, ids: set) -> None:
        """Count the ids of annotations anew if pycocotools could not tell them apart."""
        findings, annotations = self.findings, self.content["annotations"]
        if None in ids:
            why = "annotation ids that are no whole numbers counted anew"
        elif 0 in ids:
            # COCOeval marks what is not matched with 0.
            why = "annotation ids counted from 1, as 0 would count as not found"
        elif len(ids) == len(annotations) or self._are_copies(len(ids)):
            return
        else:
            why = "annotation ids that occur several times counted anew"
        findings.renumber = True
        findings.count(findings.repairs, why, f"{len(annotations)} annotations")

    def _are_copies(self, number: int) -> bool:
        """Leave out annotations that are there twice; say whether that leaves each id once."""
        findings = self.findings
        # By their text: thousands may share an id.
        seen: set[str] = set()
        for index, annotation in enumerate(self.content["annotations"]):
            text = json.dumps(annotation, sort_keys=True)
            if text in seen:
                findings.drop("annotations", index)
                where = f"annotation {annotation.get('id')!r}"
                findings.count(findings.repairs, "annotations that are there twice left out", where)
            seen.add(text)
        return len(seen) == number

    def _check_boxes(self) -> None:
        """Recognise boxes in another convention, which single ones do not show."""
        findings = self.findings
        boxes = [
            (*annotation["bbox"], *self.sizes[annotation["image_id"]])
            for index, annotation in enumerate(self.content["annotations"])
            if index not in findings.dropped.get("annotations", ())
        ]
        if not boxes:
            return
        if all(max(box[:4]) <= 1 for box in boxes):
            self.findings.count(
                self.findings.problems,
                "boxes are fractions of the image; multiply them by its width and height",
                f"the first: {list(boxes[0][:4])!r}",
            )
        elif 4 * self.fields.outside >= len(boxes) and all(
            x < w <= width + TOLERANCE and y < h <= height + TOLERANCE
            for x, y, w, h, width, height in boxes
        ):
            self.findings.count(
                self.findings.problems,
                "boxes are [x1, y1, x2, y2]; COCO's are [x, y, width, height]",
                f"the first: {list(boxes[0][:4])!r}",
            )


def _are_polygons_within(
    segmentation: object, x: float, y: float, width: float, height: float
) -> bool:
    """Say whether these are polygons within their box; raise TypeError on what is no number."""
    if type(segmentation) is not list or not segmentation:
        return False
    left, top = x - TOLERANCE, y - TOLERANCE
    right, bottom = x + width + TOLERANCE, y + height + TOLERANCE
    total = 0.0
    for polygon in segmentation:
        if type(polygon) is not list or len(polygon) < 6 or len(polygon) % 2:
            return False
        across, down = polygon[0::2], polygon[1::2]
        # NaN may pass here, and fails the last comparison.
        if min(across) < left or max(across) > right or min(down) < top or max(down) > bottom:
            return False
        total += sum(polygon)
    return total - total == 0 and type(total) is float
