import numpy as np
import pytest
from PIL import Image

from gcp_mm.errors import UserError
from gcp_mm.robustness.corrupt.images import crop, read_source

from .conftest import smooth


@pytest.mark.parametrize(
    ("size", "resized"), [(224, (256, 384)), (64, (73, 109)), (None, (48, 72))]
)
def test_the_short_side_is_256_for_224(tmp_path, size, resized):
    path = tmp_path / "a.png"
    Image.fromarray(smooth(48, 72)).save(path)
    image = read_source(path, size)
    assert image.size == resized[::-1] and image.mode == "RGB"
    assert crop(image, size).size == ((size, size) if size else image.size)


def test_resizing_is_bilinear_and_antialiased(tmp_path):
    path = tmp_path / "a.png"
    source = Image.fromarray(np.random.default_rng(0).integers(0, 256, (512, 512, 3), np.uint8))
    source.save(path)
    expected = source.resize((256, 256), Image.Resampling.BILINEAR).crop((16, 16, 240, 240))
    assert np.array_equal(crop(read_source(path, 224), 224), expected)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "I;16"])
def test_every_mode_becomes_rgb(tmp_path, mode):
    path = tmp_path / "a.tif"
    Image.new(mode, (40, 40)).save(path)
    assert read_source(path, None).mode == "RGB"


@pytest.mark.parametrize("content", [b"", b"no image", None])
def test_what_cannot_be_read_is_named(tmp_path, content):
    path = tmp_path / "broken.jpg"
    Image.fromarray(smooth(64, 64)).save(path)
    path.write_bytes(path.read_bytes()[:300] if content is None else content)
    with pytest.raises(UserError, match=r"broken\.jpg' cannot be read"):
        read_source(path, 224)


def test_small_images_are_enlarged_or_named(tmp_path):
    path = tmp_path / "small.png"
    Image.fromarray(smooth(31, 80)).save(path)
    assert crop(read_source(path, 48), 48).size == (48, 48)
    with pytest.raises(UserError, match=r"small\.png' has 80 x 31 pixels.*--keep-size"):
        read_source(path, None)
