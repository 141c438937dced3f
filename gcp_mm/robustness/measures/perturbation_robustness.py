"""Flip rates and normalised top-5 distances: perturbation robustness relative to a baseline."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gcp_mm.errors import UserError
from gcp_mm.robustness.measures.baseline import Baseline, load_baseline
from gcp_mm.robustness.names import PERTURBATIONS


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
        UserError: If a perturbation is unknown, or the baseline cannot be read.
    """
    reference = load_baseline(baseline, "imagenet-p")
    result: dict[str, Any] = {"difficulty": difficulty}
    for raw, table, ratios, mean, divisors in (
        ("flip_probability", flip_probability, "flip_rate", "mFR", reference.flip_probability),
        ("top5_distance", top5_distance, "top5_ratio", "mT5D", reference.top5_distance),
    ):
        if unknown := sorted(set(table) - set(PERTURBATIONS)):
            raise UserError(f"no perturbation of ImageNet-P: {', '.join(unknown)}")
        table = {name: table[name] for name in PERTURBATIONS if name in table}
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
