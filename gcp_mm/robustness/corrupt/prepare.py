"""How a source image is read and brought to the size of the benchmark."""

from __future__ import annotations

import warnings
from pathlib import Path

from PIL import Image
from torchvision.transforms import functional

from gcp_mm.errors import UserError
from gcp_mm.robustness.corrupt.image_corruption import MIN_SIDE


def resized_side(size: int) -> int:
    """Return the short side before the crop: 256 for a crop of 224, and in proportion.

    Args:
        size: Side of the square crop in pixels.

    Returns:
        The side in pixels.
    """
    return round(size * 256 / 224)


def read_image(path: Path, size: int | None) -> Image.Image:
    """Read an image and resize its short side.

    Args:
        path: The file.
        size: Side of the square crop that will be taken; None keeps the image as it is.

    Returns:
        The image in RGB, its short side as :func:`resized_side` says (bilinear, antialiased).

    Raises:
        UserError: If the file is no readable image, or is smaller than 32 x 32 and is to be kept.
    """
    try:
        with warnings.catch_warnings():
            # About palettes with transparency, which the conversion drops.
            warnings.simplefilter("ignore", UserWarning)
            with Image.open(path) as file:
                image = file.convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(
            f"{str(path)!r} cannot be read ({type(error).__name__}: {error}). "
            "Replace the file or take it out of its class folder"
        ) from error
    if size is not None:
        return functional.resize(image, resized_side(size))
    if min(image.size) < MIN_SIDE:
        width, height = image.size
        raise UserError(
            f"{str(path)!r} has {width} x {height} pixels; the corruptions need "
            f"{MIN_SIDE} x {MIN_SIDE}. Leave out --keep-size, or take the file away"
        )
    return image


def crop(image: Image.Image, size: int | None) -> Image.Image:
    """Cut the centre out.

    Args:
        image: The image.
        size: Side of the square; None for the whole image.

    Returns:
        The centre of the image.
    """
    return image if size is None else functional.center_crop(image, size)
