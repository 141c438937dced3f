import sys
from importlib import metadata
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from gcp_mm.errors import UserError
from gcp_mm.robustness.corrupt.images import (
    corrupt_image,
    crop,
    read_source,
    require_imagecorruptions,
)
from gcp_mm.robustness.names import ALL_CORRUPTIONS
from robustness.corrupt.conftest import smooth

# The others compute the same from the same image.
RANDOM = {
    "gaussian_noise",
    "shot_noise",
    "impulse_noise",
    "glass_blur",
    "motion_blur",
    "snow",
    "frost",
    "fog",
    "elastic_transform",
    "speckle_noise",
    "spatter",
}
# Standard deviation of the noise at each severity (arXiv 1903.12261, code of hendrycks/robustness).
SIGMA = (0.08, 0.12, 0.18, 0.26, 0.38)


@pytest.mark.slow
@pytest.mark.parametrize("corruption", ALL_CORRUPTIONS)
def test_the_seed_decides(corruption):
    image = smooth(48, 48)
    kept = image.copy()
    first = corrupt_image(image, corruption, 3, seed=5)
    np.random.seed(99)
    assert np.array_equal(corrupt_image(image, corruption, 3, seed=5), first)
    assert np.array_equal(image, kept)
    assert first.shape == image.shape and first.dtype == np.uint8
    assert not np.array_equal(first, image)
    other = corrupt_image(image, corruption, 3, seed=6)
    assert np.array_equal(other, first) == (corruption not in RANDOM)


def test_the_global_generator_is_left_as_it_was():
    np.random.seed(1)
    expected = np.random.rand(3)
    np.random.seed(1)
    corrupt_image(smooth(32, 32), "gaussian_noise", 1, seed=0)
    assert np.array_equal(np.random.rand(3), expected)


@pytest.mark.parametrize(("severity", "sigma"), list(enumerate(SIGMA, 1)))
def test_gaussian_noise_has_the_published_strength(severity, sigma):
    grey = np.full((128, 128, 3), 128, np.uint8)
    noise = corrupt_image(grey, "gaussian_noise", severity, seed=0) / 255 - 128 / 255
    # Clipping at black and white lowers the spread of strong noise; the quartiles stay.
    low, high = np.quantile(noise, [0.25, 0.75])
    assert (high - low) / 1.349 == pytest.approx(sigma, rel=0.03)


def test_sides_that_differ_print_nothing(capsys):
    for corruption in ("zoom_blur", "snow"):
        assert corrupt_image(smooth(45, 61), corruption, 1, seed=0).shape == (45, 61, 3)
    assert capsys.readouterr() == ("", "")


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "imagecorruptions", None)
    with pytest.raises(UserError, match="pip install imagecorruptions-imaug"):
        require_imagecorruptions()


def test_the_older_package_of_the_same_name_is_told_apart(monkeypatch):
    def version(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setitem(sys.modules, "imagecorruptions", ModuleType("imagecorruptions"))
    monkeypatch.setattr(metadata, "version", version)
    with pytest.raises(UserError, match="No package metadata.*pip install imagecorruptions-imaug"):
        require_imagecorruptions()


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
