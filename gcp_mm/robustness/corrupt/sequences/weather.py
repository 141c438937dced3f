"""Weather sequences: snow that turns, light that grows."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from PIL import Image

from gcp_mm.robustness.corrupt.motion_blur import motion_blur
from gcp_mm.robustness.corrupt.sequences.frame import FRAMES, clean_frame, to_pixels


def _flakes(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Draw flakes of 3 pixels: noise around 0.05, of which what is above 0.5 remains."""
    from scipy.ndimage import zoom

    coarse = rng.normal(loc=0.05, scale=0.3, size=(-(-height // 3), -(-width // 3)))
    layer = zoom(coarse, 3, order=1)[:height, :width]
    return to_pixels(np.where(layer < 0.5, 0, layer)) / np.float32(255)


def snow_sequence(
    image: Image.Image, size: int | None, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """Brighten the image a little and let the same flakes fall along -150 to -30 degrees.

    Yields:
        31 frames.
    """
    clean = clean_frame(image, size)
    grey = cv2.cvtColor(clean, cv2.COLOR_RGB2GRAY)[..., None]
    whitened = 0.85 * clean + 0.15 * np.maximum(clean, 1.5 * grey + 0.5)
    flakes = _flakes(*clean.shape[:2], rng)
    for index in range(FRAMES):
        falling = motion_blur(flakes, radius=14, sigma=4, angle=4 * index - 150)[..., None]
        yield to_pixels(whitened + falling + np.rot90(falling, k=2))


def brightness_sequence(
    image: Image.Image, size: int | None, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """Add -0.3 to 0.3 to the value (the largest channel); hue and saturation stay.

    Yields:
        31 frames; the 16th is clean.
    """
    clean = clean_frame(image, size)
    value = clean.max(axis=-1, keepdims=True)
    # Black has no hue: it becomes grey.
    ratios = np.divide(clean, value, out=np.ones_like(clean), where=value > 0)
    for index in range(FRAMES):
        yield to_pixels(ratios * np.clip(value + 0.02 * (index - 15), 0, 1))
