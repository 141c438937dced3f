"""A JPEG file whose header states another size than its data have."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gcp_mm.errors import UserError
from gcp_mm.images.load_image import LoadImage
from gcp_mm.images.read_image import read_image

HEIGHT, WIDTH = 150, 200
KINDS = {
    "4:2:0": dict(quality=90),
    "4:4:4": dict(quality=95, subsampling=0),
    "restarts": dict(quality=90, restart_marker_blocks=3),
    "optimised": dict(quality=75, optimize=True),
    "progressive": dict(quality=90, progressive=True),
    "progressive 4:4:4": dict(quality=90, progressive=True, subsampling=0),
    "grey": dict(quality=90),
    "grey progressive": dict(quality=90, progressive=True),
}
FLAT = {
    f"flat {colour}{' progressive' * progressive}": dict(progressive=progressive)
    for colour in (0, 128, 255)
    for progressive in (False, True)
}


def picture(kind: str) -> bytes:
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(0, 256, (10, 12, 3), dtype=np.uint8))
    image = small.resize((WIDTH, HEIGHT), Image.BICUBIC)
    if kind in FLAT:
        image = Image.new("RGB", (WIDTH, HEIGHT), (int(kind.split()[1]), 128, 30))
    content = io.BytesIO()
    options = {**KINDS, **FLAT}[kind]
    image.convert("L" if kind.startswith("grey") else "RGB").save(content, "JPEG", **options)
    return content.getvalue()


def frame(content: bytes) -> int:
    """Return where height and width stand."""
    return max(content.find(b"\xff\xc0"), content.find(b"\xff\xc2")) + 5


def resized(content: bytes, height: int, width: int) -> bytes:
    start = frame(content)
    size = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    return content[:start] + size + content[start + 4 :]


@pytest.mark.parametrize("kind", [*KINDS, *FLAT])
def test_intact_files_are_decoded_as_ever(kind):
    content = picture(kind)
    expected = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
    assert np.array_equal(read_image(content), expected)
    # What cameras put behind the end, and a size of the same blocks.
    assert np.array_equal(read_image(content + b"\0" * 100 + content), expected)
    assert read_image(resized(content, HEIGHT, WIDTH - 1)).shape == (HEIGHT, WIDTH - 1, 3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("height", "width", "what"),
    [
        (HEIGHT ^ 128, WIDTH, "more"),
        (HEIGHT ^ 16, WIDTH, "more"),
        (HEIGHT ^ 32, WIDTH, "less"),
        (HEIGHT ^ 256, WIDTH, "less"),
        (HEIGHT, WIDTH ^ 64, "more"),
        (HEIGHT, WIDTH ^ 16, "less"),
        (HEIGHT, WIDTH ^ 1024, "less"),
        (1, WIDTH, "more"),
    ],
)
def test_another_size_is_refused(kind, height, width, what):
    content = resized(picture(kind), height, width)
    Image.open(io.BytesIO(content)).load()
    with pytest.raises(UserError, match=f"states {width} x {height}, and its data are {what} than"):
        read_image(content)
    assert read_image(content, check_size=False).shape == (height, width, 3)


def test_every_flipped_bit_of_a_photograph_is_found(shared):
    path = min((shared / "data/imagenette224").rglob("*.JPEG"))
    content = bytearray(path.read_bytes())
    start = frame(bytes(content))
    for bit in range(32):
        flipped = bytearray(content)
        flipped[start + bit // 8] ^= 1 << bit % 8
        with pytest.raises(UserError):
            read_image(bytes(flipped))


def test_no_photograph_is_refused_or_changed(shared):
    folders = ("imagenette224", "coco354/val2017", "imagenette96/val")
    for folder in folders:
        for path in sorted((shared / "data" / folder).rglob("*.*"))[::23][:25]:
            photo = Image.open(path).convert("RGB")
            assert np.array_equal(read_image(path), np.asarray(photo)), path
            content = io.BytesIO()
            photo.save(content, "JPEG", progressive=True)
            expected = np.asarray(Image.open(content))
            assert np.array_equal(read_image(content.getvalue()), expected), path


@pytest.mark.parametrize("length", [20, 200, 600, -1, -2])
def test_cut_files_are_refused_as_ever(length):
    with pytest.raises(UserError, match="cannot be read"):
        read_image(picture("4:2:0")[:length])


def test_the_transform_can_take_such_files_as_they_are(tmp_path):
    path = Path(tmp_path / "odd.jpg")
    path.write_bytes(resized(picture("4:2:0"), 100, WIDTH))
    with pytest.raises(UserError, match=r"odd\.jpg.*check_size=False of gcp_mm\.LoadImage"):
        LoadImage()({"img_path": str(path)})
    assert LoadImage(check_size=False)({"img_path": str(path)})["img_shape"] == (100, WIDTH)
