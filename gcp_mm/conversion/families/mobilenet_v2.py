"""MobileNetV2 1.0: numbered features in torchvision, named layers in mmpretrain.

Source of the covariance form: src/models of https://github.com/ZhangLi-CS/GCP_Optimization
(layers and names).
"""

from __future__ import annotations

from itertools import accumulate

from gcp_mm.conversion.families.family import CovarianceForm, Family
from gcp_mm.conversion.name_rules import Rule

_BLOCKS = (1, 2, 3, 4, 3, 3, 1)
_FIRST_FEATURES = tuple(accumulate(_BLOCKS[:-1], initial=1))

# Within a block; the first one has no expansion.
_EXPANDED = {
    "0.0": "0.conv",
    "0.1": "0.bn",
    "1.0": "1.conv",
    "1.1": "1.bn",
    "2": "2.conv",
    "3": "2.bn",
}
_NOT_EXPANDED = {"0.0": "0.conv", "0.1": "0.bn", "1": "1.conv", "2": "1.bn"}

MOBILENET_V2 = Family(
    signature="features.1.conv.0.0.weight",
    backbones={"mobilenet_v2": dict(type="gcp_mm.MobileNetV2")},
    channels={"mobilenet_v2": 1280},
    rules=(
        Rule("features.0.0.{tensor}", "backbone.conv1.conv.{tensor}"),
        Rule("features.0.1.{tensor}", "backbone.conv1.bn.{tensor}"),
        *(
            Rule(
                f"features.{first + block}.conv.{source}.{{tensor}}",
                f"backbone.layer{layer}.{block}.conv.{target}.{{tensor}}",
            )
            for layer, (first, count) in enumerate(zip(_FIRST_FEATURES, _BLOCKS, strict=True), 1)
            for block in range(count)
            for source, target in (_NOT_EXPANDED if layer == 1 else _EXPANDED).items()
        ),
        Rule("features.18.0.{tensor}", "backbone.conv2.conv.{tensor}"),
        Rule("features.18.1.{tensor}", "backbone.conv2.bn.{tensor}"),
        Rule("dimension_reduction.0.{tensor}", "neck.reduce.conv.{tensor}"),
        Rule("dimension_reduction.1.{tensor}", "neck.reduce.bn.{tensor}"),
        Rule("classifier.1.{tensor}", "head.fc.{tensor}"),
    ),
    classifier="classifier.1",
    head=dict(type="gcp_mm.DropoutLinearClsHead", dropout_rate=0.2),
    covariance=CovarianceForm(
        trunk=("features",),
        reduce=("dimension_reduction.0", "dimension_reduction.1"),
        activation="ReLU6",
    ),
)
