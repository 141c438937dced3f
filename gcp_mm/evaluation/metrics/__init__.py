"""Metrics of mmengine for :class:`gcp_mm.datasets.ImageNetC` and ``ImageNetP``."""

from gcp_mm.evaluation.metrics.corruption_error_metric import CorruptionError
from gcp_mm.evaluation.metrics.flip_rate_metric import FlipRate

__all__ = ["CorruptionError", "FlipRate"]
