"""Robustness measures of ImageNet-C and ImageNet-P; they need numpy and nothing else."""

from gcp_mm.robustness.measures.baseline import Baseline, load_baseline
from gcp_mm.robustness.measures.corruption_error import corruption_error
from gcp_mm.robustness.measures.perturbation_robustness import (
    flip_probability,
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
