"""Robustness to corruptions and perturbations: ImageNet-C, ImageNet-P and trees like them."""
