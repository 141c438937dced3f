"""Polygons of masks, rasterised by pycocotools."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from demo.coco_writer import mask_polygons


@pytest.mark.parametrize("blobs", [False, True])
def test_polygons_enclose_exactly_the_mask(blobs):
    rng = np.random.default_rng(0)
    for _ in range(60):
        height, width = (int(side) for side in rng.integers(1, 40, size=2))
        noise = rng.random((height, width))
        mask = noise < rng.random()
        if blobs:
            mask = cv2.GaussianBlur(noise, (0, 0), 2.0) > 0.5
        polygons = mask_polygons(mask)
        assert bool(polygons) == mask.any()
        area = sum(cv2.contourArea(np.float32(item).reshape(-1, 2)) for item in polygons)
        assert area == mask.sum()
        if polygons:
            encoded = coco_mask.merge(coco_mask.frPyObjects(polygons, height, width))
            assert np.array_equal(coco_mask.decode(encoded), mask)
