"""Flips and top-5 distances along perturbation sequences, and both relative to a baseline.

How often the predicted class changes, and how much the order of the five most likely ones does
(arXiv 1903.12261, 4.2). Clips may differ in their number of frames.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from gcp_mm.errors import UserError
from gcp_mm.robustness.measures.baseline import Baseline, load_baseline
from gcp_mm.robustness.measures.corruption_error import check_number
from gcp_mm.robustness.names import DIFFICULTIES, IS_NOISE, PERTURBATIONS

# |1 - 6| + |2 - 6| + |3 - 6| + |4 - 6| + |5 - 1|: of the five, the last has become the first.
_FARTHEST = 18


def frame_pairs(
    top5: np.ndarray, noise: bool, difficulty: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Pair (clips, frames, 5) into reference and compared frames, each (clips, pairs, 5).

    Noise: each frame from the second one with the first, at any difficulty. Otherwise: each frame
    with the one ``difficulty`` frames earlier. Source: ImageNet-P/test.py of
    https://github.com/hendrycks/robustness.
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


def count_flips(top5: np.ndarray, noise: bool, difficulty: int = 1) -> tuple[np.ndarray, int]:
    """Count the changes of the most likely class: (clips,) int64, and comparisons in each."""
    reference, current = frame_pairs(top5, noise, difficulty)
    changed = reference[..., 0] != current[..., 0]
    return changed.sum(axis=1, dtype=np.int64), current.shape[1]


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


def sum_distances(top5: np.ndarray, noise: bool, difficulty: int = 1) -> tuple[np.ndarray, int]:
    """Sum the top-5 distances of compared frames: (clips,) int64, and comparisons in each."""
    reference, current = frame_pairs(top5, noise, difficulty)
    total = np.zeros(reference.shape[0], np.int64)
    # One class of the reference at a time: memory stays a small multiple of the input.
    for i in range(5):
        same = reference[..., i, None] == current
        rank = np.where(same.any(axis=-1), same.argmax(axis=-1) + 1, 6)
        total += np.abs(i + 1 - rank).sum(axis=1)
    return total, current.shape[1]


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


@dataclass(frozen=True)
class SequenceMeasures:
    """Changes of the class and comparisons in all clips; means over clips of those over pairs."""

    flips: int
    pairs: int
    flip_probability: float
    top5_distance: float


def measure_clips(
    clips: Sequence[np.ndarray], perturbation: str, difficulty: int = 1
) -> SequenceMeasures:
    """Measure clips of (frames, 5) top-5; sums are exact, so that their order does not matter."""
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


def perturbation_robustness(
    flip_probability: Mapping[str, float],
    top5_distance: Mapping[str, float],
    difficulty: int = 1,
    baseline: str | Path | Baseline = "alexnet",
) -> dict[str, Any]:
    """Divide flip probabilities and top-5 distances by the baseline's and average over the ten.

    mFR is ``100 * mean_p FP_p / FP_p(baseline)``, a mean of ratios; the column mFP of the
    covariance pooling paper is this number. mT5D is the same of the top-5 distances. AlexNet's
    top-5 distances were never published, so that mT5D needs a baseline that was measured.

    Args:
        flip_probability: FP by perturbation, fractions.
        top5_distance: T5D by perturbation.
        difficulty: At which both were measured.
        baseline: 'alexnet' (published flip probabilities), the path of a file, or a baseline.

    Returns:
        ``flip_probability`` and ``top5_distance`` as given, in the order of the paper;
        ``flip_rate`` and ``top5_ratio`` in percent by perturbation; ``mFR`` and ``mT5D``, None
        where they cannot be computed, and then ``mFR_reason`` and ``mT5D_reason`` say why.

    Raises:
        UserError: If a perturbation is unknown, a value is no fraction or no distance, or the
            baseline cannot be read.
    """
    reference = load_baseline(baseline, "imagenet-p")
    result: dict[str, Any] = {"difficulty": difficulty}
    for raw, table, most, ratios, mean in (
        ("flip_probability", flip_probability, 1, "flip_rate", "mFR"),
        ("top5_distance", top5_distance, _FARTHEST, "top5_ratio", "mT5D"),
    ):
        if unknown := sorted(set(table) - set(PERTURBATIONS)):
            raise UserError(f"no perturbation of ImageNet-P: {', '.join(unknown)}")
        table = {name: table[name] for name in PERTURBATIONS if name in table}
        for name, value in table.items():
            check_number(f"{raw} of {name!r}", value, most)
        divisors = getattr(reference, raw)
        rate: dict[str, float] | None = None
        reason: str | None = None
        if divisors is None:
            reason = f"baseline {reference.name!r} has no {raw}"
        elif reference.difficulty != difficulty:
            reason = f"baseline {reference.name!r} has difficulty {reference.difficulty}"
        else:
            rate = {name: 100 * (table[name] / divisors[name]) for name in table}
            missing = [name for name in PERTURBATIONS if name not in table]
            reason = f"not measured: {', '.join(missing)}" if missing else None
        result[raw], result[ratios], result[f"{mean}_reason"] = table, rate, reason
        whole = None if rate is None or reason else math.fsum(rate.values())
        result[mean] = None if whole is None else whole / len(PERTURBATIONS)
    return result
