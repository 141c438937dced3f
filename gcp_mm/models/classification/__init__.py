"""Parts of mmpretrain classifiers: backbones, the pooling neck and a head."""

from gcp_mm.models.classification.dropout_linear_head import DropoutLinearClsHead
from gcp_mm.models.classification.gcp_resnet import GCPResNet
from gcp_mm.models.classification.global_covariance_pooling import GlobalCovariancePooling
from gcp_mm.models.classification.mobilenet_v2 import MobileNetV2
from gcp_mm.models.classification.shufflenet_v2 import ShuffleNetV2
from gcp_mm.models.classification.timm_backbone import TIMMBackbone

__all__ = [
    "DropoutLinearClsHead",
    "GCPResNet",
    "GlobalCovariancePooling",
    "MobileNetV2",
    "ShuffleNetV2",
    "TIMMBackbone",
]
