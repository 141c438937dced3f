"""Top-5 distance: how much the order of the five most likely classes changes."""

from __future__ import annotations

import numpy as np

from gcp_mm.evaluation.frame_pairs import frame_pairs

_RANKS = np.arange(1, 6)


def sum_distances(top5: np.ndarray, noise: bool, difficulty: int = 1) -> tuple[np.ndarray, int]:
    """Sum the top-5 distances of the compared frames of each clip.

    Args:
        top5: (clips, frames, 5) integer class ids, the most likely one first.
        noise: Whether frames are compared with the first one (True) or a previous one (False).
        difficulty: Distance of the frames compared, unless for noise.

    Returns:
        The sums of each clip, (clips,) int64, and the number of comparisons in each.

    Raises:
        UserError: If the array has another shape or type, or too few frames.
    """
    reference, current = frame_pairs(top5, noise, difficulty)
    total = np.zeros(reference.shape[:2], np.int64)
    # One class of the reference at a time: memory stays a small multiple of the input.
    for i in range(5):
        same = reference[..., i, None] == current
        rank = np.where(same.any(axis=-1), same.argmax(axis=-1) + 1, 6)
        total += np.abs(_RANKS[i] - rank)
    return total.sum(axis=1), total.shape[1]


def top5_distance(top5: np.ndarray, noise: bool, difficulty: int = 1) -> float:
    r"""Compute the top-5 distance T5D (arXiv 1903.12261, section 4.2).

    With the rank sigma(i) among the frame's five classes of the class that is i-th in the frame it
    is compared with, 6 if it is not among them,

    .. math::
        d = \sum_{i=1}^{5} |i - \sigma(i)|

    averaged over the comparisons of a clip, then over the clips. Disjoint top-5 give 15; the
    distance is not symmetric. The original code ranks all classes; this is the same number.

    Args:
        top5: (clips, frames, 5) integer class ids, the most likely one first.
        noise: Whether the perturbation is a noise.
        difficulty: 1 (published numbers), 2 or 3.

    Returns:
        T5D, from 0 to 18.

    Raises:
        UserError: If the array has another shape or type, or too few frames.
    """
    distances, pairs = sum_distances(top5, noise, difficulty)
    return int(distances.sum()) / (pairs * len(distances))
