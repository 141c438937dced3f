"""ConvNeXt: one list of stages and downsampling layers in torchvision, two in mmpretrain."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from gcp_mm.conversion.families.family import Family
from gcp_mm.conversion.name_rules import CHANNEL_VECTOR, Rule

_CHANNELS = {"tiny": 768, "small": 768, "base": 1024, "large": 1536}

# Within a block.
_LAYERS = {
    "block.0": "depthwise_conv",
    "block.2": "norm",
    "block.3": "pointwise_conv1",
    "block.5": "pointwise_conv2",
}


def _stage(stage: int) -> Iterator[Rule]:
    """Yield the rules of a stage, and of the layers in front of it."""
    source, target = f"features.{2 * stage}", f"backbone.downsample_layers.{stage}"
    yield Rule(f"{source}.{{i}}.{{tensor}}", f"{target}.{{i}}.{{tensor}}")
    source, target = f"features.{2 * stage + 1}.{{block}}", f"backbone.stages.{stage}.{{block}}"
    for old, new in _LAYERS.items():
        yield Rule(f"{source}.{old}.{{tensor}}", f"{target}.{new}.{{tensor}}")
    yield Rule(f"{source}.layer_scale", f"{target}.gamma", form=CHANNEL_VECTOR)


CONVNEXT = Family(
    signature="features.1.0.layer_scale",
    backbones={f"convnext_{size}": dict(type="ConvNeXt", arch=size) for size in _CHANNELS},
    channels={f"convnext_{size}": channels for size, channels in _CHANNELS.items()},
    rules=(
        *chain.from_iterable(map(_stage, range(4))),
        Rule("classifier.0.{tensor}", "backbone.norm3.{tensor}"),
        Rule("classifier.2.{tensor}", "head.fc.{tensor}"),
    ),
    classifier="classifier.2",
    head=dict(type="LinearClsHead"),
    neck=None,
)
