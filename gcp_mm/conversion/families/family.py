"""What the converter has to know about a family of networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gcp_mm.conversion.name_rules import Rule


@dataclass(frozen=True)
class CovarianceForm:
    """How a family of the original code is built with covariance pooling.

    Attributes:
        trunk: Children of torchvision's network that make the feature map, in order of execution.
        reduce: Names of the 1 x 1 convolution and of the batch norm behind it.
        activation: Activation behind them, under its name in ``torch.nn``.
        adapt: Changes torchvision's network before its trunk is taken; None if nothing changes.
        backbone_type: mmpretrain type of the trunk; None for that of average pooling.
        neck: Further arguments of ``gcp_mm.GlobalCovariancePooling``.
        dropcov: Name of the convolution that says how often DropCov drops channels, which an
            evaluation has no use for; None if there is no such network.
    """

    trunk: tuple[str, ...]
    reduce: tuple[str, str]
    activation: str
    adapt: Callable[[Any], None] | None = None
    backbone_type: str | None = None
    neck: Mapping[str, object] = field(default_factory=dict)
    dropcov: str | None = None


@dataclass(frozen=True)
class Family:
    """A family of networks: how it is recognised, renamed and built.

    Attributes:
        signature: A tensor that every network of this family has, and no other one.
        backbones: mmpretrain config of the trunk for each network, by torchvision's name if it
            has the network.
        channels: Channels of the last feature map for each network.
        rules: Names in the source and in mmpretrain.
        classifier: Name of the last linear layer in the source.
        head: mmpretrain config of the head, without its sizes.
        neck: mmpretrain config between trunk and head; None if the trunk pools by itself.
        covariance: The form with covariance pooling; None if the original has none.
        spellings: Other spellings of the beginning of a name, and the one that the rules have.
        plain: Builds the source network with a number of classes; None if torchvision does.
        mean: Mean of the pixels, between 0 and 1, that the networks were trained with.
        std: Their standard deviation.
    """

    signature: str
    backbones: Mapping[str, dict]
    channels: Mapping[str, int]
    rules: tuple[Rule, ...]
    classifier: str
    head: Mapping[str, object]
    neck: Mapping[str, object] | None = field(
        default_factory=lambda: dict(type="GlobalAveragePooling")
    )
    covariance: CovarianceForm | None = None
    spellings: Mapping[str, str] = field(default_factory=dict)
    plain: Callable[[int], Any] | None = None
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)

    def spell(self, name: str) -> str:
        """Give a name the spelling that the rules have."""
        for other, spelling in self.spellings.items():
            if name.startswith(other):
                return spelling + name.removeprefix(other)
        return name
