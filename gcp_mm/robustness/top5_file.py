"""The ordered top-5 of every frame of a perturbation, in a file beside the results."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gcp_mm.engine.atomic_backend import AtomicLocalBackend
from gcp_mm.errors import UserError


@dataclass(frozen=True)
class Top5:
    """What is kept of clips: 10 bytes for a frame.

    Attributes:
        clips: (n,) int32 positions of the clips in the listing, ascending.
        lengths: (n,) int32 numbers of frames.
        classes: (sum of lengths, 5) int16 class ids, the most likely one first, clip after clip.
    """

    clips: np.ndarray
    lengths: np.ndarray
    classes: np.ndarray

    def split(self) -> list[np.ndarray]:
        """Return the (frames, 5) classes of each clip."""
        return np.split(self.classes, np.cumsum(self.lengths)[:-1])


def join(parts: Iterable[Top5]) -> Top5:
    """Join the clips of processes or shards in the order of the listing.

    Args:
        parts: Different clips.

    Returns:
        All of them.
    """
    parts = list(parts)
    clips = np.concatenate([part.clips for part in parts])
    order = np.argsort(clips, kind="stable")
    lengths = np.concatenate([part.lengths for part in parts])[order]
    by_clip = [frames for part in parts if len(part.clips) for frames in part.split()]
    classes = np.concatenate([by_clip[index] for index in order])
    return Top5(clips[order], lengths, classes)


def top5_path(results: Path, cell: str) -> Path:
    """Return where the top-5 of a cell lies, beside the file of results.

    Args:
        results: The JSON file.
        cell: Folder name of the perturbation.
    """
    return results.with_name(f"{results.stem}_top5") / f"{cell}.npz"


def write_top5(path: Path, top5: Top5) -> None:
    """Write a file, complete or not at all.

    Args:
        path: The file.
        top5: Its content.

    Raises:
        UserError: If it cannot be written.
    """
    content = io.BytesIO()
    np.savez(content, clips=top5.clips, lengths=top5.lengths, classes=top5.classes)
    try:
        AtomicLocalBackend().put(content.getvalue(), path)
    except OSError as error:
        raise UserError(f"{str(path)!r} cannot be written: {error}") from error


def read_top5(path: Path) -> Top5:
    """Read a file.

    Args:
        path: The file.

    Returns:
        Its content.

    Raises:
        UserError: If it is missing or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as content:
            top5 = Top5(content["clips"], content["lengths"], content["classes"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(
            f"{str(path)!r} cannot be read ({type(error).__name__}: {error}): it holds the top-5 "
            "of the frames and belongs beside its JSON file"
        ) from error
    if len(top5.lengths) != len(top5.clips) or top5.lengths.sum() != len(top5.classes):
        raise UserError(f"{str(path)!r} is damaged: the numbers of frames do not add up")
    return top5
