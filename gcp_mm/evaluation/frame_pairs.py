"""Which frames of a perturbation sequence are compared."""

from __future__ import annotations

import numpy as np

from gcp_mm.errors import UserError
from gcp_mm.evaluation.perturbations import DIFFICULTIES


def frame_pairs(
    top5: np.ndarray, noise: bool, difficulty: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Pair the frames of clips as the original code does.

    Noise: each frame from the second one with the first, at any difficulty. Otherwise: each frame
    with the one ``difficulty`` frames earlier. Source: ImageNet-P/test.py of
    https://github.com/hendrycks/robustness.

    Args:
        top5: (clips, frames, 5) integer class ids, the most likely one first.
        noise: Whether the perturbation is a noise.
        difficulty: 1, 2 or 3.

    Returns:
        The reference frames and the frames compared with them, each (clips, pairs, 5); pairs is
        frames - 1 for noise and frames - difficulty otherwise.

    Raises:
        UserError: If the array has another shape or type, or too few frames.
    """
    top5 = np.asarray(top5)
    if top5.ndim != 3 or top5.shape[2] != 5 or not np.issubdtype(top5.dtype, np.integer):
        raise UserError(
            f"top5 has shape {top5.shape} and type {top5.dtype}, expected integer class ids of "
            "shape (clips, frames, 5)"
        )
    if difficulty not in DIFFICULTIES:
        raise UserError(f"difficulty is {difficulty!r}, expected one of {DIFFICULTIES}")
    step = 1 if noise else difficulty
    clips, frames = top5.shape[:2]
    if not clips or frames <= step:
        raise UserError(
            f"{clips} clips of {frames} frames: at difficulty {difficulty} there is nothing to "
            f"compare; at least one clip of {step + 1} frames"
        )
    current = top5[:, step:]
    reference = np.broadcast_to(top5[:, :1], current.shape) if noise else top5[:, :-step]
    return reference, current
