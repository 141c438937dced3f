"""How a source image is read and brought to the size of the benchmark."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PIL import Image
from torchvision.transforms import functional

from gcp_mm.errors import UserError
from gcp_mm.images.read_image import ImageReadError, read_image
from gcp_mm.robustness.corrupt.image_corruption import MIN_SIDE


def resized_side(size: int) -> int:
    """Return the short side before the crop: 256 for a crop of 224, and in proportion.

    Args:
        size: Side of the square crop in pixels.

    Returns:
        The side in pixels.
    """
    return round(size * 256 / 224)


def read_source(
    path: Path,
    size: int | None,
    ignore_orientation: bool = False,
    remark: Callable[[str], None] | None = None,
) -> Image.Image:
    """Read an image and resize its short side.

    Args:
        path: The file.
        size: Side of the square crop that will be taken; None keeps the image as it is.
        ignore_orientation: See :func:`gcp_mm.images.read_image.read_image`, as for ``remark``.
        remark: Called with what may surprise about the file.

    Returns:
        The image in RGB, its short side as :func:`resized_side` says (bilinear, antialiased).

    Raises:
        UserError: If the file is no readable image, or is smaller than 32 x 32 and is to be kept.
    """
    try:
        pixels = read_image(path, ignore_orientation=ignore_orientation, remark=remark)
    except ImageReadError as error:
        raise UserError(
            f"{str(path)!r} cannot be read ({error.reason}). "
            "Replace the file or take it out of its class folder"
        ) from error
    image = Image.fromarray(pixels)
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
