"""Where a network is probed, and with which steps, unless the caller says so."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from torch import nn

from gcp_mm.errors import UserError


@dataclass(frozen=True)
class Preset:
    """How a family of backbones is probed in the original code.

    Attributes:
        paths: Modules whose output is that of the stem; the first one that exists counts.
        eta_range: Smallest and largest step; None where nothing is published.
        batch_size: Batch that the steps belong to; None where nothing is published.
        interval: Training iterations between two probes.
    """

    paths: tuple[str, ...]
    eta_range: tuple[float, float] | None = None
    batch_size: int | None = None
    interval: int = 500


# By the class of the backbone, which mmpretrain and torchvision call the same. Source:
# landscape/{ResNet,MobileNetV2} of https://github.com/ZhangLi-CS/GCP_Optimization; it has no
# ShuffleNetV2. The second paths: ResNets for CIFAR have no max-pool, torchvision has 'features'.
PRESETS = {
    "ResNet": Preset(("maxpool", "relu"), (0.1, 75.0), 256, 500),
    "MobileNetV2": Preset(("conv1", "features.0"), (0.045, 1.5), 96, 1000),
    "ShuffleNetV2": Preset(("maxpool",)),
}


def find_preset(model: nn.Module) -> Preset | None:
    """Find the preset of a classifier.

    Args:
        model: A classifier with a ``backbone``, or a plain network.

    Returns:
        The preset of its backbone's class or of the nearest class that it inherits from; None if
        there is none.
    """
    backbone = getattr(model, "backbone", model)
    for cls in type(backbone).__mro__:
        if cls.__name__ in PRESETS:
            return PRESETS[cls.__name__]
    return None


def find_point(model: nn.Module, at: str | None = None) -> str:
    """Find the module whose output is moved along the gradient.

    Args:
        model: A classifier.
        at: Path of a module, such as ``'backbone.layer1'``; None for the end of the stem.

    Returns:
        The path.

    Raises:
        UserError: If there is no such module, or no default for this network.
    """
    paths = [path for path, _ in model.named_modules() if path]
    if at is None:
        preset = find_preset(model)
        prefix = "backbone." if hasattr(model, "backbone") else ""
        for path in preset.paths if preset else ():
            if prefix + path in paths:
                return prefix + path
        raise UserError(
            f"no default probe point for {type(getattr(model, 'backbone', model)).__name__}: "
            f"name a module with 'at', for example one of {', '.join(paths[:4])}"
        )
    if at not in paths:
        near = difflib.get_close_matches(at, paths, n=4, cutoff=0.4) or paths[:4]
        raise UserError(
            f"the {type(model).__name__} has no module {at!r} to probe at; near it are "
            f"{', '.join(near)}"
        )
    return at
