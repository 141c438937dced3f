"""MobileNetV2 trunk of the GAP and GCP classifiers."""

from mmpretrain.models import MobileNetV2 as UpstreamMobileNetV2

from gcp_mm.models.pretrained_backbone import PretrainedBackbone
from gcp_mm.registry import MODELS


@MODELS.register_module()
class MobileNetV2(PretrainedBackbone, UpstreamMobileNetV2):
    """mmpretrain's MobileNetV2, which reports how much of a pretrained file it loaded.

    Covariance pooling changes nothing in this trunk: all strides and the last 1 x 1 convolution
    stay, so an image of 224 x 224 gives a map of 1280 channels and 7 x 7 positions. Arguments,
    initialisation and tensor names are those of ``mmpretrain.MobileNetV2``.

    Paper: "MobileNetV2: Inverted Residuals and Linear Bottlenecks", arXiv 1801.04381.
    """
