"""Masks keep their pixels in every form in which they are written."""

import numpy as np
import pytest
from pycocotools import mask as mask_utils

from gcp_mm.datasets.coco_annotations.segmentation import (
    _decompress,
    area,
    extent,
    normalise,
)


@pytest.fixture
def bitmaps():
    rng = np.random.default_rng(0)
    shapes = [(1, 1), (7, 3), (64, 96), (200, 300)]
    masks = [rng.random(shape) < share for shape in shapes for share in (0.0, 0.02, 0.5, 1.0)]
    blob = np.zeros((200, 300), bool)
    blob[20:180, 33:290] = True
    return [np.asfortranarray(bitmap, dtype=np.uint8) for bitmap in [*masks, blob]]


def runs_of(bitmap):
    flat = bitmap.ravel(order="F")
    edges = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff([0, *edges, flat.size]).tolist()
    return [0, *runs] if flat[0] else runs


def test_run_lengths_are_decompressed_as_pycocotools_does(bitmaps):
    for bitmap in bitmaps:
        assert _decompress(mask_utils.encode(bitmap)["counts"].decode()) == runs_of(bitmap)


@pytest.mark.parametrize("form", ["compressed", "bytes of Python", "list", "no size", "text size"])
def test_forms_of_run_lengths(bitmaps, form):
    for bitmap in bitmaps:
        height, width = bitmap.shape
        packed = mask_utils.encode(bitmap)
        value = dict(size=[height, width], counts=packed["counts"].decode())
        if form == "bytes of Python":
            value["counts"] = str(packed["counts"])
        elif form == "list":
            value["counts"] = runs_of(bitmap)
        elif form == "no size":
            del value["size"]
        elif form == "text size":
            value["size"] = [str(height), float(width)]
        found = normalise(value, width, height)
        assert (found.repair is None) == (form in ("compressed", "list"))
        packed = found.value
        if isinstance(packed["counts"], list):
            packed = mask_utils.frPyObjects(packed, height, width)
        assert np.array_equal(mask_utils.decode(packed), bitmap)
        assert area(found.value, width, height) == bitmap.sum()


SQUARE = [10.0, 10.0, 30.0, 10.0, 30.0, 30.0, 10.0, 30.0]
FORMS = {
    "COCO's": ([SQUARE], None),
    "without list": (SQUARE, "put into a list"),
    "points": ([[10.0, 10.0], [30.0, 10.0], [30.0, 30.0], [10.0, 30.0]], "one after the other"),
    "lists of points": (
        [[[10.0, 10.0], [30.0, 10.0], [30.0, 30.0], [10.0, 30.0]]],
        "one after the other",
    ),
    "text": ([list(map(str, SQUARE))], "made numbers"),
    "a line first": ([[1.0, 1.0, 5.0, 5.0], SQUARE], "fewer than three points"),
}


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_polygons(form):
    value, repair = FORMS[form]
    found = normalise(value, 96, 64)
    assert found.value == [SQUARE]
    assert found.repair is None if repair is None else repair in found.repair
    assert area(found.value, 96, 64) == 400
    assert extent(found.value, 96, 64) == [10, 10, 20, 20]


@pytest.mark.parametrize("value", [None, [], {}, "", [[]]])
def test_no_mask(value):
    assert normalise(value, 96, 64) is None
