"""The settings of a probe, checked against the network they are for.

Unless the caller says so, where a network is probed and with which steps follows from its
backbone: see :class:`Preset`.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from gcp_mm.errors import UserError


@dataclass(frozen=True)
class Preset:
    """How a family of backbones is probed in the original code.

    Attributes:
        paths: Modules whose output is that of the stem; the first one that exists counts.
        interval: Training iterations between two probes.
        eta_range: Smallest and largest step; None where nothing is published.
        batch_size: Batch that the steps belong to; None where nothing is published.
    """

    paths: tuple[str, ...] = ()
    interval: int | None = None
    eta_range: tuple[float, float] | None = None
    batch_size: int | None = None


# By the class of the backbone, which mmpretrain and torchvision call the same. Source:
# landscape/{ResNet,MobileNetV2} of https://github.com/ZhangLi-CS/GCP_Optimization; it has no
# ShuffleNetV2. The second paths: ResNets for CIFAR have no max-pool, torchvision has 'features'.
PRESETS = {
    "ResNet": Preset(("maxpool", "relu"), 500, (0.1, 75.0), 256),
    "MobileNetV2": Preset(("conv1", "features.0"), 1000, (0.045, 1.5), 96),
    "ShuffleNetV2": Preset(("maxpool",), 500),
}


def find_preset(model: nn.Module) -> Preset:
    """Find the preset of a classifier; one of nothing for a backbone that is not known."""
    names = (cls.__name__ for cls in type(getattr(model, "backbone", model)).__mro__)
    return next((PRESETS[name] for name in names if name in PRESETS), Preset())


def find_point(model: nn.Module, at: str | None = None) -> str:
    """Find the module whose output is moved along the gradient."""
    paths = [path for path, _ in model.named_modules() if path]
    if at is None:
        prefix = "backbone." if hasattr(model, "backbone") else ""
        for path in find_preset(model).paths:
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


NUM_STEPS = 50
DIRECTIONS = {"ascent": 1.0, "descent": -1.0}
BATCH_NORMS = ("batch", "eval")


@dataclass(frozen=True)
class Settings:
    """How a network is probed; see :func:`resolve`.

    Attributes:
        at: Path of the module whose output is moved.
        etas: Steps in units of the gradient, before they are rescaled.
        direction: 'ascent' or 'descent'.
        batch_norm: 'batch' or 'eval'.
        reference_batch: Batch that the steps belong to if they are rescaled, else None.
    """

    at: str
    etas: tuple[float, ...]
    direction: str = "ascent"
    batch_norm: str = "batch"
    reference_batch: int | None = None

    @property
    def sign(self) -> float:
        """1 along the gradient, -1 against it."""
        return DIRECTIONS[self.direction]

    def etas_for(self, batch_size: int) -> np.ndarray:
        """Return the steps for a batch: eta, or eta * B / B_ref.

        The gradient that one image contributes to a mean loss falls as 1 / B, so a step of the
        same length per image is proportionally larger.
        """
        scale = batch_size / self.reference_batch if self.reference_batch else 1.0
        return np.array(self.etas) * scale

    def as_dict(self) -> dict:
        """Return the settings as they are written to a file of records."""
        return {
            "at": self.at,
            "etas": list(self.etas),
            "direction": self.direction,
            "batch_norm": self.batch_norm,
            "rescaled": self.reference_batch or False,
        }


def resolve(
    model: nn.Module,
    at: str | None = None,
    etas: Sequence[float] | Mapping[str, float] | None = None,
    direction: str = "ascent",
    batch_norm: str = "batch",
    rescale: bool | int = False,
) -> Settings:
    """Fill in what is published for a network, and check the rest against it.

    Args:
        model: The classifier.
        at: Path of the module; by default the end of the stem.
        etas: Positive steps, or arguments of ``numpy.linspace`` (start, stop, num). By default 50
            steps of 0.1..75 (ResNet) or 0.045..1.5 (MobileNetV2).
        direction: 'ascent' as published, or 'descent'.
        batch_norm: 'batch' takes the statistics of the batch, as published; 'eval' the running
            ones.
        rescale: True multiplies the steps by B / (published batch: ResNet 256, MobileNetV2 96), a
            number B_ref by B / B_ref.

    Returns:
        The settings.

    Raises:
        UserError: If one is unknown, has no default for this network, or asks for the batch
            statistics of a network without batch norm.
    """
    for name, value, known in (
        ("direction", direction, tuple(DIRECTIONS)),
        ("batch_norm", batch_norm, BATCH_NORMS),
    ):
        if value not in known:
            raise UserError(f"{name}={value!r} is none of {', '.join(map(repr, known))}")
    at = find_point(model, at)
    if batch_norm == "batch" and not any(isinstance(m, _BatchNorm) for m in model.modules()):
        raise UserError(
            f"batch_norm='batch' asks for batch statistics, but this {type(model).__name__} has "
            "no batch norm; set batch_norm='eval'"
        )
    return Settings(at, _steps(model, etas), direction, batch_norm, _reference(model, rescale))


def _steps(
    model: nn.Module, etas: Sequence[float] | Mapping[str, float] | None
) -> tuple[float, ...]:
    """Return the steps as plain numbers."""
    if etas is None:
        published = find_preset(model).eta_range
        if published is None:
            name = type(getattr(model, "backbone", model)).__name__
            raise UserError(
                f"no step sizes are published for {name}: pass etas, for example "
                "dict(start=0.1, stop=75, num=50)"
            )
        steps = np.linspace(*published, NUM_STEPS)
    else:
        try:
            numbers: Any = etas
            if isinstance(etas, Mapping):
                arguments: dict[str, Any] = dict(etas)
                numbers = np.linspace(**arguments)
            steps = np.asarray(numbers, dtype=float)
        except (TypeError, ValueError) as error:
            raise UserError(
                f"etas={etas!r} are neither numbers nor arguments of numpy.linspace ({error}); "
                "give start, stop and num"
            ) from error
    if steps.ndim != 1 or not len(steps) or not (np.isfinite(steps) & (steps > 0)).all():
        raise UserError(f"etas have to be positive numbers, at least one, got {etas!r}")
    return tuple(steps.tolist())


def _reference(model: nn.Module, rescale: bool | int) -> int | None:
    """Return the batch that the steps belong to, or None."""
    if rescale is False:
        return None
    if rescale is not True:
        if rescale < 1:
            raise UserError(f"rescale={rescale!r}: True, False or a batch size of at least 1")
        return int(rescale)
    published = find_preset(model).batch_size
    if published is None:
        raise UserError(
            "rescale=True needs the batch that the steps were published for, and there is none "
            "for this network; give that batch size instead of True"
        )
    return published
