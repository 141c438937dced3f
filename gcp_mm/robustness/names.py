"""The corruptions of ImageNet-C and the perturbation sequences of ImageNet-P by name.

Source: Hendrycks and Dietterich, arXiv 1903.12261.
"""

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


#: Ranges of frames that flips are counted over; published numbers have difficulty 1.
DIFFICULTIES = (1, 2, 3)

#: Whether a frame is compared with the first frame of its clip (noise, True), because noise does
#: not grow along the clip, or with a previous one (False). A table and no test of the name:
#: reading 'noise' off a name has gone wrong in ports of the original code.
IS_NOISE = MappingProxyType(
    {
        "gaussian_noise": True,
        "shot_noise": True,
        "motion_blur": False,
        "zoom_blur": False,
        "snow": False,
        "brightness": False,
        "translate": False,
        "rotate": False,
        "tilt": False,
        "scale": False,
    }
)

#: The ten perturbations in the order of the paper's tables.
PERTURBATIONS = tuple(IS_NOISE)


def folder_name(perturbation: str, difficulty: int = 1) -> str:
    """Name the folder that holds a perturbation at a difficulty.

    Stronger noise is other data, ``gaussian_noise_2``; the other perturbations leave out frames.
    """
    if IS_NOISE[perturbation] and difficulty > 1:
        return f"{perturbation}_{difficulty}"
    return perturbation
