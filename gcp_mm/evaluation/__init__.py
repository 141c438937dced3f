"""Robustness measures of ImageNet-C and ImageNet-P; they need numpy and nothing else."""

from gcp_mm.evaluation.baseline import Baseline, load_baseline
from gcp_mm.evaluation.corruption_error import corruption_error
from gcp_mm.evaluation.flip_probability import flip_probability
from gcp_mm.evaluation.perturbation_robustness import perturbation_robustness
from gcp_mm.evaluation.top5_distance import top5_distance

__all__ = [
    "Baseline",
    "corruption_error",
    "flip_probability",
    "load_baseline",
    "perturbation_robustness",
    "top5_distance",
]
