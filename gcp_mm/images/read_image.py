"""How a file becomes pixels: the one definition, for training, evaluation and every tool.

Ordinary images of 8 bits give what ``PIL.Image.open(path).convert('RGB')`` gives, as the original
code reads them. The rest, in the order of the steps:

* of an animation or a file of several pages, the first image;
* 16 bits are scaled to 8 (the upper byte), where Pillow makes everything above 255 white. Integers
  of 32 bits and floating point have no range that is known: refused;
* palettes, 1 bit, grey, CMYK, YCbCr and Lab become RGB; transparency is dropped, so that the
  colour below it counts;
* the photograph is turned as its orientation tag says, unless that is to be ignored (published
  ImageNet numbers ignore it). TIFF files are always turned: their tag is part of the format.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from gcp_mm.errors import UserError
from gcp_mm.images.jpeg_size import WatchedJpeg, fault_of_first_pass

BACKENDS = ("pillow", "cv2")

# Never EPS, whose reader starts another program.
_FORMATS = "AVIF BMP DIB GIF JPEG JPEG2000 MPO PNG PPM TIFF WEBP".split()
# Tags of TIFF and EXIF.
_PHOTOMETRIC, _ORIENTATION = 0x0106, 0x0112

# Of 16 bits: nothing above 12 of them, as cameras and scanners of 10 or 12 bits write.
_DARK = 4096

#: What :func:`read_image` can have to remark, by kind.
REMARKS = {
    "alpha": "is partly transparent: transparency is dropped, the colours below it count",
    "frames": "has several images (an animation or pages): only the first counts",
    "dark": "has 16 bits, of which it uses 12 or fewer: scaled to 8 bits it is nearly black. "
    "Stretch such files to the whole range first",
}


class ImageReadError(UserError):
    """An image cannot be read; its ``reason`` says why without the file's name."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason

    def __reduce__(self) -> tuple:
        """Pickle both texts, for errors of worker processes."""
        return type(self), (self.args[0], self.reason)


def read_image(
    source: str | Path | bytes,
    *,
    name: str | None = None,
    ignore_orientation: bool = False,
    backend: str = "pillow",
    order: str = "rgb",
    check_size: bool = True,
    remark: Callable[[str], None] | None = None,
) -> np.ndarray:
    """Read an image.

    Args:
        source: Path of a file, or its content.
        name: What messages call it. Defaults to the path.
        ignore_orientation: Leave the image as it is stored, whatever its orientation tag says.
        backend: 'pillow', or 'cv2', which decodes ordinary JPEG files faster and to the same
            pixels, without the look at their size; all others are left to Pillow.
        order: 'rgb', or 'bgr' as mmcv's transforms take it.
        check_size: Refuse JPEG files whose data do not fill the size in their header, see
            :mod:`gcp_mm.images.jpeg_size`.
        remark: Called with a key of :data:`REMARKS` for what is certain, but may surprise.

    Returns:
        (H, W, 3) uint8, contiguous.

    Raises:
        ImageReadError: If the file is missing, damaged, of another format or of numbers whose range
            is not known; names it.
    """
    name = name or ("image in memory" if isinstance(source, bytes) else str(source))
    try:
        content = source if isinstance(source, bytes) else Path(source).read_bytes()
        with warnings.catch_warnings():
            # About palettes with transparency and damaged EXIF data, which change nothing here.
            warnings.simplefilter("ignore", UserWarning)
            return _decode(content, ignore_orientation, backend, order, check_size, remark)
    except MemoryError:
        raise
    except Exception as error:  # a damaged file makes Pillow raise a dozen types
        reason = describe_error(error)
        raise ImageReadError(
            f"image {name!r} cannot be read ({reason}): replace the file or take it away", reason
        ) from error


def describe_error(error: Exception) -> str:
    """Say in one line why an image cannot be read."""
    if isinstance(error, ImageReadError):
        return error.reason
    if isinstance(error, UserError):
        return str(error)
    # PIL's own text names a buffer in memory.
    if isinstance(error, UnidentifiedImageError):
        return "no image format that is read here"
    if isinstance(error, FileNotFoundError):
        return "no such file"
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


@cache
def _formats() -> tuple[str, ...]:
    """Name the formats that this Pillow reads."""
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def open_image(source: io.BytesIO | str | Path) -> Image.Image:
    """Open an image without decoding it."""
    return Image.open(source, formats=_formats())


def is_ordinary(image: Image.Image) -> bool:
    """Say whether any decoder gives the same pixels: 8 bits, grey or RGB, not to be turned."""
    return image.mode in ("L", "RGB") and orientation_of(image) == 1


def orientation_of(image: Image.Image) -> int:
    """Return the value of an image's orientation tag, 1 to 8; 1, upright, if there is none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            value = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # damaged EXIF data raise whatever their bytes lead to
        return 1
    return value if value in range(1, 9) else 1


def _decode(
    content: bytes,
    ignore_orientation: bool,
    backend: str,
    order: str,
    check_size: bool,
    remark: Callable[[str], None] | None,
) -> np.ndarray:
    # Here, because reading headers needs no OpenCV.
    import cv2

    file = WatchedJpeg(content)
    with open_image(file) as image:
        if backend == "cv2" and image.format == "JPEG" and image.mode in ("L", "RGB"):
            flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
            pixels = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
            if pixels is None:
                raise UserError("OpenCV cannot decode it")
            if order == "rgb":
                pixels = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
        else:
            looks = check_size and image.format == "JPEG"
            if looks:
                file.watch(image)
            image.load()
            if looks and (fault := file.fault or fault_of_first_pass(content)):
                raise UserError(fault)
            pixels = np.asarray(_eight_bits(image, remark).convert("RGB"))
            if order == "bgr":
                # Four times as fast as copying a view with the channels reversed.
                pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
        if remark is not None:
            _remark(image, remark)
        if not ignore_orientation:
            pixels = turn(pixels, orientation_of(image))
        return np.ascontiguousarray(pixels)


def _eight_bits(image: Image.Image, remark: Callable[[str], None] | None) -> Image.Image:
    """Scale 16 bits to 8, and refuse what has no known range."""
    sixteen = image.mode.startswith("I;16") or (
        image.mode == "I" and image.format in ("PNG", "PPM")
    )
    if sixteen:
        values = np.asarray(image)
        if isinstance(image, TiffImageFile) and image.tag_v2.get(_PHOTOMETRIC) == 0:
            # "White is zero", which Pillow inverts of 8 bits only.
            values = 65535 - values
        if remark is not None and 0 < values.max() < _DARK:
            remark("dark")
        return Image.fromarray((values >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        kind = "32-bit integers" if image.mode == "I" else "floating-point numbers"
        raise UserError(
            f"its pixels are {kind}, whose black and white nothing states: save it with 8 bits"
        )
    return image


def _remark(image: Image.Image, remark: Callable[[str], None]) -> None:
    # A photograph of a phone may be of format MPO, with a preview as its second image.
    if image.format != "MPO" and getattr(image, "is_animated", False):
        remark("frames")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        if np.asarray(image.convert("RGBA").getchannel("A")).min() < 255:
            remark("alpha")


def turn(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Turn an image (H, W, ...) upright, by its orientation tag; a view of it."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels
