"""Whether clips are long enough for the difficulty that is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from torch import Tensor

from gcp_mm.errors import UserError
from gcp_mm.evaluation.perturbations import IS_NOISE


def require_length(
    clips: Iterator[Tensor], paths: Iterable[Path], perturbation: str, difficulty: int
) -> Iterator[Tensor]:
    """Pass clips on, and stop at one that has nothing to compare.

    Args:
        clips: Frames (N, H, W, 3) of one clip after the other.
        paths: Of their files.
        perturbation: Its folder; a noise is compared with the first frame at any difficulty.
        difficulty: Distance of the frames that are compared otherwise.

    Yields:
        The clips.

    Raises:
        UserError: If a clip has not more frames than the distance; names its file.
    """
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
