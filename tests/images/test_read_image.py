"""How files become pixels, against Pillow and OpenCV themselves."""

import io
import pickle

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from gcp_mm.errors import UserError
from gcp_mm.images.read_image import REMARKS, ImageReadError, read_image, turn

HEIGHT, WIDTH = 24, 40
RAMP = np.linspace(0, 1, HEIGHT)[:, None] * np.linspace(0.2, 1, WIDTH)
COLOURS = (np.stack([RAMP, RAMP[::-1], 0.4 * RAMP], -1) * 255).astype(np.uint8)
PICTURE = Image.fromarray(COLOURS)


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def deep(kind: str, bits: int = 16) -> bytes:
    return encode(Image.fromarray((RAMP * (2**bits - 1)).astype(np.uint16)), kind)


def with_tag(kind: str, value: int, **options: object) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = value
    return encode(PICTURE, kind, exif=exif, **options)


ORDINARY = {
    "jpeg": encode(PICTURE, "JPEG", quality=90),
    "progressive jpeg": encode(PICTURE, "JPEG", quality=90, progressive=True),
    "jpeg without subsampling": encode(PICTURE, "JPEG", quality=95, subsampling=0),
    "grey jpeg": encode(PICTURE.convert("L"), "JPEG"),
    "png": encode(PICTURE, "PNG"),
    "grey png": encode(PICTURE.convert("L"), "PNG"),
    "bmp": encode(PICTURE, "BMP"),
    "ppm": encode(PICTURE, "PPM"),
    "webp": encode(PICTURE, "WEBP"),
    "tiff": encode(PICTURE, "TIFF"),
    "palette": encode(PICTURE.quantize(16), "PNG"),
    "1 bit": encode(PICTURE.convert("1"), "PNG"),
    "transparent": encode(Image.fromarray(np.dstack([COLOURS, COLOURS[..., 0]])), "PNG"),
    "cmyk": encode(PICTURE.convert("CMYK"), "JPEG"),
    "gif": encode(PICTURE, "GIF"),
}


@pytest.mark.parametrize("backend", ["pillow", "cv2"])
@pytest.mark.parametrize("content", ORDINARY.values(), ids=ORDINARY)
def test_eight_bits_are_what_pillow_converts_to_rgb(content, backend):
    expected = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
    found = read_image(content, backend=backend)
    assert found.dtype == np.uint8 and found.flags.c_contiguous
    assert np.array_equal(found, expected)
    assert np.array_equal(read_image(content, backend=backend, order="bgr"), expected[..., ::-1])


@pytest.mark.parametrize("split", ["imagenette96/val", "coco354/val2017"])
@pytest.mark.parametrize("backend", ["pillow", "cv2"])
def test_photographs_are_what_the_original_code_reads(shared, split, backend):
    for path in sorted((shared / "data" / split).rglob("*.*"))[::37][:12]:
        expected = np.asarray(Image.open(path).convert("RGB"))
        assert np.array_equal(read_image(path, backend=backend), expected), path


@pytest.mark.parametrize("backend", ["pillow", "cv2"])
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_as_opencv_does(kind, backend):
    content = deep(kind)
    expected = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    found = read_image(content, backend=backend)
    assert np.array_equal(found, expected)
    assert found.mean() == pytest.approx(255 * RAMP.mean(), abs=1)


def test_sixteen_bits_of_other_byte_orders_and_polarities_are_scaled():
    values = (RAMP * 65535).astype(np.uint16)
    expected = np.repeat((values >> 8)[..., None], 3, -1)
    header = f"P5\n{WIDTH} {HEIGHT}\n65535\n".encode()
    assert np.array_equal(read_image(header + values.astype(">u2").tobytes()), expected)
    inverted = encode(Image.fromarray(65535 - values), "TIFF", tiffinfo={262: 0})
    assert np.array_equal(read_image(inverted), expected)


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_numbers_without_a_known_range_are_refused(tmp_path, dtype):
    path = tmp_path / "depth.tif"
    Image.fromarray((RAMP * 1000).astype(dtype)).save(path)
    with pytest.raises(ImageReadError, match=r"depth\.tif.*save it with 8 bits"):
        read_image(path)


@pytest.mark.parametrize("value", range(1, 9))
@pytest.mark.parametrize(
    ("kind", "backend"),
    [("JPEG", "pillow"), ("JPEG", "cv2"), ("PNG", "pillow"), ("WEBP", "pillow")],
)
def test_photographs_are_turned_upright(kind, backend, value):
    content = with_tag(kind, value)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(content))))
    assert np.array_equal(read_image(content, backend=backend), expected)
    stored = np.asarray(Image.open(io.BytesIO(content)))
    found = read_image(content, backend=backend, ignore_orientation=True)
    assert np.array_equal(found, stored)


def test_a_sixteen_bit_photograph_is_turned_too():
    exif = Image.Exif()
    exif[0x0112] = 6
    content = encode(Image.fromarray((RAMP * 65535).astype(np.uint16)), "PNG", exif=exif)
    upright = np.rot90((RAMP * 65535).astype(np.uint16) >> 8, -1)
    assert np.array_equal(read_image(content)[..., 0], upright)


def test_damaged_tags_turn_nothing():
    content = bytearray(with_tag("JPEG", 6))
    start = content.index(b"Exif\0\0") + 6
    content[start : start + 8] = b"\xff" * 8
    assert read_image(bytes(content)).shape == (HEIGHT, WIDTH, 3)


def test_turning_is_a_view_and_keeps_all_pixels():
    stored = np.arange(6).reshape(2, 3)
    assert turn(stored, 1) is stored
    assert all(sorted(turn(stored, value).flat) == list(range(6)) for value in range(1, 9))


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "TIFF", "PNG"])
def test_the_first_image_of_several_counts_and_this_is_remarked(kind):
    options = {"lossless": True} if kind == "WEBP" else {}
    second = PICTURE.rotate(180)
    content = encode(PICTURE, kind, save_all=True, append_images=[second], **options)
    remarks = []
    found = read_image(content, remark=remarks.append)
    assert remarks == ["frames"]
    assert np.array_equal(found, read_image(encode(PICTURE, kind, **options)))


def opaque(mode: str) -> Image.Image:
    image = PICTURE.convert(mode)
    image.putalpha(255)
    return image


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (ORDINARY["transparent"], ["alpha"]),
        (encode(PICTURE.quantize(16), "PNG", transparency=3), ["alpha"]),
        (encode(opaque("RGB"), "PNG"), []),
        (deep("PNG", bits=12), ["dark"]),
        (deep("PNG"), []),
        (ORDINARY["jpeg"], []),
    ],
    ids=["alpha", "palette", "opaque", "12 bits", "16 bits", "jpeg"],
)
def test_surprises_are_remarked(content, expected):
    remarks = []
    read_image(content, remark=remarks.append)
    assert remarks == expected
    assert set(remarks) <= REMARKS.keys()


@pytest.mark.parametrize("backend", ["pillow", "cv2"])
@pytest.mark.parametrize(
    "content",
    [
        None,
        b"",
        b"<html>404</html>",
        ORDINARY["jpeg"][:200],
        # Pillow's own reader of EPS starts Ghostscript.
        encode(PICTURE, "EPS"),
    ],
    ids=["missing", "empty", "text", "cut", "eps"],
)
def test_what_is_no_image_is_named(tmp_path, content, backend):
    path = tmp_path / "broken.JPEG"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"broken\.JPEG' cannot be read \(") as error:
        read_image(path, backend=backend)
    assert "\n" not in str(error.value)
    # As it comes out of a worker process.
    copy = pickle.loads(pickle.dumps(error.value))
    assert (str(copy), copy.reason) == (str(error.value), error.value.reason)
