"""Frames between 0 and 1, and as pixels."""

from __future__ import annotations

import numpy as np
from PIL import Image

from gcp_mm.robustness.corrupt.prepare import crop

# Most sequences have this many frames.
FRAMES = 31


def clean_frame(image: Image.Image, size: int | None) -> np.ndarray:
    """Take the crop of an image as numbers from 0 to 1.

    Args:
        image: The resized image.
        size: Side of the crop; None for the whole image.

    Returns:
        RGB, float32, (H, W, 3).
    """
    return np.asarray(crop(image, size), dtype=np.float32) / 255


def to_pixels(frame: np.ndarray) -> np.ndarray:
    """Clip and round a frame.

    Args:
        frame: Numbers, of which 0 is black and 1 is white.

    Returns:
        uint8, of the same shape.
    """
    return np.rint(255 * np.clip(frame, 0, 1)).astype(np.uint8)
