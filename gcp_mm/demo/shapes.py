"""Outlines of the object classes of the demo scenes, and their rasterisation."""

from __future__ import annotations

import cv2
import numpy as np

SHAPE_NAMES = ("disk", "triangle", "star")

_SUPERSAMPLING = 4
_SUBPIXEL_BITS = 8
_STAR_INNER_RADIUS = 0.45


def shape_outline(name: str) -> np.ndarray:
    """Return the outline of a shape, centred at the origin and of unit area.

    Equal areas keep the size of an object from telling its class.

    Args:
        name: One of `SHAPE_NAMES`.

    Returns:
        Vertices `(x, y)` of a closed polygon, of shape `(N, 2)`, in order around the polygon.

    Raises:
        ValueError: If `name` is not one of `SHAPE_NAMES`.
    """
    if name == "disk":
        radii = np.ones(64)
    elif name == "triangle":
        radii = np.ones(3)
    elif name == "star":
        radii = np.tile([1.0, _STAR_INNER_RADIUS], 5)
    else:
        raise ValueError(f"There is no shape named {name!r}; choose one of {SHAPE_NAMES}.")
    angles = 2.0 * np.pi * np.arange(len(radii)) / len(radii)
    points = radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    following = np.roll(points, -1, axis=0)
    area = 0.5 * np.sum(points[:, 0] * following[:, 1] - points[:, 1] * following[:, 0])
    return points / np.sqrt(area)


def shape_coverage(
    name: str,
    center: tuple[float, float],
    side: float,
    image_size: tuple[int, int],
    angle: float = 0.0,
    aspect: float = 1.0,
) -> np.ndarray:
    """Rasterise a shape with anti-aliasing.

    Args:
        name: One of `SHAPE_NAMES`.
        center: Centre `(x, y)` in pixels; pixel `(row, column)` covers `column <= x < column + 1`
            and `row <= y < row + 1`.
        side: Square root of the area of the shape, in pixels.
        image_size: Width and height of the raster, in pixels.
        angle: Rotation in radians.
        aspect: Ratio of the stretches along the two axes of the shape; leaves the area unchanged.

    Returns:
        Fraction of each pixel that the shape covers, of shape `(height, width)`, float32 in
        [0, 1]. What lies outside the raster is cut off.

    Raises:
        ValueError: If `name` is not one of `SHAPE_NAMES`.
    """
    stretch = side * np.array([np.sqrt(aspect), 1.0 / np.sqrt(aspect)])
    cosine, sine = np.cos(angle), np.sin(angle)
    points = (shape_outline(name) * stretch) @ np.array([[cosine, sine], [-sine, cosine]])
    points = points + np.asarray(center)
    # OpenCV puts the centre of the first pixel, not its corner, at the origin.
    fine = (points * _SUPERSAMPLING - 0.5) * (1 << _SUBPIXEL_BITS)
    width, height = image_size
    raster = np.zeros((height * _SUPERSAMPLING, width * _SUPERSAMPLING), dtype=np.float32)
    cv2.fillPoly(raster, [np.rint(fine).astype(np.int32)], 1.0, shift=_SUBPIXEL_BITS)
    return cv2.resize(raster, (width, height), interpolation=cv2.INTER_AREA)
