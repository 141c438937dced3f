"""Frames between 0 and 1 and as pixels, and the geometric sequences: shift, turn, tilt and scale.

The whole resized image is moved and the centre cut out afterwards, so that what enters the crop
comes from the image as long as there is some; beyond it everything is black.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms.functional import affine

from gcp_mm.robustness.corrupt.images import crop

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


def transformed(image: Image.Image, angle: float = 0, scale: float = 1) -> Image.Image:
    """Turn and scale an image around its centre, with bilinear interpolation.

    Args:
        image: The image.
        angle: Clockwise, in degrees.
        scale: Above 1 the content grows.

    Returns:
        An image of the same size.
    """
    bilinear = InterpolationMode.BILINEAR
    return affine(image, angle, [0, 0], scale, [0.0], interpolation=bilinear)


def translate_sequence(
    image: Image.Image, size: int | None, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """Shift by -20 to 20 pixels to the right."""
    for shift in range(-20, 21):
        yield np.asarray(crop(affine(image, 0, [shift, 0], 1, [0.0]), size))


def rotate_sequence(
    image: Image.Image, size: int | None, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """Turn by -15 to 15 degrees."""
    for index in range(FRAMES):
        yield np.asarray(crop(transformed(image, angle=index - 15), size))


def scale_sequence(
    image: Image.Image, size: int | None, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """Scale by 0.4 to 1.15."""
    for index in range(FRAMES):
        yield np.asarray(crop(transformed(image, scale=0.4 + 0.025 * index), size))


def tilt_sequence(
    image: Image.Image, size: int | None, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """Tilt the image plane around both of its axes by -15 to 15 degrees.

    The 16th frame is the image itself, smaller by 1 / (f + 1), see :func:`tilt_matrix`.
    """
    pixels = np.asarray(image)
    height, width = pixels.shape[:2]
    for index in range(FRAMES):
        matrix = tilt_matrix(width, height, np.deg2rad(index - 15))
        tilted = Image.fromarray(cv2.warpPerspective(pixels, matrix, image.size))
        yield np.asarray(crop(tilted, size))


def tilt_matrix(width: int, height: int, angle: float) -> np.ndarray:
    r"""Project a tilted image plane from a distance of its diagonal f.

    A pixel is the point (x, y, 1) relative to the centre of the image. It is turned by
    :math:`R_x(\theta) R_y(\theta)`, moved away by f, and seen by a camera of focal length f.

    Args:
        width: Of the image, in pixels.
        height: Of the image, in pixels.
        angle: Around each axis, in radians.

    Returns:
        The homography of pixel coordinates, (3, 3).
    """
    focal = np.hypot(width, height)
    cos, sin = np.cos(angle), np.sin(angle)
    around_x = np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])
    around_y = np.array([[cos, 0, -sin], [0, 1, 0], [sin, 0, cos]])
    centred = np.array([[1, 0, -width / 2], [0, 1, -height / 2], [0, 0, 1]])
    camera = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
    away = np.array([[0, 0, 0], [0, 0, 0], [0, 0, focal]])
    return camera @ (around_x @ around_y + away) @ centred
