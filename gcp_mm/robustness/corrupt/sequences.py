"""The ten perturbation sequences of ImageNet-P.

The constants are those of the script that made ImageNet-P (hendrycks/robustness,
``ImageNet-P/create_p/make_imagenet_p.py``; arXiv 1903.12261). Values are rounded where the script
cuts digits off. Every sequence is a function ``(image, size, rng)`` that yields RGB frames, uint8,
(H, W, 3), 31 of them unless it says otherwise:

    image: The resized image.
    size: Side of the square crop, in pixels; None for the whole image.
    rng: Draws what is random: the noises and the snow. The others do not use it.

The geometric ones (shift, turn, tilt, scale) move the whole resized image and cut the centre out
afterwards, so that what enters the crop comes from the image as long as there is some; beyond it
everything is black.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import cv2
import numpy as np
from numpy.random import Generator
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms.functional import affine

from gcp_mm.robustness.corrupt.images import crop

Frames = Iterator[np.ndarray]

# Most sequences have this many frames.
FRAMES = 31
# Of difficulty 1, the only one that was released.
_SIGMA = 0.03
_PHOTONS = 300


def clean_frame(image: Image.Image, size: int | None) -> np.ndarray:
    """Take the crop of an image as numbers from 0 to 1: RGB, float32, (H, W, 3)."""
    return np.asarray(crop(image, size), dtype=np.float32) / 255


def to_pixels(frame: np.ndarray) -> np.ndarray:
    """Clip numbers, of which 0 is black and 1 is white, and round them to uint8."""
    return np.rint(255 * np.clip(frame, 0, 1)).astype(np.uint8)


def transformed(image: Image.Image, angle: float = 0, scale: float = 1) -> Image.Image:
    """Turn clockwise by degrees and scale around the centre, bilinearly; the size stays."""
    bilinear = InterpolationMode.BILINEAR
    return affine(image, angle, [0, 0], scale, [0.0], interpolation=bilinear)


def _noisy(clean: np.ndarray, noise: Callable[[np.ndarray], np.ndarray]) -> Frames:
    yield to_pixels(clean)
    for _ in range(FRAMES - 1):
        yield to_pixels(noise(clean))


def gaussian_noise_sequence(image: Image.Image, size: int | None, rng: Generator) -> Frames:
    """Add Gaussian noise with standard deviation 0.03."""
    return _noisy(
        clean_frame(image, size),
        lambda clean: clean + _SIGMA * rng.standard_normal(clean.shape, dtype=np.float32),
    )


def shot_noise_sequence(image: Image.Image, size: int | None, rng: Generator) -> Frames:
    """Replace every value x by Poisson(300 x) / 300."""
    return _noisy(clean_frame(image, size), lambda clean: rng.poisson(_PHOTONS * clean) / _PHOTONS)


def motion_blur(image: np.ndarray, radius: int, sigma: float, angle: float) -> np.ndarray:
    r"""Average an image, (H, W) or (H, W, C), along a half line; type and shape stay.

    With w = 2 ``radius`` + 1 and :math:`k_i \propto \exp(-i^2 / 2 \sigma^2)`, i = 0 .. w - 1, the
    result at a pixel is the sum of :math:`k_i` times the image i pixels further along the
    direction ``angle`` in degrees, rounded to whole pixels. Beyond the border the image goes on
    with its last pixels. ``imagecorruptions`` has this too, but only with an angle that it draws.
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


def _flakes(height: int, width: int, rng: Generator) -> np.ndarray:
    """Draw flakes of 3 pixels: noise around 0.05, of which what is above 0.5 remains; (H, W)."""
    from scipy.ndimage import zoom

    coarse = rng.normal(loc=0.05, scale=0.3, size=(-(-height // 3), -(-width // 3)))
    layer = zoom(coarse, 3, order=1)[:height, :width]
    return to_pixels(np.where(layer < 0.5, 0, layer)) / np.float32(255)


def snow_sequence(image: Image.Image, size: int | None, rng: Generator) -> Frames:
    """Brighten the image a little and let the same flakes fall along -150 to -30 degrees."""
    clean = clean_frame(image, size)
    grey = cv2.cvtColor(clean, cv2.COLOR_RGB2GRAY)[..., None]
    whitened = 0.85 * clean + 0.15 * np.maximum(clean, 1.5 * grey + 0.5)
    flakes = _flakes(clean.shape[0], clean.shape[1], rng)
    for index in range(FRAMES):
        falling = motion_blur(flakes, radius=14, sigma=4, angle=4 * index - 150)[..., None]
        yield to_pixels(whitened + falling + np.rot90(falling, k=2))


def brightness_sequence(image: Image.Image, size: int | None, rng: Generator) -> Frames:
    """Add -0.3 to 0.3 to the value (the largest channel); hue and saturation stay."""
    clean = clean_frame(image, size)
    value = clean.max(axis=-1, keepdims=True)
    # Black has no hue: it becomes grey.
    ratios = np.divide(clean, value, out=np.ones_like(clean), where=value > 0)
    for index in range(FRAMES):
        yield to_pixels(ratios * np.clip(value + 0.02 * (index - 15), 0, 1))


def motion_blur_sequence(image: Image.Image, size: int | None, rng: Generator) -> Frames:
    """Blur with radius 10 and sigma 3 along -120 to 0 degrees."""
    pixels = np.asarray(crop(image, size))
    for index in range(FRAMES):
        yield motion_blur(pixels, radius=10, sigma=3, angle=4 * (index - 30))


def zoom_blur_sequence(image: Image.Image, size: int | None, rng: Generator) -> Frames:
    """Average the image over zooms of 1, 1.004, 1.008 and so on, one more in each frame."""
    total = clean_frame(image, size)
    yield to_pixels(total)
    for index in range(1, FRAMES):
        total = total + clean_frame(transformed(image, scale=1 + 0.004 * index), size)
        yield to_pixels(total / (index + 1))


def translate_sequence(image: Image.Image, size: int | None, rng: Generator) -> Frames:
    """Shift by -20 to 20 pixels to the right, in 41 frames; the 21st is clean."""
    for shift in range(-20, 21):
        yield np.asarray(crop(affine(image, 0, [shift, 0], 1, [0.0]), size))


def rotate_sequence(image: Image.Image, size: int | None, rng: Generator) -> Frames:
    """Turn by -15 to 15 degrees; the 16th frame is clean."""
    for index in range(FRAMES):
        yield np.asarray(crop(transformed(image, angle=index - 15), size))


def scale_sequence(image: Image.Image, size: int | None, rng: Generator) -> Frames:
    """Scale by 0.4 to 1.15; the 25th frame is clean."""
    for index in range(FRAMES):
        yield np.asarray(crop(transformed(image, scale=0.4 + 0.025 * index), size))


def tilt_sequence(image: Image.Image, size: int | None, rng: Generator) -> Frames:
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
    :math:`R_x(\theta) R_y(\theta)` in radians, moved away by f, and seen by a camera of focal
    length f: the homography of pixel coordinates, (3, 3).
    """
    focal = np.hypot(width, height)
    cos, sin = np.cos(angle), np.sin(angle)
    around_x = np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])
    around_y = np.array([[cos, 0, -sin], [0, 1, 0], [sin, 0, cos]])
    centred = np.array([[1, 0, -width / 2], [0, 1, -height / 2], [0, 0, 1]])
    camera = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
    away = np.array([[0, 0, 0], [0, 0, 0], [0, 0, focal]])
    return camera @ (around_x @ around_y + away) @ centred


SEQUENCES = {
    "gaussian_noise": gaussian_noise_sequence,
    "shot_noise": shot_noise_sequence,
    "motion_blur": motion_blur_sequence,
    "zoom_blur": zoom_blur_sequence,
    "snow": snow_sequence,
    "brightness": brightness_sequence,
    "translate": translate_sequence,
    "rotate": rotate_sequence,
    "tilt": tilt_sequence,
    "scale": scale_sequence,
}
