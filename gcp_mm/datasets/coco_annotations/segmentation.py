"""The forms in which a mask is written: polygons and run lengths, and what others make of them."""

from __future__ import annotations

import ast
import operator
from typing import NamedTuple

from pycocotools import mask as mask_utils

# pycocotools walks along every edge of a polygon, so a wild coordinate would fill the memory.
_REACH = 4


class Mask(NamedTuple):
    """Polygons or run lengths that pycocotools can read, and what was changed to them, or None."""

    value: list | dict
    repair: str | None


class InvalidMaskError(ValueError):
    """A mask that cannot be read; the message continues 'the segmentation ...'."""


def normalise(value: object, width: float, height: float) -> Mask | None:
    """Return a mask in COCO's form, or None if there is none.

    Raises InvalidMaskError if it cannot be read.
    """
    if value is None or value in ([], {}, "", [[]]):
        return None
    if isinstance(value, dict):
        return _run_lengths(value, width, height)
    if isinstance(value, list):
        return _polygons(value, width, height)
    raise InvalidMaskError(f"is of type {type(value).__name__}, not polygons or run lengths")


def _polygons(value: list, width: float, height: float) -> Mask:
    """Bring polygons into the form [[x, y, x, y, ...], ...]."""
    repair = None
    parts = value
    if all(_is_number(item) for item in value):
        parts, repair = [value], "polygons put into a list"
    elif all(isinstance(p, list) and len(p) == 2 and all(map(_is_number, p)) for p in value):
        parts, repair = [sum(value, [])], "points of polygons put one after the other"
    if not all(isinstance(part, list) for part in parts):
        raise InvalidMaskError("holds something other than polygons")
    polygons = []
    for part in parts:
        if part and all(isinstance(p, list) and len(p) == 2 for p in part):
            part, repair = sum(part, []), "points of polygons put one after the other"
        try:
            # Text alone is converted: True is no coordinate.
            numbers = [float(n) if isinstance(n, str) else n for n in part]
            if not all(map(_is_number, numbers)):
                raise ValueError
            # pycocotools reads floats, of which a whole number may be beyond every one.
            list(map(float, numbers))
        except (ValueError, OverflowError):
            raise InvalidMaskError("has a coordinate that is no number") from None
        if numbers != part:
            repair = "coordinates written as text made numbers"
        if len(numbers) % 2:
            raise InvalidMaskError(f"has a polygon of an odd count of numbers ({len(numbers)})")
        polygons.append(numbers)
    valid = [polygon for polygon in polygons if len(polygon) >= 6]
    if not valid:
        raise InvalidMaskError("has no polygon of at least three points")
    if len(valid) < len(polygons):
        # pycocotools takes four numbers for a box, and then every other part too.
        repair = "parts of fewer than three points left out of outlines"
    limit = _REACH * max(width, height)
    for polygon in valid:
        if not all(-limit <= number <= limit for number in polygon):
            raise InvalidMaskError(f"has coordinates far outside of its image ({max(polygon):g})")
    return Mask(valid, repair)


def _run_lengths(value: dict, width: float, height: float) -> Mask:
    """Bring run lengths into one of the two forms that pycocotools reads."""
    counts, size = value.get("counts"), value.get("size") or ()
    repair = None
    if isinstance(counts, str) and counts[:2] in ("b'", 'b"'):
        # Python's text of a bytes object; neither quote occurs in compressed run lengths.
        try:
            counts = ast.literal_eval(counts).decode("ascii")
        except (SyntaxError, ValueError, AttributeError):
            raise InvalidMaskError("has counts that are no run lengths") from None
        repair = "run lengths written as Python's bytes made text"
    if isinstance(counts, list):
        runs = counts
        if not all(type(run) is int and run >= 0 for run in runs):
            raise InvalidMaskError("has run lengths that are no whole numbers of at least 0")
    elif isinstance(counts, str):
        runs = _decompress(counts)
    else:
        raise InvalidMaskError("has no counts")
    try:
        rows, columns = (int(side) for side in size)
    except (TypeError, ValueError, OverflowError):
        if sum(runs) != width * height:
            raise InvalidMaskError("has no size") from None
        rows, columns, repair = int(height), int(width), "size of run lengths filled in"
    if (rows, columns) != (height, width) and height:
        raise InvalidMaskError(
            f"has size [{rows}, {columns}], but its image has height {height}, width {width}"
        )
    if sum(runs) != rows * columns:
        raise InvalidMaskError(
            f"has run lengths of {sum(runs)} pixels, its image of {rows} x {columns} has "
            f"{rows * columns}"
        )
    if size != [rows, columns]:
        repair = repair or "size of run lengths made whole numbers"
    return Mask({"size": [rows, columns], "counts": counts}, repair)


def _decompress(text: str) -> list[int]:
    """Return the run lengths of COCO's compressed form: numbers in base 32, mostly differences."""
    runs: list[int] = []
    number = shift = 0
    for character in text:
        digit = ord(character) - 48
        if not 0 <= digit < 64:
            raise InvalidMaskError("has counts that are no run lengths")
        number |= (digit & 31) << shift
        shift += 5
        if digit & 32:
            continue
        if digit & 16:
            number -= 1 << shift
        if len(runs) > 2:
            number += runs[-2]
        if number < 0:
            raise InvalidMaskError("has counts that are no run lengths")
        runs.append(number)
        number = shift = 0
    if shift:
        raise InvalidMaskError("has counts that end within a number")
    return runs


def area(mask: list | dict, width: float, height: float) -> float:
    """Return what COCO's own files have: the area within outlines, or the pixels of run lengths."""
    if isinstance(mask, list):
        within = sum(map(_area_within, mask))
        if within > 0:
            return within
    return float(mask_utils.area(_encode(mask, width, height)))


def _area_within(polygon: list[float]) -> float:
    across, down = polygon[0::2], polygon[1::2]
    # From the first point, so that far from the origin no digits are lost.
    x, y = across[0], down[0]
    across, down = [a - x for a in across], [b - y for b in down]
    return 0.5 * abs(
        sum(map(operator.mul, across, down[1:])) - sum(map(operator.mul, down, across[1:]))
    )


def extent(mask: list | dict, width: float, height: float) -> list[float]:
    """Return the box [x, y, width, height] around a mask."""
    if isinstance(mask, dict):
        return [float(side) for side in mask_utils.toBbox(_encode(mask, width, height))]
    left = min(min(polygon[0::2]) for polygon in mask)
    top = min(min(polygon[1::2]) for polygon in mask)
    right = max(max(polygon[0::2]) for polygon in mask)
    bottom = max(max(polygon[1::2]) for polygon in mask)
    return [left, top, right - left, bottom - top]


def _encode(mask: list | dict, width: float, height: float) -> dict:
    if isinstance(mask, dict) and not isinstance(mask["counts"], list):
        return mask
    encoded = mask_utils.frPyObjects(mask, int(height), int(width))
    return mask_utils.merge(encoded) if isinstance(mask, list) else encoded


def _is_number(value: object) -> bool:
    return type(value) in (int, float)
