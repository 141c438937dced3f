"""What a checkpoint's names and shapes say of its network, and the result of its conversion."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

from gcp_mm.conversion.layout import Layout
from gcp_mm.zoo.rows import CLASSIFICATION, load_rows

# By torchvision's name of a network, that of the rows where it is another.
_BACKBONES = {"mobilenet_v2": "mobilenetv2", "shufflenet_v2_x1_0": "shufflenetv2"}
_METHODS = {None: "covariance pooling", "dropcov": "DropCov"}


@dataclass(frozen=True)
class Architecture:
    """A classifier, as far as its weights determine it.

    The learning-rate setting and the order of the triangle are not in the weights.

    Attributes:
        network: The trunk, under its name in ``torchvision.models``, for example ``'resnet50'``.
        num_classes: Number of classes; None without a classifier.
        reduced_channels: Channels d before the covariance; None for average pooling.
        method: What follows the covariance, by its name in the neck; None for the Newton-Schulz
            root, or without a covariance.
    """

    network: str
    num_classes: int | None
    reduced_channels: int | None = None
    method: str | None = None

    @property
    def covariance(self) -> bool:
        """Whether the network has covariance pooling."""
        return self.reduced_channels is not None

    @property
    def vector_length(self) -> int:
        """Length d (d + 1) / 2 of the pooled covariance; 0 with average pooling."""
        width = self.reduced_channels or 0
        return width * (width + 1) // 2

    @property
    def rows(self) -> tuple[str, ...]:
        """Rows of the metafiles with this architecture, such as ``resnet50_gcp_lrnorm_128``."""
        pooling = (self.method or "gcp") if self.covariance else "gap"
        backbone = _BACKBONES.get(self.network, self.network)
        wanted = (backbone, pooling, self.reduced_channels)
        return tuple(
            row.name
            for row in load_rows()
            if row.task == CLASSIFICATION
            and (row.backbone, row.pooling, row.reduced_channels) == wanted
            and self.num_classes == 1000
        )

    def __str__(self) -> str:
        """Describe it in words."""
        if self.covariance:
            kind = _METHODS.get(self.method, self.method)
            pooling = f"{kind} of {self.reduced_channels} channels"
        else:
            pooling = "average pooling"
        classes = "no classifier" if self.num_classes is None else f"{self.num_classes} classes"
        return f"{self.network} with {pooling}, {classes}"


@dataclass
class Conversion:
    """Weights in both layouts, and what is needed for the way back.

    Attributes:
        architecture: The recognised network.
        order: Order of the triangle that the source's classifier expects.
        source: Tensors by source name, without prefix, in the spelling of the rules.
        state_dict: The same tensors by mmpretrain's name, in the order of the source.
        layout: The container of the source.
        optimizer: The optimizer's state if it is kept.
        dropped: Names of what was in the source and is left out deliberately.
        not_finite: Names of tensors with NaN or infinity.
    """

    architecture: Architecture
    order: str
    source: dict[str, Tensor]
    state_dict: dict[str, Tensor]
    layout: Layout
    optimizer: Any
    dropped: tuple[str, ...]
    not_finite: tuple[str, ...]

    def checkpoint(self, **provenance: Any) -> dict[str, Any]:
        """Make the content of the new file: tensors and plain data.

        mmengine reads ``state_dict`` and ``meta`` of it, where ``provenance`` goes into
        ``conversion``; ``legacy`` is for the way back.
        """
        details = {
            name: value.item() if isinstance(value, Tensor) and value.numel() == 1 else value
            for name, value in self.layout.details.items()
        }
        architecture = asdict(self.architecture)
        if self.architecture.method is None:
            # Files of before there was another method say nothing of it either.
            del architecture["method"]
        conversion = {
            "architecture": architecture,
            "triangle_order": self.order,
            **details,
            **provenance,
        }
        legacy = {"layout": asdict(self.layout)}
        if self.optimizer is not None:
            legacy["optimizer"] = self.optimizer
        return {"meta": {"conversion": conversion}, "state_dict": self.state_dict, "legacy": legacy}
