import hashlib
import subprocess
import sys

import av
import cv2
import numpy as np
import pytest

from gcp_mm.errors import UserError
from gcp_mm.robustness.corrupt import video
from gcp_mm.robustness.corrupt.video import encode_mp4, require_encoder
from robustness.corrupt.conftest import smooth


def frames(number=7, height=48, width=64):
    return [np.roll(smooth(height, width), 2 * index, axis=1) for index in range(number)]


def decode(path) -> np.ndarray:
    clip = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    found = []
    while (read := clip.read())[0]:
        found.append(read[1][..., ::-1])
    return np.stack(found)


@pytest.mark.parametrize("noisy", [False, True])
def test_frames_survive(tmp_path, noisy):
    expected = np.stack(frames())
    if noisy:
        noise = np.random.default_rng(0).normal(0, 8, expected.shape)
        expected = np.clip(expected + noise, 0, 255).astype(np.uint8)
    path = tmp_path / "clip.mp4"
    path.write_bytes(encode_mp4(expected, noisy))
    found = decode(path).astype(float)
    assert found.shape == expected.shape
    # yuv420p halves the resolution of colour, so that noise in it is lost.
    assert np.abs(found.mean(-1) - expected.mean(-1)).mean() < 4
    if noisy:
        spread = (found[1:] - found[:-1]).mean(-1).std()
        assert spread == pytest.approx((expected[1:] * 1.0 - expected[:-1]).mean(-1).std(), rel=0.2)


def test_the_format_is_that_of_imagenet_p(tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_bytes(encode_mp4(frames(), noisy=False))
    with av.open(path) as container:
        (stream,) = container.streams
        assert stream.codec_context.name == "h264" and stream.pix_fmt == "yuv420p"
        assert stream.average_rate == 1 and stream.frames == 7


def test_the_same_frames_give_the_same_bytes():
    assert encode_mp4(frames(), True) == encode_mp4(iter(frames()), True)


def moving(noisy):
    """Frames whose encoding depends on the functions that libx264 chooses by itself."""
    image = smooth(112, 112)
    if not noisy:
        return [np.roll(image, (index, 2 * index), (0, 1)) for index in range(20)]
    noise = (np.random.default_rng(index).normal(0, 12, image.shape) for index in range(20))
    return [np.clip(image + part, 0, 255).astype(np.uint8) for part in noise]


REPEATED = """
import hashlib, runpy, sys
import numpy as np
# The file alone, without the packages that its neighbours import.
encode_mp4 = runpy.run_path(sys.argv[2])["encode_mp4"]
frames, rng = np.load(sys.argv[1]), np.random.default_rng(0)
for _ in range(8):
    # Memory that was used before, of another size each time.
    waste = [bytes(int(rng.integers(1000, 2_000_000))) for _ in range(5)]
    print(hashlib.sha256(encode_mp4(frames, False)).hexdigest())
"""


def test_many_encodings_in_many_processes_are_equal(tool_env, tmp_path):
    np.save(tmp_path / "frames.npy", moving(False))
    # At the same time, and each with other values in memory that nobody has set.
    started = [
        subprocess.Popen(
            [sys.executable, "-c", REPEATED, tmp_path / "frames.npy", video.__file__],
            env={**tool_env, "MALLOC_PERTURB_": str(value)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for value in (0, 85, 255)
    ]
    lines = [line for process in started for line in process.communicate()[0].splitlines()]
    assert [process.returncode for process in started] == [0] * 3
    assert len(lines) == 24
    assert set(lines) == {hashlib.sha256(encode_mp4(moving(False), False)).hexdigest()}


@pytest.mark.parametrize("noisy", [False, True])
def test_instruction_set_does_not_matter(monkeypatch, noisy):
    found = encode_mp4(moving(noisy), noisy)
    # Without any function in assembler, libx264 is the program that its authors wrote in C.
    for choice in ("asm=none", f"{video.PARAMS}:asm=sse2"):
        monkeypatch.setattr(video, "PARAMS", choice)
        assert encode_mp4(moving(noisy), noisy) == found


def test_an_odd_row_and_column_are_cut_off(tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_bytes(encode_mp4(frames(height=41, width=53), noisy=False))
    assert decode(path).shape[1:3] == (40, 52)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(UserError, match="pip install av"):
        require_encoder()


def test_a_missing_encoder_is_named(monkeypatch):
    def unknown(name, mode):
        raise av.codec.codec.UnknownCodecError(name)

    monkeypatch.setattr(av.codec, "Codec", unknown)
    with pytest.raises(UserError, match="no libx264"):
        require_encoder()
