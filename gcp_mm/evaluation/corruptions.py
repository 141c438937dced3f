"""The corruptions of ImageNet-C by name (Hendrycks and Dietterich, arXiv 1903.12261)."""

from __future__ import annotations

from types import MappingProxyType

#: Severities of every corruption.
SEVERITIES = (1, 2, 3, 4, 5)

#: Corruptions by group, both in the order of the paper's tables; ``extra`` is not in the mCE.
GROUPS = MappingProxyType(
    {
        "noise": ("gaussian_noise", "shot_noise", "impulse_noise"),
        "blur": ("defocus_blur", "glass_blur", "motion_blur", "zoom_blur"),
        "weather": ("snow", "frost", "fog", "brightness"),
        "digital": ("contrast", "elastic_transform", "pixelate", "jpeg_compression"),
        "extra": ("speckle_noise", "gaussian_blur", "spatter", "saturate"),
    }
)

#: The four that were kept apart for choosing hyperparameters.
EXTRA_CORRUPTIONS = GROUPS["extra"]

#: The fifteen that the mCE is the mean of.
BENCHMARK_CORRUPTIONS = tuple(
    name for group, names in GROUPS.items() if group != "extra" for name in names
)

#: All nineteen.
ALL_CORRUPTIONS = BENCHMARK_CORRUPTIONS + EXTRA_CORRUPTIONS
