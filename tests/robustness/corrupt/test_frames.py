import cv2
import numpy as np
import pytest
from PIL import Image

from gcp_mm.robustness.corrupt import frames as geometry
from gcp_mm.robustness.corrupt.images import crop


def frames(name, image, size=48):
    return list(getattr(geometry, f"{name}_sequence")(image, size, None))


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
    found = geometry.tilt_matrix(300, 200, np.deg2rad(degrees))
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
