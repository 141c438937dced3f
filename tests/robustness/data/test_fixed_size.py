"""Images that are final."""

import numpy as np
import pytest
from PIL import Image

from gcp_mm.errors import UserError
from gcp_mm.robustness.data.fixed_size import RELEASED_SIZE, fit, read_fixed


@pytest.fixture
def saved(tmp_path):
    """Save a picture of a size without losses; return it with its path."""

    def save(height, width):
        pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
        path = tmp_path / "picture.png"
        Image.fromarray(pixels).save(path)
        return path, pixels

    return save


@pytest.mark.parametrize("decoder", ["pillow", "cv2"])
def test_released_size_is_left_alone(saved, decoder):
    path, pixels = saved(RELEASED_SIZE, RELEASED_SIZE)
    assert np.array_equal(read_fixed(path, None, decoder), pixels[:, :, ::-1])


@pytest.mark.parametrize("decoder", ["pillow", "cv2"])
def test_real_photo_is_the_same_for_both_decoders(shared, decoder):
    path = min((shared / "data/imagenette224").rglob("*.JPEG"))
    with Image.open(path) as image:
        expected = np.asarray(image.convert("RGB"))[:, :, ::-1]
    assert np.array_equal(read_fixed(path, None, decoder), expected)


@pytest.mark.parametrize("shape", [(224, 225), (256, 224), (96, 96)])
def test_other_size_is_refused(saved, shape):
    path, _ = saved(*shape)
    with pytest.raises(UserError) as error:
        read_fixed(path)
    assert f"{str(path)!r} is {shape[1]} x {shape[0]}" in str(error.value)
    assert "--input-size 224 resizes it" in str(error.value)
    assert ("--input-size 96 uses it as it is" in str(error.value)) == (shape == (96, 96))


@pytest.mark.parametrize(("shape", "size"), [((96, 96), 224), ((224, 224), 64), ((50, 70), 48)])
def test_other_size_is_resized_as_pillow_does(saved, shape, size):
    path, pixels = saved(*shape)
    expected = np.asarray(Image.fromarray(pixels).resize((size, size), Image.BILINEAR))
    assert np.array_equal(read_fixed(path, size), expected[:, :, ::-1])


def test_wanted_size_is_not_resized(saved):
    _, pixels = saved(48, 48)
    assert fit(pixels, 48, "picture.png") is pixels


@pytest.mark.parametrize("decoder", ["pillow", "cv2"])
@pytest.mark.parametrize("content", [None, b"", b"<html>404</html>"])
def test_unreadable_image_is_named(tmp_path, decoder, content):
    path = tmp_path / "broken.JPEG"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"broken\.JPEG' cannot be read"):
        read_fixed(path, None, decoder)
