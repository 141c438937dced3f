"""Flip probability: how often the predicted class changes along a perturbation sequence."""

from __future__ import annotations

import numpy as np

from gcp_mm.evaluation.frame_pairs import frame_pairs


def count_flips(top5: np.ndarray, noise: bool, difficulty: int = 1) -> tuple[np.ndarray, int]:
    """Count the changes of the most likely class in each clip.

    Args:
        top5: (clips, frames, 5) integer class ids, the most likely one first.
        noise: Whether frames are compared with the first one (True) or a previous one (False).
        difficulty: Distance of the frames compared, unless for noise.

    Returns:
        The changes of each clip, (clips,) int64, and the number of comparisons in each.

    Raises:
        UserError: If the array has another shape or type, or too few frames.
    """
    reference, current = frame_pairs(top5, noise, difficulty)
    changed = reference[..., 0] != current[..., 0]
    return changed.sum(axis=1, dtype=np.int64), changed.shape[1]


def flip_probability(top5: np.ndarray, noise: bool, difficulty: int = 1) -> float:
    r"""Compute the flip probability FP (arXiv 1903.12261, section 4.2).

    With the predicted class f(x_j) of frame j of a clip of n frames,

    .. math::
        FP = \mathrm{mean}_{clips}\, \mathrm{mean}_{j} [f(x_j) \ne f(x_{j-d})]

    over j = d + 1 to n, where d is the difficulty; for noise x_1 stands in place of x_{j-d} and j
    runs from 2.

    Args:
        top5: (clips, frames, 5) integer class ids, the most likely one first.
        noise: Whether the perturbation is a noise.
        difficulty: 1 (published numbers), 2 or 3.

    Returns:
        FP, a fraction.

    Raises:
        UserError: If the array has another shape or type, or too few frames.
    """
    flips, pairs = count_flips(top5, noise, difficulty)
    return int(flips.sum()) / (pairs * len(flips))
