import cv2
import numpy as np
import pytest
from PIL import Image

from gcp_mm.robustness.corrupt.images import crop
from gcp_mm.robustness.corrupt.sequences import (
    SEQUENCES,
    brightness_sequence,
    motion_blur,
    motion_blur_sequence,
    snow_sequence,
    tilt_matrix,
    transformed,
    zoom_blur_sequence,
)
from robustness.corrupt.conftest import smooth


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


def frames(name, image, size=48):
    return list(SEQUENCES[name](image, size, None))


@pytest.mark.parametrize(
    ("name", "number", "clean"), [("translate", 41, 20), ("rotate", 31, 15), ("scale", 31, 24)]
)
def test_one_frame_is_clean(picture, name, number, clean):
    found = frames(name, picture)
    assert len(found) == number
    assert [index for index, f in enumerate(found) if np.array_equal(f, crop(picture, 48))] == [
        clean
    ]


@pytest.mark.parametrize("shift", [-20, -3, 7, 20])
def test_translation_moves_to_the_right(picture, shift):
    pixels = np.asarray(picture)
    expected = np.zeros_like(pixels)
    columns = np.arange(max(shift, 0), min(70 + shift, 70))
    expected[:, columns] = pixels[:, columns - shift]
    expected = np.asarray(crop(Image.fromarray(expected), 48))
    assert np.array_equal(frames("translate", picture)[shift + 20], expected)


def square(side=200, inner=60):
    image = np.zeros((side, side, 3), np.uint8)
    margin = (side - inner) // 2
    image[margin : side - margin, margin : side - margin] = 255
    return Image.fromarray(image)


@pytest.mark.parametrize(("index", "scale"), [(0, 0.4), (12, 0.7), (30, 1.15)])
def test_scales(index, scale):
    frame = frames("scale", square(), size=180)[index]
    assert np.sqrt(frame.mean() / 255) * 180 == pytest.approx(60 * scale, rel=0.03)


@pytest.mark.parametrize(("index", "angle"), [(0, -15), (20, 5), (30, 15)])
def test_turns(index, angle):
    frame = frames("rotate", square(), size=180)[index]
    contours, _ = cv2.findContours(
        frame[..., 0].copy() // 128, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE
    )
    (x, y), sides, found = cv2.minAreaRect(contours[0])
    # The angle of a square is known up to 90 degrees.
    assert (found - angle + 45) % 90 - 45 == pytest.approx(0, abs=1.5)


def tilt_in_space(width, height, degrees):
    """The product of homogeneous 4 x 4 matrices that the original code forms."""
    t = np.deg2rad(degrees)
    f = np.hypot(width, height)
    lift = np.array([[1, 0, -width / 2], [0, 1, -height / 2], [0, 0, 1], [0, 0, 1]])
    around_x, around_y, away = np.eye(4), np.eye(4), np.eye(4)
    around_x[1:3, 1:3] = [[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]]
    around_y[0, [0, 2]] = np.cos(t), -np.sin(t)
    around_y[2, [0, 2]] = np.sin(t), np.cos(t)
    away[2, 3] = f
    project = np.array([[f, 0, width / 2, 0], [0, f, height / 2, 0], [0, 0, 1, 0]])
    return project @ away @ around_x @ around_y @ lift


@pytest.mark.parametrize("degrees", [-15, 0, 15])
def test_the_tilt_is_that_of_homogeneous_coordinates_in_space(worst, degrees):
    found = tilt_matrix(300, 200, np.deg2rad(degrees))
    assert worst(found, tilt_in_space(300, 200, degrees)) < 1e-12


@pytest.mark.parametrize(("index", "degrees"), [(0, -15), (10, -5), (30, 15)])
def test_the_image_is_tilted_before_the_crop(picture, index, degrees):
    matrix = tilt_in_space(*picture.size, degrees)
    expected = Image.fromarray(cv2.warpPerspective(np.asarray(picture), matrix, picture.size))
    difference = frames("tilt", picture)[index].astype(int) - np.asarray(crop(expected, 48))
    assert np.abs(difference).max() <= 1


def test_the_middle_of_the_tilt_is_the_image_a_little_smaller(picture):
    found = frames("tilt", picture)
    assert len(found) == 31
    clean = np.asarray(crop(picture, 48)).astype(float)
    differences = [np.abs(frame - clean).mean() for frame in found]
    assert differences[15] < 1 and min(differences[0], differences[30]) > 4
