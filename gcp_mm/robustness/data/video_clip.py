"""The frames of a short video, all of them as they were encoded, or an error.

A decoder hides damage: it fills what it cannot read with what it read before. PyAV can be told to
stop instead, where it notices; clips that were made here are sealed besides. Without PyAV, OpenCV
reads the clips, and of released ones only damage that changes the number of frames is seen.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
from torch import Tensor

from gcp_mm.errors import UserError
from gcp_mm.files import why_absent
from gcp_mm.images.names import is_text
from gcp_mm.robustness.data.fixed_size import broken, fit
from gcp_mm.robustness.data.manifest import NOT_AS_WRITTEN, is_intact
from gcp_mm.robustness.names import IS_NOISE


def _open(path: str | Path) -> tuple[cv2.VideoCapture, int]:
    """Open a clip; return it with the number of frames that its container states."""
    # OpenCV's own choice of a backend ends at a camera interface for some broken files. One thread:
    # the workers of a data loader are the parallelism.
    # Absolute: FFmpeg takes what stands before a colon for a protocol.
    source = str(Path(path).absolute())
    if not is_text(source):
        # OpenCV would end the process.
        raise broken("clip", path, "has a name that is no UTF-8, as OpenCV needs it: rename it")
    video = cv2.VideoCapture(source, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    if not video.isOpened():
        raise _not_opened(path)
    stated = round(video.get(cv2.CAP_PROP_FRAME_COUNT))
    if stated < 2:
        video.release()
        raise broken("clip", path, f"has {stated} frames, and flips need at least 2")
    return video, stated


def count_frames(path: str | Path) -> int:
    """Return the number of frames that the container of a clip states, at least 2."""
    video, stated = _open(path)
    video.release()
    return stated


def frame_size(path: str | Path) -> tuple[int, int]:
    """Return width and height that the container of a clip states."""
    video, _ = _open(path)
    size = video.get(cv2.CAP_PROP_FRAME_WIDTH), video.get(cv2.CAP_PROP_FRAME_HEIGHT)
    video.release()
    return round(size[0]), round(size[1])


def read_clip(path: str | Path, size: int | None = None, sealed: bool = False) -> np.ndarray:
    """Decode a clip with FFmpeg on one thread: (T, H, W, 3) uint8, channels blue, green, red.

    For ``size`` see :func:`gcp_mm.robustness.data.fixed_size.fit`. ``sealed`` clips were written
    with a digest.
    """
    with contextlib.suppress(OSError):  # whatever it is, the decoder names it
        if not is_intact(Path(path).read_bytes(), sealed):
            raise broken("clip", path, f"is damaged ({NOT_AS_WRITTEN})")
    decode = _decode_strictly if has_strict_decoder() else _decode
    frames: list[np.ndarray] = []
    stated = decode(path, lambda frame: frames.append(fit(frame, size, path)))
    if len(frames) != stated:
        reason = f"gives {len(frames)} frames, and its container states {stated}"
        raise broken("clip", path, reason)
    return np.stack(frames)


@functools.cache
def has_strict_decoder() -> bool:
    """Say whether PyAV is there, which finds damage inside of clips."""
    return find_spec("av") is not None


def _decode(path: str | Path, keep: Callable[[np.ndarray], None]) -> int:
    """Hand over the frames as OpenCV reads them; return the stated number."""
    video, stated = _open(path)
    try:
        while (read := video.read())[0]:
            keep(read[1])
    finally:
        video.release()
    return stated


def _decode_strictly(path: str | Path, keep: Callable[[np.ndarray], None]) -> int:
    """Hand over the frames up to the first damage; return the stated number."""
    import av
    from av.video.reformatter import VideoReformatter

    try:
        # Text that is no UTF-8 is no reason to stop. Absolute as above.
        container = av.open(str(Path(path).absolute()), metadata_errors="replace")
    except (av.error.FFmpegError, OSError, ValueError):
        container = None
    stream = container.streams.video[0] if container and container.streams.video else None
    if container is None or stream is None or stream.codec_context is None:
        raise _not_opened(path)
    stated = stream.frames or count_frames(path)
    if stated < 2:
        container.close()
        raise broken("clip", path, f"has {stated} frames, and flips need at least 2")
    context = stream.codec_context
    context.thread_count = 1
    context.options = {"err_detect": _STRICT}

    # One of each clip: that of each frame is made anew every time.
    reformatter = VideoReformatter()
    last = -1
    with container:
        try:
            for packet in container.demux(stream):
                for frame in packet.decode():
                    if packet.is_corrupt or frame.is_corrupt:
                        raise broken("clip", path, "is damaged (a frame is incomplete)")
                    if frame.pts is not None and frame.pts <= last:
                        raise broken("clip", path, "is damaged (frames out of order)")
                    last = last if frame.pts is None else frame.pts
                    keep(reformatter.reformat(frame, format="bgr24").to_ndarray())
        except av.error.FFmpegError as error:
            reason = error.strerror or type(error).__name__
            raise broken("clip", path, f"is damaged ({reason})") from error
    return stated


# Every check that FFmpeg has, and no concealment.
_STRICT = "crccheck+bitstream+buffer+explode+careful+compliant+aggressive"


def _not_opened(path: str | Path) -> UserError:
    reason = "is no video that FFmpeg can open" if Path(path).is_file() else why_absent(path)
    return broken("clip", path, reason)


def require_length(
    clips: Iterator[Tensor], paths: Iterable[Path], perturbation: str, difficulty: int
) -> Iterator[Tensor]:
    """Pass clips (N, H, W, 3) on, and stop at one with too few frames to compare any."""
    # Stronger noises have folders of other names.
    step = 1 if IS_NOISE.get(perturbation, True) else difficulty
    for path in paths:
        frames = next(clips)
        if len(frames) <= step:
            raise UserError(
                f"clip {str(path)!r} has {len(frames)} frames, and --difficulty {difficulty} "
                f"compares frames {step} apart: ask for a lower --difficulty, or replace the file"
            )
        yield frames
