import numpy as np
import pytest

from gcp_mm.robustness.corrupt.sequences import motion_blur

from .conftest import smooth


# At multiples of 30 degrees, steps end half-way between pixels and rounding errors decide.
@pytest.mark.parametrize("angle", [-147, -116, -45.5, 0, 33, 90])
@pytest.mark.parametrize(("radius", "sigma"), [(10, 3), (14, 4)])
def test_agrees_with_imagecorruptions(worst, angle, radius, sigma):
    corruptions = pytest.importorskip("imagecorruptions.corruptions")
    image = smooth(60, 50).astype(np.float32)
    expected = corruptions._motion_blur(image, radius, sigma, angle)
    assert worst(motion_blur(image, radius, sigma, angle), expected) < 1e-5


def test_a_step_is_smeared_against_the_direction():
    image = np.zeros((5, 60), np.float32)
    image[:, 30] = 1
    blurred = motion_blur(image, radius=10, sigma=3, angle=0)
    weights = np.exp(-(np.arange(21) ** 2) / 18)
    assert blurred[2, 30:9:-1] == pytest.approx(weights / weights.sum(), abs=1e-6)
    assert np.abs(blurred[2, 31:]).max() < 1e-6


def test_pixels_stay_pixels():
    white = np.full((20, 20, 3), 255, np.uint8)
    blurred = motion_blur(white, radius=10, sigma=3, angle=33)
    assert blurred.dtype == np.uint8 and (blurred == 255).all()
