"""Flip probability and top-5 distance of clips that differ in their number of frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from gcp_mm.errors import UserError
from gcp_mm.evaluation.flip_probability import count_flips
from gcp_mm.evaluation.perturbations import IS_NOISE
from gcp_mm.evaluation.top5_distance import sum_distances


@dataclass(frozen=True)
class SequenceMeasures:
    """What the clips of a perturbation give.

    Attributes:
        flips: Changes of the predicted class in all clips.
        pairs: Comparisons in all clips.
        flip_probability: Mean over clips of the mean over comparisons.
        top5_distance: Mean over clips of the mean over comparisons.
    """

    flips: int
    pairs: int
    flip_probability: float
    top5_distance: float


def measure_clips(
    clips: Sequence[np.ndarray], perturbation: str, difficulty: int = 1
) -> SequenceMeasures:
    """Measure the clips of a perturbation; sums are exact, so that their order does not matter.

    Args:
        clips: Ordered top-5 of each clip, (frames, 5) integers.
        perturbation: Its name; says what frames are compared with.
        difficulty: 1, 2 or 3.

    Returns:
        The measures.

    Raises:
        UserError: If there is no clip, or one has too few frames.
    """
    if not len(clips):
        raise UserError(f"{perturbation}: no clip to measure")
    noise = IS_NOISE[perturbation]
    by_length: dict[int, list[np.ndarray]] = {}
    for clip in clips:
        by_length.setdefault(len(clip), []).append(clip)
    flips = pairs = 0
    probability = distance = Fraction(0)
    for group in by_length.values():
        top5 = np.stack(group)
        changes, number = count_flips(top5, noise, difficulty)
        sums, _ = sum_distances(top5, noise, difficulty)
        flips, pairs = flips + int(changes.sum()), pairs + number * len(group)
        probability += Fraction(int(changes.sum()), number)
        distance += Fraction(int(sums.sum()), number)
    return SequenceMeasures(
        flips, pairs, float(probability / len(clips)), float(distance / len(clips))
    )
