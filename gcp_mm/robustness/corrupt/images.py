"""A source image at the size of the benchmark, and the 15 + 4 corruptions of it.

The corruptions are those of ``imagecorruptions``. Of the packages with these functions,
``imagecorruptions-imaug`` is the one that is maintained and runs with today's numpy and
scikit-image (https://pypi.org/project/imagecorruptions-imaug). It draws from numpy's global
generator, and two of its functions from a generator of their own.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from torchvision.transforms import functional

from gcp_mm.errors import UserError
from gcp_mm.images.read_image import ImageReadError, read_image

# These two do not draw from the global generator.
_OWN_GENERATOR = ("impulse_noise", "glass_blur")

# The package refuses smaller images.
MIN_SIDE = 32


@contextlib.contextmanager
def _global_seed(seed: int) -> Iterator[None]:
    state = np.random.get_state()
    np.random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(state)


def require_imagecorruptions() -> None:
    """Make sure that the package is there, and is the one that runs."""
    try:
        import imagecorruptions  # noqa: F401
    except ImportError as error:
        raise UserError(
            f"the corruptions need the package imagecorruptions-imaug ({error}): "
            "pip install imagecorruptions-imaug, without the older imagecorruptions beside it"
        ) from error


def corrupt_image(image: np.ndarray, corruption: str, severity: int, seed: int) -> np.ndarray:
    """Corrupt an image.

    Args:
        image: RGB, uint8, (H, W, 3), at least 32 x 32.
        corruption: A name, such as 'gaussian_noise'.
        severity: From 1 to 5.
        seed: The same seed gives the same pixels.

    Returns:
        The corrupted image, of the same type and shape.
    """
    from imagecorruptions import corrupt

    own = {"seed": seed} if corruption in _OWN_GENERATOR else {}
    # For sides that differ, two of the functions print that they cut a border off.
    with _global_seed(seed), contextlib.redirect_stdout(io.StringIO()):
        return corrupt(image, severity=severity, corruption_name=corruption, **own)


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
    """Cut the centre out."""
    return image if size is None else functional.center_crop(image, size)
