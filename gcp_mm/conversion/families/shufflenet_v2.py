"""ShuffleNetV2: stages and numbered branches in torchvision, one list of layers in mmpretrain.

Source of the covariance form: src/models of https://github.com/ZhangLi-CS/GCP_Optimization
(layers and names).
"""

from __future__ import annotations

from gcp_mm.conversion.families.family import CovarianceForm, Family
from gcp_mm.conversion.name_rules import Rule

_WIDTHS = {
    "shufflenet_v2_x0_5": 0.5,
    "shufflenet_v2_x1_0": 1.0,
    "shufflenet_v2_x1_5": 1.5,
    "shufflenet_v2_x2_0": 2.0,
}
_BRANCHES = {
    "branch1.0": "branch1.0.conv",
    "branch1.1": "branch1.0.bn",
    "branch1.2": "branch1.1.conv",
    "branch1.3": "branch1.1.bn",
    "branch2.0": "branch2.0.conv",
    "branch2.1": "branch2.0.bn",
    "branch2.3": "branch2.1.conv",
    "branch2.4": "branch2.1.bn",
    "branch2.5": "branch2.2.conv",
    "branch2.6": "branch2.2.bn",
}

SHUFFLENET_V2 = Family(
    signature="stage2.0.branch1.0.weight",
    backbones={
        network: dict(type="gcp_mm.ShuffleNetV2", widen_factor=width)
        for network, width in _WIDTHS.items()
    },
    channels={network: 2048 if width == 2.0 else 1024 for network, width in _WIDTHS.items()},
    rules=(
        Rule("conv1.0.{tensor}", "backbone.conv1.conv.{tensor}"),
        Rule("conv1.1.{tensor}", "backbone.conv1.bn.{tensor}"),
        *(
            Rule(
                f"stage{stage}.{{block}}.{source}.{{tensor}}",
                f"backbone.layers.{stage - 2}.{{block}}.{target}.{{tensor}}",
            )
            for stage in (2, 3, 4)
            for source, target in _BRANCHES.items()
        ),
        Rule("conv5.0.{tensor}", "backbone.layers.3.conv.{tensor}"),
        Rule("conv5.1.{tensor}", "backbone.layers.3.bn.{tensor}"),
        Rule("dimension_reduction.0.{tensor}", "neck.reduce.conv.{tensor}"),
        Rule("dimension_reduction.1.{tensor}", "neck.reduce.bn.{tensor}"),
        Rule("fc.{tensor}", "head.fc.{tensor}"),
    ),
    classifier="fc",
    head=dict(type="LinearClsHead", init_cfg=None),
    covariance=CovarianceForm(
        trunk=("conv1", "maxpool", "stage2", "stage3", "stage4", "conv5"),
        reduce=("dimension_reduction.0", "dimension_reduction.1"),
        activation="ReLU6",
        # PyTorch's own initialisation, as everywhere in this network.
        neck=dict(
            init_cfg=dict(
                type="Kaiming",
                layer="Conv2d",
                a=5**0.5,
                mode="fan_in",
                nonlinearity="leaky_relu",
                distribution="uniform",
            )
        ),
    ),
)
