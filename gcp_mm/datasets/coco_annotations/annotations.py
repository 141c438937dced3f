"""Check the annotations of a file: each of them, and what only all together show."""

from __future__ import annotations

import json
from collections.abc import Iterator

from gcp_mm.console.progress import if_long
from gcp_mm.datasets.coco_annotations.fields import (
    TOLERANCE,
    FieldCheck,
    is_placed,
    largest_area,
)
from gcp_mm.datasets.coco_annotations.findings import Findings

_BLOCK = 1000  # annotations between two looks at the clock


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
        crowds = 0
        numbers, identifiers = (int, float), (int, str)
        for index, annotation in self._numbered():
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
                    and type(found) in numbers
                    and type(crowd) is int
                    and 0 <= crowd <= 1
                    and "ignore" not in annotation
                    and is_placed(annotation["segmentation"], x, y, w, h, width, height)
                    and 0 < found <= largest_area(w, h)
                ):
                    ids.add(key)
                    crowds += crowd
                    continue
            except (KeyError, TypeError, ValueError):
                pass
            self.fields.check(index, annotation)
            if isinstance(annotation, dict):
                key = annotation.get("id")
                ids.add(key if type(key) is int else None)
                crowds += annotation.get("iscrowd") == 1
        if not self.findings.problems:
            self._number(ids)
            self._check_boxes()
            self._doubt(crowds)

    def _numbered(self) -> Iterator[tuple[int, object]]:
        """Count the annotations, and show how far it is if that lasts."""
        annotations = self.content["annotations"]
        what = f"checking the annotations of {self.findings.path!r}"
        with if_long(len(annotations), what) as progress:
            for start in range(0, len(annotations), _BLOCK):
                block = annotations[start : start + _BLOCK]
                yield from enumerate(block, start)
                progress.update(len(block))

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
            for annotation in self._kept()
        ]
        if not boxes:
            return
        if all(max(box[:4]) <= 1 for box in boxes):
            findings.count(
                findings.problems,
                "boxes are fractions of the image; multiply them by its width and height",
                f"the first: {list(boxes[0][:4])!r}",
            )
            return
        form = ""
        if 2 * self.fields.corners > len(boxes) or (
            4 * self.fields.outside >= len(boxes)
            and all(
                x < w <= width + TOLERANCE and y < h <= height + TOLERANCE
                for x, y, w, h, width, height in boxes
            )
        ):
            form = "[x1, y1, x2, y2]"
        elif 2 * self.fields.centres > len(boxes):
            form = "[centre x, centre y, width, height]"
        if form:
            findings.count(
                findings.problems,
                f"boxes are {form}; COCO's are [x, y, width, height]",
                f"the first: {list(boxes[0][:4])!r}",
            )

    def _doubt(self, crowds: int) -> None:
        """Say what changes numbers without being wrong in any single annotation."""
        kept = self._kept()
        some = 0.05 * len(kept)
        if crowds > some:  # COCO's own files have 1 in 85.
            # Some tools export as a crowd what was drawn as a bitmap.
            self._remark(
                f"{crowds} of {len(kept)} annotations are crowds (iscrowd 1), which training "
                "leaves out and evaluation does not count: set iscrowd to 0 where they are objects",
                next(a for a in kept if a["iscrowd"]),
            )
        copies = self._copies(kept)
        if len(copies) > some:
            self._remark(
                f"{len(copies)} of {len(kept)} annotations repeat the box and the class of another "
                "one, and only one of them can be found: export each object once",
                copies[0],
            )
        areas = {a["area"] for a in kept}
        if len(areas) == 1 and len({(*a["bbox"][2:],) for a in kept}) > 1 and len(kept) > 9:
            self._remark(
                f"all objects have the area {areas.pop():g}, by which small, medium and large ones "
                "are told apart: remove area from the file, and it is computed",
                kept[0],
            )

    def _remark(self, text: str, annotation: dict) -> None:
        where = f"the first is annotation {annotation.get('id')!r}"
        self.findings.count(self.findings.remarks, text, where)

    def _kept(self) -> list[dict]:
        gone = self.findings.dropped.get("annotations", ())
        annotations = self.content["annotations"]
        return [a for i, a in enumerate(annotations) if i not in gone] if gone else annotations

    @staticmethod
    def _copies(annotations: list[dict]) -> list[dict]:
        """Return the annotations that have image, class and box of an earlier one."""
        seen: set[tuple] = set()
        copies = []
        for annotation in annotations:
            key = (annotation["image_id"], annotation["category_id"], *annotation["bbox"])
            if key in seen:
                copies.append(annotation)
            seen.add(key)
        return copies
