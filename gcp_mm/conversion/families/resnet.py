"""ResNet: torchvision's names, which mmpretrain has as well.

Source of the covariance form: src/models/ResNet_MPNCOV.py of
https://github.com/ZhangLi-CS/GCP_Optimization (layers and names); of DropCov,
acd/models/ResNet_ACD.py of https://github.com/mingzeG/DropCov, the same with one convolution more.
Its port to MindSpore has other names and a file format of its own, which this does not read.
"""

from __future__ import annotations

from typing import Any

from gcp_mm.conversion.families.family import CovarianceForm, Family
from gcp_mm.conversion.name_rules import Rule

_DEPTHS = (18, 34, 50, 101, 152)


def _keep_resolution(network: Any) -> None:
    """Give the last stage of a ResNet stride 1, in the 3 x 3 convolution and in the shortcut."""
    block = network.layer4[0]
    strided = block.conv2 if hasattr(block, "conv3") else block.conv1
    strided.stride = block.downsample[0].stride = (1, 1)


RESNET = Family(
    signature="layer1.0.conv1.weight",
    backbones={
        f"resnet{depth}": dict(type="ResNet", depth=depth, zero_init_residual=False)
        for depth in _DEPTHS
    },
    channels={f"resnet{depth}": 512 if depth < 50 else 2048 for depth in _DEPTHS},
    rules=(
        Rule("conv1.{tensor}", "backbone.conv1.{tensor}"),
        Rule("bn1.{tensor}", "backbone.bn1.{tensor}"),
        *(
            Rule(f"layer{{stage}}.{{block}}.{part}", f"backbone.layer{{stage}}.{{block}}.{part}")
            for part in ("conv{i}.{tensor}", "bn{i}.{tensor}", "downsample.{i}.{tensor}")
        ),
        Rule("layer_reduce.{tensor}", "neck.reduce.conv.{tensor}"),
        Rule("layer_reduce_bn.{tensor}", "neck.reduce.bn.{tensor}"),
        Rule("eca_layer.conv.{tensor}", "neck.pool.channel_dropout.conv.{tensor}"),
        Rule("fc.{tensor}", "head.fc.{tensor}"),
    ),
    classifier="fc",
    head=dict(type="LinearClsHead", init_cfg=None),
    covariance=CovarianceForm(
        trunk=("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4"),
        reduce=("layer_reduce", "layer_reduce_bn"),
        activation="ReLU",
        adapt=_keep_resolution,
        backbone_type="gcp_mm.GCPResNet",
        dropcov="eca_layer.conv",
    ),
    # In the copy of the network that the original's landscape code has.
    spellings={"Layer_Reduce.": "layer_reduce.", "Layer_Reduce_BN.": "layer_reduce_bn."},
)
