import numpy as np
import pytest
from PIL import Image

from gcp_mm.robustness.corrupt.images import crop
from gcp_mm.robustness.corrupt.sequences import SEQUENCES


def sequence(name, image, seed=0):
    return np.stack(list(SEQUENCES[name](image, 48, np.random.default_rng(seed))))


@pytest.mark.parametrize("name", ["gaussian_noise", "shot_noise"])
def test_the_first_frame_is_clean_and_no_other(picture, name):
    frames = sequence(name, picture)
    assert frames.shape == (31, 48, 48, 3) and frames.dtype == np.uint8
    clean = np.asarray(crop(picture, 48))
    assert np.array_equal(frames[0], clean)
    assert len({frame.tobytes() for frame in frames}) == 31
    assert np.array_equal(sequence(name, picture), frames)
    assert not np.array_equal(sequence(name, picture, seed=1)[1], frames[1])


@pytest.mark.parametrize("level", [51, 128, 204])
def test_strengths(level):
    grey = Image.new("RGB", (55, 55), (level,) * 3)
    x = level / 255
    # Poisson(300 x) / 300 has variance x / 300.
    for name, sigma in (("gaussian_noise", 0.03), ("shot_noise", np.sqrt(x / 300))):
        noisy = sequence(name, grey)[1:] / 255
        assert noisy.mean() == pytest.approx(x, abs=1e-3)
        assert noisy.std() == pytest.approx(sigma, rel=0.02)
