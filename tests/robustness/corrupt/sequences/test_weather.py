import numpy as np
import pytest
from PIL import Image

from gcp_mm.robustness.corrupt.images import crop
from gcp_mm.robustness.corrupt.sequences import brightness_sequence, snow_sequence


@pytest.mark.parametrize(("index", "added"), [(0, -0.3), (14, -0.02), (15, 0), (30, 0.3)])
def test_brightness_adds_to_the_value_of_hsv(picture, index, added):
    color = pytest.importorskip("skimage.color")
    frames = list(brightness_sequence(picture, 48, None))
    assert len(frames) == 31
    hsv = color.rgb2hsv(np.asarray(crop(picture, 48)) / 255)
    hsv[..., 2] = np.clip(hsv[..., 2] + added, 0, 1)
    assert np.abs(frames[index] - 255 * color.hsv2rgb(hsv)).max() <= 0.51


def test_black_becomes_grey():
    black = Image.new("RGB", (55, 55))
    frames = list(brightness_sequence(black, 48, None))
    assert (frames[15] == 0).all()
    assert (frames[30] == round(0.3 * 255)).all()


def snow(level, seed=0):
    image = Image.new("RGB", (110, 110), (level,) * 3)
    return np.stack(list(snow_sequence(image, 96, np.random.default_rng(seed))))


def test_snow_whitens_and_falls():
    x = 64 / 255
    frames = snow(64)
    assert frames.shape == (31, 96, 96, 3)
    # Where there is no flake: 0.85 x + 0.15 max(x, 1.5 grey + 0.5).
    bare = round(255 * (0.85 * x + 0.15 * (1.5 * x + 0.5)))
    values, counts = np.unique(frames[0], return_counts=True)
    assert values[0] == bare and counts[0] > 0.2 * counts.sum()
    # The flakes are the same, only their direction changes: so does not the amount of snow.
    amounts = frames.mean(axis=(1, 2, 3)) - bare
    assert amounts == pytest.approx(amounts.mean(), rel=0.1) and amounts.mean() > 2
    assert len({frame.tobytes() for frame in frames}) == 31


def test_flakes_come_from_the_seed():
    assert np.array_equal(snow(64), snow(64))
    assert not np.array_equal(snow(64), snow(64, seed=1))
