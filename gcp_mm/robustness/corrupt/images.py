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
from importlib import metadata
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

        # The older package has the same name to import.
        metadata.version("imagecorruptions-imaug")
    except ImportError as error:
        raise UserError(
            f"the corruptions need the package imagecorruptions-imaug ({error}): "
            "pip install imagecorruptions-imaug, without the older imagecorruptions beside it"
        ) from error


def corrupt_image(image: np.ndarray, corruption: str, severity: int, seed: int) -> np.ndarray:
    """Corrupt an image: RGB, uint8, (H, W, 3), at least 32 x 32. A seed gives the same pixels."""
    from imagecorruptions import corrupt

    own = {"seed": seed} if corruption in _OWN_GENERATOR else {}
    # For sides that differ, two of the functions print that they cut a border off.
    with _global_seed(seed), contextlib.redirect_stdout(io.StringIO()):
        return corrupt(image, severity=severity, corruption_name=corruption, **own)


def resized_side(size: int) -> int:
    """Return the short side before a crop of ``size``: 256 for 224, and in proportion."""
    return round(size * 256 / 224)


def read_source(
    path: Path,
    size: int | None,
    ignore_orientation: bool = False,
    remark: Callable[[str], None] | None = None,
) -> Image.Image:
    """Read an image as RGB and resize its short side (bilinear, antialiased) for a crop of a size.

    None keeps it as it is. The rest is as in :func:`gcp_mm.images.read_image.read_image`.
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
    """Cut the centre out; None is the whole image."""
    return image if size is None else functional.center_crop(image, size)
