"""Clips, whole and broken."""

import os

import numpy as np
import pytest

from gcp_mm.errors import UserError
from gcp_mm.robustness.data import video_clip
from gcp_mm.robustness.data.video_clip import count_frames, has_strict_decoder, read_clip
from robustness.conftest import write_clip


@pytest.fixture
def clip(tmp_path):
    """Write a clip of frames of one colour each."""

    def write(number, size=224):
        path = tmp_path / "clip.mp4"
        colours = [(20 * index, 100, 200) for index in range(number)]
        write_clip(path, [np.full((size, size, 3), colour, np.uint8) for colour in colours])
        return path

    return write


@pytest.mark.parametrize("number", [2, 5, 11])
def test_frames_are_read_in_order_and_blue_first(clip, number):
    frames = read_clip(clip(number))
    assert frames.shape == (number, 224, 224, 3) and frames.dtype == np.uint8
    expected = [(20 * index, 100, 200) for index in range(number)]
    # The colours are stored in YUV.
    assert np.abs(frames.mean(axis=(1, 2)) - expected).max() < 6
    assert count_frames(clip(number)) == number


def test_both_decoders_give_the_same(clip, monkeypatch):
    pytest.importorskip("av")
    path = clip(4)
    strict = read_clip(path)
    monkeypatch.setattr(video_clip, "has_strict_decoder", lambda: False)
    found = read_clip(path)
    # The conversion from YUV may differ by rounding.
    assert np.abs(strict.astype(int) - found).max() <= 1


def damaged(path, step):
    """Write damaged versions of a clip over it: zeros and noise in places all over its frames."""
    content, rng = path.read_bytes(), np.random.default_rng(1)
    start = content.index(b"mdat") + 4
    end = start - 8 + int.from_bytes(content[start - 8 : start - 4], "big")
    for place in range(start, end - 60, max(1, (end - start) // step)):
        for damage in (bytes(60), rng.bytes(60), bytes([content[place] ^ 16])):
            path.write_bytes(content[:place] + damage + content[place + len(damage) :])
            if path.read_bytes() != content:
                yield


def test_every_damage_to_a_clip_that_was_made_here_is_seen(tmp_path, monkeypatch):
    pytest.importorskip("av")
    from gcp_mm.robustness.corrupt.video import encode_mp4

    rng = np.random.default_rng(0)
    path = tmp_path / "clip.mp4"
    path.write_bytes(encode_mp4([rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)] * 4, True))
    assert len(read_clip(path, 64)) == 4
    tried = 0
    for strict in (True, False):
        monkeypatch.setattr(video_clip, "has_strict_decoder", lambda strict=strict: strict)
        for _ in damaged(path, 10):
            tried += 1
            with pytest.raises(UserError, match=r"clip\.mp4' is damaged"):
                read_clip(path, 64)
        path.write_bytes(encode_mp4([rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)] * 4, True))
    assert tried > 40


@pytest.mark.parametrize("codec", ["mpeg4", "libx264"])
def test_most_damage_to_other_clips_is_seen(tmp_path, monkeypatch, codec):
    av = pytest.importorskip("av")
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 256, (8, 8, 3), dtype=np.uint8) for _ in range(6)]
    frames = [np.kron(frame, np.ones((8, 8, 1), np.uint8)) for frame in frames]
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=1)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    whole, missed = read_clip(path, 64), {}
    content = path.read_bytes()
    for strict in (True, False):
        monkeypatch.setattr(video_clip, "has_strict_decoder", lambda strict=strict: strict)
        path.write_bytes(content)
        outcomes = []
        for _ in damaged(path, 20):
            try:
                outcomes.append(not np.array_equal(read_clip(path, 64), whole))
            except UserError:
                outcomes.append(False)
        assert len(outcomes) > 40
        missed[strict] = sum(outcomes) / len(outcomes)
    # Not all: a wrong byte of an entropy code may be a right one of another picture.
    assert missed[True] < 0.6 * missed[False], missed


def test_size_is_checked_or_changed(clip):
    path = clip(3, size=64)
    with pytest.raises(UserError, match=r"clip\.mp4' is 64 x 64"):
        read_clip(path)
    assert read_clip(path, 32).shape == (3, 32, 32, 3)


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        ("missing", "does not exist"),
        ("text", "is no video"),
        ("truncated", "is no video"),
        ("one frame", "has 1 frames, and flips need at least 2"),
        ("empty frames", "is damaged"),
    ],
)
def test_broken_clip_is_named(clip, damage, named):
    path = clip(1 if damage == "one frame" else 6)
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage == "text":
        path.write_bytes(b"<html>404</html>")
    elif damage == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "empty frames":
        start, end = content.index(b"mdat") + 4, content.index(b"moov") - 4
        path.write_bytes(content[:start] + bytes(end - start) + content[end:])
    with pytest.raises(UserError) as error:
        read_clip(path)
    assert f"clip {str(path)!r} {named}" in str(error.value)


def test_name_of_another_encoding_does_not_end_the_process(clip, monkeypatch):
    path = clip(3)
    path = path.rename(path.with_name(os.fsdecode(b"caf\xe9.mp4")))
    assert not has_strict_decoder() or len(read_clip(path)) == 3
    monkeypatch.setattr(video_clip, "has_strict_decoder", lambda: False)
    for read in (count_frames, read_clip):
        with pytest.raises(UserError, match="has a name that is no UTF-8, .*: rename it"):
            read(path)


@pytest.mark.parametrize("name", ["p:100%d, [1].mp4", "concat:x|y.mp4", "$a {b} it's %05d.mp4"])
def test_name_is_no_address(clip, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    clip(3).rename(name)
    assert count_frames(name) == len(read_clip(name)) == 3
