"""GCP_D: the plain detection ResNet, started from GCP weights."""

from __future__ import annotations

from mmdet.models.backbones import ResNet

from gcp_mm.models.pretrained_backbone import PretrainedBackbone
from gcp_mm.registry import MODELS


@MODELS.register_module()
class GCPDResNet(PretrainedBackbone, ResNet):
    """mmdet's ResNet with stride 2 in its last stage, for weights of a GCP classifier.

    The classifier was trained with stride 1 there; no weight has another shape, so it loads
    unchanged, and the strides of C2 to C5 stay 4, 8, 16 and 32. The classifier's reducing
    convolution, its covariance and its last layer are left behind.

    Source: the variant "GCP_D" of "What Deep CNNs Benefit from Global Covariance Pooling: An
    Optimization Perspective", arXiv 2003.11241. The published code has no detection part; the
    reading is inferred from the published tables.

    Arguments are those of ``mmdet.ResNet``.
    """
