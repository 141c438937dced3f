"""The corruptions of ImageNet-C and the perturbation sequences of ImageNet-P by name, and in sets.

Source: Hendrycks and Dietterich, arXiv 1903.12261.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from gcp_mm.errors import UserError

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


_SETS = {"benchmark": BENCHMARK_CORRUPTIONS, "all": ALL_CORRUPTIONS, **GROUPS}


def choose_corruptions(names: str | Iterable[str]) -> tuple[str, ...]:
    """Expand 'benchmark', 'all' and groups into corruptions, each once, in the paper's order."""
    return _choose(names, _SETS, ALL_CORRUPTIONS, "corruption")


def choose_perturbations(names: str | Iterable[str]) -> tuple[str, ...]:
    """Expand 'benchmark' or 'all' into the ten perturbations."""
    sets = dict.fromkeys(("benchmark", "all"), PERTURBATIONS)
    return _choose(names, sets, PERTURBATIONS, "perturbation")


def _choose(
    names: str | Iterable[str], sets: Mapping[str, tuple[str, ...]], known: tuple[str, ...], of: str
) -> tuple[str, ...]:
    names = [names] if isinstance(names, str) else list(names)
    if unknown := [name for name in names if name not in sets and name not in known]:
        raise UserError(
            f"unknown {of} {', '.join(map(repr, unknown))}; one of {', '.join([*sets, *known])}"
        )
    chosen = {name for part in names for name in sets.get(part, (part,))}
    return tuple(name for name in known if name in chosen)


def choose_severities(severities: Iterable[int]) -> list[int]:
    """Sort severities, each once."""
    if wrong := sorted(set(severities) - set(SEVERITIES)):
        raise UserError(f"severity {wrong[0]}: expected are {SEVERITIES[0]} to {SEVERITIES[-1]}")
    return sorted(set(severities))
