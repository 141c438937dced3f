"""Polygons along the pixel edges of a binary mask."""

from __future__ import annotations

import cv2
import numpy as np


def mask_polygons(mask: np.ndarray) -> list[list[float]]:
    """Trace a binary mask as polygons, as in the `segmentation` field of COCO.

    The vertices lie on the corners of pixels, so that the polygons enclose exactly the pixels of
    the mask. Each connected part has a polygon of its own. COCO's polygons cannot express holes:
    a part with a hole is cut into parts without one, by vertical lines through the holes.

    Args:
        mask: Mask of shape `(height, width)`; non-zero is foreground.

    Returns:
        Polygons `[x1, y1, x2, y2, ...]` in pixels, each of at least four vertices; empty for an
        empty mask.
    """
    count, labels = cv2.connectedComponents(np.asarray(mask, dtype=np.uint8), connectivity=4)
    polygons = []
    for label in range(1, count):
        for part in _without_holes(labels == label):
            polygons.append(_trace(part))
    return polygons


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
        count, labels = cv2.connectedComponents(half.astype(np.uint8), connectivity=4)
        for label in range(1, count):
            parts.extend(_without_holes(labels == label))
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
