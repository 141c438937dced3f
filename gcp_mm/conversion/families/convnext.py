"""ConvNeXt: one list of stages and downsampling layers in torchvision, two in mmpretrain."""

from __future__ import annotations

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

CONVNEXT = Family(
    signature="features.1.0.layer_scale",
    backbones={f"convnext_{size}": dict(type="ConvNeXt", arch=size) for size in _CHANNELS},
    channels={f"convnext_{size}": channels for size, channels in _CHANNELS.items()},
    rules=(
        *(
            Rule(
                f"features.{2 * stage}.{{i}}.{{tensor}}",
                f"backbone.downsample_layers.{stage}.{{i}}.{{tensor}}",
            )
            for stage in range(4)
        ),
        *(
            Rule(
                f"features.{2 * stage + 1}.{{block}}.{source}.{{tensor}}",
                f"backbone.stages.{stage}.{{block}}.{target}.{{tensor}}",
            )
            for stage in range(4)
            for source, target in _LAYERS.items()
        ),
        *(
            Rule(
                f"features.{2 * stage + 1}.{{block}}.layer_scale",
                f"backbone.stages.{stage}.{{block}}.gamma",
                form=CHANNEL_VECTOR,
            )
            for stage in range(4)
        ),
        Rule("classifier.0.{tensor}", "backbone.norm3.{tensor}"),
        Rule("classifier.2.{tensor}", "head.fc.{tensor}"),
    ),
    classifier="classifier.2",
    head=dict(type="LinearClsHead"),
    neck=None,
)
