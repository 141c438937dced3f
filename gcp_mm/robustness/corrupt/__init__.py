"""Trees like ImageNet-C and ImageNet-P, made from one's own class folders."""

from gcp_mm.robustness.corrupt.make import make_corruptions

__all__ = ["make_corruptions"]
