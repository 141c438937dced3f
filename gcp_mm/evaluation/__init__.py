"""The robustness measures under the name that OpenMMLab's packages have for such a room.

They live in :mod:`gcp_mm.robustness.measures` and need numpy and nothing else.
"""

from gcp_mm.robustness.measures import (
    Baseline,
    corruption_error,
    flip_probability,
    load_baseline,
    perturbation_robustness,
    top5_distance,
)

__all__ = [
    "Baseline",
    "corruption_error",
    "flip_probability",
    "load_baseline",
    "perturbation_robustness",
    "top5_distance",
]
