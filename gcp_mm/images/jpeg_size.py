"""Whether the data of a JPEG file fill the size that its header states.

One flipped bit of the height or width gives another picture, which no decoder refuses: libjpeg
leaves out the data that are too many, and goes on in grey where they are too few. It writes row by
row, though. If the last row is there before the end of the data, they are too many; if it is not
there at their end, they are too few.

Of progressive files the first pass is looked at. Files of several passes without progression are
not. A size that is wrong by less than a block of 8 or 16 pixels fits the same data, and cannot be
known.
"""

from __future__ import annotations

import io
import re

import numpy as np
from PIL import Image

_START_OF_FRAME = range(0xC0, 0xD0)
_NO_FRAME = (0xC4, 0xC8, 0xCC)
_BASELINE, _PROGRESSIVE = (0xC0, 0xC1), 0xC2
_START_OF_SCAN, _END = 0xDA, b"\xff\xd9"
# Of restarts and of bytes that are no marker there are some inside of the data.
_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
# Alternating black and white, which no decoded row begins with in all of these pixels.
_MARKED = 12
# Bytes withheld for the first look, and their share of the data: some writers pad the end.
_TAIL, _SHARE = 32, 50
# libjpeg decodes the last block only if it can read eight bytes ahead, and these are no marker.
_AHEAD = bytes(8)


class WatchedJpeg(io.BytesIO):
    """The content of a file that Pillow reads, which looks at the picture while it is decoded."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self._content = content
        self._image: Image.Image | None = None
        self._fault: str | None = None
        # All but the tail, and the tail; how many of them Pillow has asked for.
        self._pieces: list[bytes] = []
        self._step = 0

    def watch(self, image: Image.Image) -> None:
        """Look at an image that has been opened from here, and is loaded next."""
        scan = _scan(self._content)
        if scan is None or scan[2] or image.mode not in ("L", "RGB", "CMYK"):
            return
        tail, end, _ = scan
        self._image = image
        self._pieces = [self._content[:tail], self._content[tail:end] + _AHEAD]

    def read(self, size: int | None = -1, /) -> bytes:
        """Return the next bytes; while decoding, a piece of the file whatever the size."""
        image = self._image
        if image is None:
            return super().read(size)
        if self._step == 0:
            for place, value in _marks(image):
                # Not the image's own methods, which would decode it first.
                image.im.putpixel(place, value)
        elif self._step == 1 and not _is_marked(image):
            self._fault = "more"
        elif self._step == 2 and _is_marked(image):
            self._fault = self._fault or "less"
        self._step += 1
        if self._step <= len(self._pieces):
            return self._pieces[self._step - 1]
        return _END if self._step == len(self._pieces) + 1 else b""

    @property
    def fault(self) -> str | None:
        """After decoding, what is wrong with the size; None if nothing is known to be."""
        # Pillow may stop reading at the last row.
        fault = self._fault or ("more" if self._step == 1 else None)
        return _describe(self._image.size, fault) if self._image and fault else None


def _marks(image: Image.Image) -> list[tuple[tuple[int, int], object]]:
    """Return the pixels of the last row that are marked, and their values."""
    bands, last = len(image.getbands()), image.height - 1
    return [
        ((x, last), 255 * (x % 2) if bands == 1 else (255 * (x % 2),) * bands)
        for x in range(min(image.width, _MARKED))
    ]


def _is_marked(image: Image.Image) -> bool:
    return all(image.im.getpixel(place) == value for place, value in _marks(image))


def fault_of_first_pass(content: bytes) -> str | None:
    """Say what is wrong with the size of a progressive file.

    Pillow decodes such a file when all of its passes are there, so this decodes the first of them,
    the mean colours, three times: with its end changed, which has to show, and with bytes behind
    it, which must not.
    """
    scan = _scan(content)
    if scan is None or not scan[2]:
        return None
    tail, end, _ = scan
    # No byte that begins a marker, and none of the bytes before.
    other = bytes((byte ^ 0x55) & 0x7F for byte in content[tail:end])
    size, whole = _means(content[:end])
    last = whole[-1]
    # The codes of an image of one colour have one symbol, which other bits do not change.
    if (last != last[0]).any() and np.array_equal(whole, _means(content[:tail] + other)[1]):
        return _describe(size, "more")
    if not np.array_equal(whole, _means(content[:end] + _AHEAD)[1]):
        return _describe(size, "less")
    return None


def _means(content: bytes) -> tuple[tuple[int, int], np.ndarray]:
    """Decode the first pass of a file, a pixel for each block; return it with the full size."""
    with Image.open(io.BytesIO(content + _END), formats=["JPEG"]) as image:
        size = image.size
        image.draft(None, (1, 1))
        return size, np.asarray(image)


def _describe(size: tuple[int, int], fault: str) -> str:
    return (
        f"its header states {size[0]} x {size[1]}, and its data are {fault} than that, as if a "
        "byte had changed; check_size=False of gcp_mm.LoadImage takes such files as they are"
    )


def _scan(content: bytes) -> tuple[int, int, bool] | None:
    """Find tail and end of the data of the first pass, and whether there are others."""
    position, parts, progressive = 2, 0, False
    while position + 4 <= len(content) and content[position] == 0xFF:
        marker = content[position + 1]
        if marker == 0xFF:
            position += 1
            continue
        length = int.from_bytes(content[position + 2 : position + 4], "big")
        body = content[position + 4 : position + 2 + length]
        if marker in _START_OF_FRAME and marker not in _NO_FRAME:
            progressive = marker == _PROGRESSIVE
            if not (progressive or marker in _BASELINE) or len(body) < 6:
                return None
            parts = body[5]
        if marker == _START_OF_SCAN:
            start = position + 2 + length
            if progressive:
                behind = _MARKER.search(content, start)
                end = behind.start() if behind else 0
            else:
                end = content.find(_END, start) if parts and body[:1] == bytes([parts]) else 0
            tail = end - max(_TAIL, (end - start) // _SHARE)
            return (tail, end, progressive) if tail > start else None
        position += 2 + length
    return None
