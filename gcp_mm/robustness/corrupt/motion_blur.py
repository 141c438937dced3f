"""Motion blur along a direction, as ImageMagick defines it."""

from __future__ import annotations

import cv2
import numpy as np


def motion_blur(image: np.ndarray, radius: int, sigma: float, angle: float) -> np.ndarray:
    r"""Average an image along a half line.

    With w = 2 ``radius`` + 1 and :math:`k_i \propto \exp(-i^2 / 2 \sigma^2)`, i = 0 .. w - 1, the
    result at a pixel is the sum of :math:`k_i` times the image i pixels further along the
    direction ``angle``, rounded to whole pixels. Beyond the border the image goes on with its last
    pixels. ``imagecorruptions`` has this too, but only with an angle that it draws at random.

    Args:
        image: (H, W) or (H, W, C), uint8 or float.
        radius: Of the kernel in pixels.
        sigma: Standard deviation in pixels.
        angle: In degrees.

    Returns:
        The blurred image, of the same type and shape.
    """
    width = 2 * radius + 1
    steps = np.arange(width)
    weights = np.exp(-(steps**2) / (2 * sigma**2))
    # ImageMagick rounds halves down: ceil(x - 0.5).
    right = np.ceil(steps * np.cos(np.deg2rad(angle)) - 0.5).astype(int)
    down = np.ceil(steps * np.sin(np.deg2rad(angle)) - 0.5).astype(int)
    kernel = np.zeros((2 * width - 1, 2 * width - 1))
    np.add.at(kernel, (down + width - 1, right + width - 1), weights / weights.sum())
    return cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REPLICATE)
