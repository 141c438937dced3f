"""Ground truth of demo scenes in the JSON format of COCO 2017."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from demo.drawing import SHAPE_NAMES
from demo.scene import SPLIT_NAMES, Scene

MAX_IMAGES = 1_000_000

_MAX_OBJECTS_PER_IMAGE = 100


def mask_polygons(mask: np.ndarray) -> list[list[float]]:
    """Trace a binary mask (height, width) as polygons [x1, y1, x2, y2, ...], none if it is empty.

    The vertices lie on the corners of pixels, so that the polygons enclose exactly the pixels of
    the mask. Each connected part has a polygon of its own. COCO's polygons cannot express holes:
    a part with a hole is cut into parts without one, by vertical lines through the holes.
    """
    return [_trace(whole) for part in _parts(mask) for whole in _without_holes(part)]


def _parts(mask: np.ndarray) -> list[np.ndarray]:
    """Return the 4-connected parts of a mask."""
    count, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)
    return [labels == label for label in range(1, count)]


def _without_holes(part: np.ndarray) -> list[np.ndarray]:
    """Cut a 4-connected mask into 4-connected masks without holes."""
    # The outer boundary that OpenCV traces passes over gaps at corners, so that background which
    # leaks out through corners only has to count as a hole, too.
    background = np.pad(~part, 1, constant_values=True).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(background, connectivity=4)
    holes = [label for label in range(1, count) if label != labels[0, 0]]
    if not holes:
        return [part]
    left, width = stats[holes[0], [cv2.CC_STAT_LEFT, cv2.CC_STAT_WIDTH]]
    # Padding shifted the columns by one.
    cut = left - 1 + (width + 1) // 2
    parts = []
    for columns in (slice(None, cut), slice(cut, None)):
        half = np.zeros_like(part)
        half[:, columns] = part[:, columns]
        for piece in _parts(half):
            parts += _without_holes(piece)
    return parts


def _trace(part: np.ndarray) -> list[float]:
    """Return the outer boundary of a 4-connected mask along the edges of its pixels."""
    # OpenCV traces through the centres of border pixels. In the mask of doubled resolution, the
    # centres on both sides of a pixel edge round to that edge.
    doubled = part.astype(np.uint8).repeat(2, axis=0).repeat(2, axis=1)
    contours, _ = cv2.findContours(doubled, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    points = (contours[0][:, 0, :] + 1) // 2
    points = points[np.any(points != np.roll(points, 1, axis=0), axis=1)]
    before, after = points - np.roll(points, 1, axis=0), np.roll(points, -1, axis=0) - points
    turns = before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]
    return points[turns].ravel().astype(float).tolist()


def coco_image_id(split: str, index: int) -> int:
    """Return the image id of a scene, unique across both splits."""
    return SPLIT_NAMES.index(split) * MAX_IMAGES + index + 1


def coco_annotations(scene: Scene, image_id: int) -> list[dict[str, Any]]:
    """Describe every object of a scene as a COCO annotation.

    Objects are given by polygons, crowds by an uncompressed run-length encoding. `bbox` is
    `[x, y, width, height]` and `area` the number of pixels, both of the visible mask.
    """
    annotations = []
    for number, item in enumerate(scene.objects):
        segmentation: Any = mask_polygons(item.mask)
        if item.crowd:
            segmentation = {"counts": _run_lengths(item.mask), "size": list(item.mask.shape)}
        annotations.append(
            {
                "segmentation": segmentation,
                "area": float(item.mask.sum()),
                "iscrowd": int(item.crowd),
                "image_id": image_id,
                "bbox": _bounding_box(item.mask),
                "category_id": item.category + 1,
                "id": image_id * _MAX_OBJECTS_PER_IMAGE + number,
            }
        )
    return annotations


def coco_image(scene: Scene, image_id: int) -> dict[str, Any]:
    """Describe the image of a scene as in COCO."""
    height, width = scene.image.shape[:2]
    return {
        "license": 1,
        "file_name": f"{image_id:012d}.jpg",
        "coco_url": "",
        "height": height,
        "width": width,
        "date_captured": "2017-01-01 00:00:00",
        "flickr_url": "",
        "id": image_id,
    }


def coco_dataset(
    images: list[dict[str, Any]], annotations: list[dict[str, Any]], split: str
) -> dict[str, Any]:
    """Assemble the content of an `instances_*.json` file."""
    # Constant dates keep the file a function of the arguments alone.
    return {
        "info": {
            "description": f"Synthetic scenes of overlapping shapes, {split} split",
            "url": "",
            "version": "1.0",
            "year": 2017,
            "contributor": "gcp_mm",
            "date_created": "2017/01/01",
        },
        "licenses": [
            {
                "url": "https://creativecommons.org/publicdomain/zero/1.0/",
                "id": 1,
                "name": "CC0 1.0 Universal",
            }
        ],
        "images": images,
        "annotations": annotations,
        "categories": [
            {"supercategory": "shape", "id": number, "name": name}
            for number, name in enumerate(SHAPE_NAMES, start=1)
        ],
    }


def _bounding_box(mask: np.ndarray) -> list[float]:
    """Return `[x, y, width, height]` of the foreground, from pixel edge to pixel edge."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    x, y = columns[0], rows[0]
    return [float(x), float(y), float(columns[-1] + 1 - x), float(rows[-1] + 1 - y)]


def _run_lengths(mask: np.ndarray) -> list[int]:
    """Return the lengths of runs down the columns, beginning with one of background."""
    flat = mask.ravel(order="F")
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    runs = np.diff(np.concatenate([[0], changes, [flat.size]])).tolist()
    return [0, *runs] if flat[0] else runs
