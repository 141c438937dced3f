"""The ordered top-5 of every frame of a perturbation, in a file beside the results."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gcp_mm.errors import UserError
from gcp_mm.files import atomic_write, path_below

# The arrays, and the shape of an entry of each.
_FORMS = {"clips": ("<i4", ()), "lengths": ("<i4", ()), "classes": ("<i2", (5,))}
_HEADER = re.compile(
    rb"\{'descr': '(<i[24])', 'fortran_order': False, 'shape': \((\d{1,12}),(?: (5))?\), \} *\n"
)


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
    """Join the clips of processes or shards in the order of the listing."""
    parts = list(parts)
    clips = np.concatenate([part.clips for part in parts])
    order = np.argsort(clips, kind="stable")
    lengths = np.concatenate([part.lengths for part in parts])[order]
    by_clip = [frames for part in parts if len(part.clips) for frames in part.split()]
    classes = np.concatenate([by_clip[index] for index in order])
    return Top5(clips[order], lengths, classes)


def top5_path(results: Path, cell: str) -> Path:
    """Return where the top-5 of a cell is written, beside the file of results."""
    # In a name such as resnet50_0.1 the point begins no ending.
    return _beside(results, results.name.removesuffix(".json"), cell)


def find_top5(results: Path, cell: str) -> Path:
    """Return where the top-5 of a cell lies: maybe where earlier versions wrote it."""
    path, earlier = top5_path(results, cell), _beside(results, results.stem, cell)
    return path if path.exists() or not earlier.exists() else earlier


def _beside(results: Path, name: str, cell: str) -> Path:
    return path_below(results.with_name(f"{name}_top5"), f"{cell}.npz", repr(str(results)))


def write_top5(path: Path, top5: Top5) -> None:
    """Write a file, complete or not at all."""
    content = io.BytesIO()
    np.savez(
        content,
        clips=np.ascontiguousarray(top5.clips, "<i4"),
        lengths=np.ascontiguousarray(top5.lengths, "<i4"),
        classes=np.ascontiguousarray(top5.classes, "<i2"),
    )
    atomic_write(path, content.getvalue(), "top-5 file")


def read_top5(path: Path) -> Top5:
    """Read a file."""
    try:
        with zipfile.ZipFile(path) as archive:
            top5 = Top5(*(_read_array(archive, name) for name in _FORMS))
    except (OSError, ValueError, KeyError, RuntimeError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(
            f"{str(path)!r} cannot be read ({type(error).__name__}: {error}): it holds the top-5 "
            "of the frames and belongs beside its JSON file"
        ) from error
    lengths = top5.lengths.astype(np.int64)
    if len(lengths) != len(top5.clips) or lengths.sum() != len(top5.classes) or (lengths < 1).any():
        raise UserError(f"{str(path)!r} is damaged: the numbers of frames do not add up")
    return top5


def _read_array(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    """Read an array as :func:`write_top5` writes it.

    Not by ``np.load``, which evaluates the header as Python and makes whatever type it names.
    """
    member = archive.getinfo(f"{name}.npy")
    # What is not compressed is no larger than the file.
    if member.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{name!r} is compressed")
    content = archive.read(member)
    start = 10 + int.from_bytes(content[8:10], "little")
    header = _HEADER.fullmatch(content[10:start])
    dtype, entry = _FORMS[name]
    if (
        content[:8] != b"\x93NUMPY\x01\x00"
        or header is None
        or header[1].decode() != dtype
        or tuple(map(int, filter(None, [header[3]]))) != entry
    ):
        raise ValueError(f"{name!r} is no array of {dtype} with entries of the shape {entry}")
    # A wrong number of entries raises a ValueError.
    return np.frombuffer(content, dtype, offset=start).reshape(int(header[2]), *entry)
