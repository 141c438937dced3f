"""The frames of a short video, all of them or an error."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from gcp_mm.datasets.fixed_size import RELEASED_SIZE, fit
from gcp_mm.errors import UserError


def _open(path: str | Path) -> tuple[cv2.VideoCapture, int]:
    """Open a clip; return it with the number of frames that its container states."""
    # OpenCV's own choice of a backend ends at a camera interface for some broken files. One thread:
    # the workers of a data loader are the parallelism.
    # Absolute: FFmpeg takes what stands before a colon for a protocol.
    source = str(Path(path).absolute())
    video = cv2.VideoCapture(source, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    if not video.isOpened():
        reason = "is no video that FFmpeg can open" if Path(path).is_file() else "does not exist"
        raise UserError(_broken(path, reason))
    stated = round(video.get(cv2.CAP_PROP_FRAME_COUNT))
    if stated < 2:
        video.release()
        raise UserError(_broken(path, f"has {stated} frames, and flips need at least 2"))
    return video, stated


def count_frames(path: str | Path) -> int:
    """Return the number of frames that the container of a clip states, at least 2.

    Args:
        path: The file.

    Returns:
        The number of frames.

    Raises:
        UserError: If the file is missing, no video or has fewer than 2 frames.
    """
    video, stated = _open(path)
    video.release()
    return stated


def read_clip(
    path: str | Path, size: int | None = None, out: np.ndarray | None = None
) -> np.ndarray:
    """Decode a clip with FFmpeg on one thread.

    Args:
        path: The file, such as .mp4.
        size: None requires frames of 224 x 224, a number resizes others to it; see
            :func:`gcp_mm.datasets.fixed_size.fit`.
        out: (at least T, H, W, 3) uint8 that the frames are decoded into; None, or an array of
            another size, gives a new one.

    Returns:
        (T, H, W, 3) uint8, channels blue, green, red; T is the clip's own number of frames.

    Raises:
        UserError: If the file is missing, no video, has fewer than 2 frames, another number of
            frames than its container states, or frames of another size.
    """
    video, stated = _open(path)
    side = size or RELEASED_SIZE
    fits = out is not None and len(out) >= stated and out.shape[1:] == (side, side, 3)
    frames: list[np.ndarray] = []
    try:
        while True:
            place = out[len(frames)] if fits and len(frames) < stated else None
            found, frame = video.read(place)
            if not found:
                break
            fitted = fit(frame, size, path)
            # OpenCV returns the array that it is given if a frame has its shape.
            if place is not None and fitted is not place:
                place[:] = fitted
            frames.append(fitted)
    finally:
        video.release()
    if len(frames) != stated:
        raise UserError(
            _broken(path, f"gives {len(frames)} frames, and its container states {stated}")
        )
    return out[:stated] if fits else np.stack(frames)


def _broken(path: str | Path, reason: str) -> str:
    return (
        f"clip {str(path)!r} {reason}. Evaluation skips no clip: replace the file and start "
        "again; finished cells are kept"
    )
