import numpy as np
import pytest

from gcp_mm.robustness.corrupt.frames import transformed
from gcp_mm.robustness.corrupt.images import crop
from gcp_mm.robustness.corrupt.sequences import motion_blur_sequence, zoom_blur_sequence


def test_the_motion_turns_from_minus_120_to_0_degrees(picture):
    corruptions = pytest.importorskip("imagecorruptions.corruptions")
    frames = list(motion_blur_sequence(picture, 48, None))
    assert len(frames) == 31
    clean = np.asarray(crop(picture, 48))
    for index, angle in ((1, -116), (16, -56), (30, 0)):
        expected = corruptions._motion_blur(clean, 10, 3, angle)
        assert np.abs(frames[index] - expected).max() <= 1


def test_the_zoom_is_averaged(picture):
    frames = list(zoom_blur_sequence(picture, 48, None))
    assert len(frames) == 31
    assert np.array_equal(frames[0], crop(picture, 48))
    zooms = [np.asarray(crop(transformed(picture, scale=s), 48), float) for s in (1, 1.004, 1.008)]
    assert np.abs(frames[2] - np.mean(zooms, axis=0)).max() <= 0.51
