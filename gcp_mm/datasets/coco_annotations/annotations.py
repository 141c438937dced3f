"""Check the annotations of a file: each of them, and what only all together show."""

from __future__ import annotations

import json
from collections.abc import Iterator

from gcp_mm.console.progress import if_long
from gcp_mm.datasets.coco_annotations import fields
from gcp_mm.datasets.coco_annotations.findings import Findings

_BLOCK = 1000  # annotations between two looks at the clock


def check_annotations(annotations: list, known: fields.Known) -> None:
    """Check all annotations: with a few comparisons those that are as COCO's own are."""
    findings = known.findings
    ids: set[int | None] = set()
    for index, annotation in _numbered(annotations, findings.path):
        if not isinstance(annotation, dict):
            findings.problems.add("an annotation is no object", f"entry {index}")
            continue
        if not _is_usual(annotation, known):
            fields.FieldCheck(known, index, annotation).check()
        key = annotation.get("id")
        ids.add(key if type(key) is int else None)
    if findings.problems:
        return
    _number(annotations, ids, findings)
    gone = findings.dropped.get("annotations", ())
    kept = [a for index, a in enumerate(annotations) if index not in gone] if gone else annotations
    if kept:
        _check_convention(kept, known)
        _doubt(kept, findings)


def _numbered(annotations: list, path: str) -> Iterator[tuple[int, object]]:
    """Count the annotations, and show how far it is if that lasts."""
    with if_long(len(annotations), f"checking the annotations of {path!r}") as progress:
        for start in range(0, len(annotations), _BLOCK):
            block = annotations[start : start + _BLOCK]
            yield from enumerate(block, start)
            progress.update(len(block))


def _is_usual(annotation: dict, known: fields.Known) -> bool:
    """Say whether an annotation is as COCO's own are, with nothing to repair."""
    try:
        key, image, bbox = annotation["id"], annotation["image_id"], annotation["bbox"]
        category = annotation["category_id"]
        found, crowd = annotation["area"], annotation["iscrowd"]
        return (
            type(key) is type(category) is int
            and category in known.categories
            and type(image) in (int, str)
            and type(found) in fields.NUMBERS
            and type(crowd) is int
            and 0 <= crowd <= 1
            and "ignore" not in annotation
            and fields.is_placed(bbox, annotation["segmentation"], known.sizes[image])
            and 0 < found <= fields.largest_area(*bbox[2:])
        )
    except fields.NO_BOX:
        return False


def _number(annotations: list[dict], ids: set[int | None], findings: Findings) -> None:
    """Count the ids of annotations anew if pycocotools could not tell them apart."""
    if None in ids:
        what = "annotation ids that are no whole numbers counted anew"
    elif 0 in ids:
        # COCOeval marks what is not matched with 0.
        what = "annotation ids counted from 1, as 0 would count as not found"
    elif len(ids) == len(annotations) or _drop_copies(annotations, findings) == len(ids):
        return
    else:
        what = "annotation ids that occur several times counted anew"
    findings.renumber = True
    findings.repairs.add(what, f"{len(annotations)} annotations")


def _drop_copies(annotations: list[dict], findings: Findings) -> int:
    """Leave out annotations that are there twice; return how many different ones there are."""
    # By their text: thousands may share an id.
    seen: set[str] = set()
    for index, annotation in enumerate(annotations):
        text = json.dumps(annotation, sort_keys=True)
        if text in seen:
            what = "annotations that are there twice left out"
            findings.drop("annotations", index, what, f"annotation {annotation.get('id')!r}")
        seen.add(text)
    return len(seen)


def _check_convention(annotations: list[dict], known: fields.Known) -> None:
    """Recognise boxes in another convention, which single ones do not show."""
    boxes = [(*a["bbox"], *known.sizes[a["image_id"]]) for a in annotations]
    first = f"the first: {list(boxes[0][:4])!r}"
    if all(max(box[:4]) <= 1 for box in boxes):
        advice = "multiply them by its width and height"
        known.findings.problems.add(f"boxes are fractions of the image; {advice}", first)
        return
    form = ""
    if 2 * known.corners > len(boxes) or (
        4 * known.outside >= len(boxes)
        and all(
            x < w <= width + fields.TOLERANCE and y < h <= height + fields.TOLERANCE
            for x, y, w, h, width, height in boxes
        )
    ):
        form = "[x1, y1, x2, y2]"
    elif 2 * known.centres > len(boxes):
        form = "[centre x, centre y, width, height]"
    if form:
        known.findings.problems.add(f"boxes are {form}; COCO's are [x, y, width, height]", first)


def _doubt(annotations: list[dict], findings: Findings) -> None:
    """Say what changes numbers without being wrong in any single annotation."""

    def remark(what: str, annotation: dict) -> None:
        findings.remarks.add(what, f"the first is annotation {annotation.get('id')!r}")

    number = len(annotations)
    some = 0.05 * number
    crowds = [a for a in annotations if a["iscrowd"]]
    if len(crowds) > some:  # COCO's own files have 1 in 85.
        # Some tools export as a crowd what was drawn as a bitmap.
        remark(
            f"{len(crowds)} of {number} annotations are crowds (iscrowd 1), which training "
            "leaves out and evaluation does not count: set iscrowd to 0 where they are objects",
            crowds[0],
        )
    seen: set[tuple] = set()
    copies = []
    for annotation in annotations:
        key = (annotation["image_id"], annotation["category_id"], *annotation["bbox"])
        if key in seen:
            copies.append(annotation)
        seen.add(key)
    if len(copies) > some:
        remark(
            f"{len(copies)} of {number} annotations repeat the box and the class of another "
            "one, and only one of them can be found: export each object once",
            copies[0],
        )
    areas = {a["area"] for a in annotations}
    if len(areas) == 1 and number > 9 and len({(*a["bbox"][2:],) for a in annotations}) > 1:
        remark(
            f"all objects have the area {areas.pop():g}, by which small, medium and large ones "
            "are told apart: remove area from the file, and it is computed",
            annotations[0],
        )
