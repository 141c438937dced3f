"""Metrics: for ImageNet-C, ImageNet-P, and COCO-format data where there is mmdet."""

from gcp_mm.evaluation.metrics.corruption_error_metric import CorruptionError
from gcp_mm.evaluation.metrics.flip_rate_metric import FlipRate
from gcp_mm.optional_import import import_available

import_available(["gcp_mm.evaluation.metrics.coco_metric"])

__all__ = ["CorruptionError", "FlipRate"]
