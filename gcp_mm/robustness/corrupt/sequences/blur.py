"""Blur sequences: a turning motion, a growing zoom."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from PIL import Image

from gcp_mm.robustness.corrupt.motion_blur import motion_blur
from gcp_mm.robustness.corrupt.prepare import crop
from gcp_mm.robustness.corrupt.sequences.frame import FRAMES, clean_frame, to_pixels
from gcp_mm.robustness.corrupt.sequences.geometry import transformed


def motion_blur_sequence(
    image: Image.Image, size: int | None, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """Blur with radius 10 and sigma 3 along -120 to 0 degrees.

    Yields:
        31 frames.
    """
    pixels = np.asarray(crop(image, size))
    for index in range(FRAMES):
        yield motion_blur(pixels, radius=10, sigma=3, angle=4 * (index - 30))


def zoom_blur_sequence(
    image: Image.Image, size: int | None, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """Average the image over zooms of 1, 1.004, 1.008 and so on, one more in each frame.

    Yields:
        31 frames; the first one is clean.
    """
    total = clean_frame(image, size)
    yield to_pixels(total)
    for index in range(1, FRAMES):
        total = total + clean_frame(transformed(image, scale=1 + 0.004 * index), size)
        yield to_pixels(total / (index + 1))
