"""What demo scenes are painted with: colours, procedural textures, and the shapes of objects."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import cv2
import numpy as np

TEXTURE_NAMES = ("plain", "stripes", "checkers", "dots", "clouds", "grain")

SHAPE_NAMES = ("disk", "triangle", "star")

_MIN_COLOR_DISTANCE = 0.35
_SUPERSAMPLING = 4
_SUBPIXEL_BITS = 8
_STAR_INNER_RADIUS = 0.45


def sample_color(rng: np.random.Generator, taken: Sequence[np.ndarray] = ()) -> np.ndarray:
    """Draw an RGB colour (3,) in [0, 1] that differs visibly from the colours in use."""
    best, best_distance = np.zeros(3), -1.0
    for _ in range(32):
        hue, saturation, value = rng.uniform([0.0, 0.15, 0.25], [1.0, 0.95, 0.95])
        color = np.array(colorsys.hsv_to_rgb(hue, saturation, value))
        distance = min((float(np.linalg.norm(color - other)) for other in taken), default=np.inf)
        if distance > best_distance:
            best, best_distance = color, distance
        if distance >= _MIN_COLOR_DISTANCE:
            break
    return best


def paint_texture(
    rng: np.random.Generator,
    color: np.ndarray,
    image_size: tuple[int, int],
    window: tuple[slice, slice] = (slice(None), slice(None)),
) -> np.ndarray:
    """Paint a random texture around a colour, under a random slant of light: float32 in [0, 1].

    Of an image of this width and height only a window of rows and columns is painted, which is
    faster; the random numbers drawn are the same.
    """
    kind = TEXTURE_NAMES[rng.integers(len(TEXTURE_NAMES))]
    pattern = _pattern(rng, kind, image_size, window)
    contrast = rng.choice([-1.0, 1.0], size=3) * rng.uniform(0.08, 0.22, size=3)
    image = color + (pattern[:, :, None] - 0.5) * contrast
    along, _ = _rotated_axes(rng, image_size, window)
    slope = rng.uniform(0.0, 0.3)
    light = 1.0 + slope * (along / max(image_size))
    return np.clip(image * light[:, :, None], 0.0, 1.0).astype(np.float32)


def _pattern(
    rng: np.random.Generator, kind: str, image_size: tuple[int, int], window: tuple[slice, slice]
) -> np.ndarray:
    """Return the window of a texture's pattern, a 2-D array with values in [0, 1]."""
    width, height = image_size
    along, across = _rotated_axes(rng, image_size, window)
    period = rng.uniform(6.0, 16.0)
    wave_along = np.sin(2.0 * np.pi * along / period)
    wave_across = np.sin(2.0 * np.pi * across / period)
    if kind == "stripes":
        return 0.5 + 0.5 * wave_along
    if kind == "checkers":
        return (wave_along * wave_across > 0.0).astype(np.float64)
    if kind == "dots":
        return (wave_along + wave_across > 0.9).astype(np.float64)
    if kind == "clouds":
        return _clouds(rng, image_size)[window]
    if kind == "grain":
        return rng.uniform(0.0, 1.0, size=(height, width))[window]
    return np.full(along.shape, 0.5)


def _clouds(rng: np.random.Generator, image_size: tuple[int, int]) -> np.ndarray:
    """Sum smooth noise over octaves of decreasing scale and strength."""
    width, height = image_size
    total = np.zeros((height, width))
    for octave in range(4):
        cells = 3 * 2**octave
        coarse = rng.uniform(-1.0, 1.0, size=(cells, cells))
        smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
        total += smooth * 0.6**octave
    return np.clip(0.5 + 0.5 * total, 0.0, 1.0)


def _rotated_axes(
    rng: np.random.Generator, image_size: tuple[int, int], window: tuple[slice, slice]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the pixel coordinates along and across a random direction, from the centre."""
    width, height = image_size
    angle = rng.uniform(0.0, 2.0 * np.pi)
    rows, columns = window
    x = np.arange(width)[columns] + 0.5 - width / 2.0
    y = (np.arange(height)[rows] + 0.5 - height / 2.0)[:, None]
    return x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)


def shape_outline(name: str) -> np.ndarray:
    """Return the vertices (N, 2) of a shape around the origin.

    All have unit area, so that the size of an object does not tell its class.
    """
    radii = {
        "disk": np.ones(64),
        "triangle": np.ones(3),
        "star": np.tile([1.0, _STAR_INNER_RADIUS], 5),
    }[name]
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
    """Return the fraction of each pixel (height, width) that a shape covers, float32.

    `center` is (x, y), where pixel (row, column) covers column <= x < column + 1; `side` the square
    root of the area, which `aspect`, the ratio of the stretches along the axes of the shape, leaves
    as it is; `angle` in radians. What lies outside of the image is cut off.
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
