"""Images that are used as they are, because they have been resized and cropped already."""

from __future__ import annotations

import contextlib
from pathlib import Path

import mmcv
import numpy as np

from gcp_mm.errors import UserError
from gcp_mm.images.read_image import ImageReadError, read_image
from gcp_mm.robustness.data.manifest import NOT_AS_WRITTEN, is_intact

#: Height and width of the released images and clips of ImageNet-C and ImageNet-P.
RELEASED_SIZE = 224


def fit(image: np.ndarray, size: int | None, path: str | Path) -> np.ndarray:
    """Check the size of an image, or resize it if that was asked for.

    Nothing is cropped: resizing to 256 and cropping 224 again, as for other images, zooms by 14 %
    and changes the score. A size of None requires 224 x 224; a number resizes images of another
    size to it, by Pillow's bilinear filter. Images are (H, W, 3) uint8.
    """
    wanted = size or RELEASED_SIZE
    if image.shape[:2] == (wanted, wanted):
        return image
    if size is None:
        height, width = image.shape[:2]
        as_it_is = f"--input-size {width} uses it as it is, " if height == width else ""
        raise UserError(
            f"{str(path)!r} is {width} x {height}, and the released images are {wanted} x {wanted} "
            f"and used without any resizing. Check the data, or name a size: {as_it_is}"
            f"--input-size {wanted} resizes it (input_size of the data set)"
        )
    return mmcv.imresize(image, (size, size), interpolation="bilinear", backend="pillow")


def read_fixed(
    path: str | Path, size: int | None = None, decoder: str = "pillow", sealed: bool = False
) -> np.ndarray:
    """Read an image that has its final size: (H, W, 3) uint8, blue first, contiguous.

    The decoder is 'pillow', as for published numbers, or 'cv2'.
    """
    content: str | Path | bytes = path
    with contextlib.suppress(OSError):  # whatever it is, reading names it
        content = Path(path).read_bytes()
        if not is_intact(content, sealed):
            raise broken("image", path, f"cannot be read ({NOT_AS_WRITTEN})")
    try:
        image = read_image(content, name=str(path), backend=decoder, order="bgr")
    except ImageReadError as error:
        raise broken("image", path, f"cannot be read ({error.reason})") from error
    return fit(image, size, path)


def broken(kind: str, path: str | Path, reason: str) -> UserError:
    """Say what is wrong with an image or a clip, and what to do."""
    return UserError(
        f"{kind} {str(path)!r} {reason}. Evaluation skips no {kind}: replace the file and start "
        "again; finished cells are kept"
    )
