"""ShuffleNetV2 trunk of the GAP and GCP classifiers."""

from typing import Any

from mmcv.cnn import ConvModule
from mmpretrain.models import ShuffleNetV2 as UpstreamShuffleNetV2

from gcp_mm.models.pretrained_backbone import PretrainedBackbone
from gcp_mm.registry import MODELS


class _PyTorchStart(UpstreamShuffleNetV2):
    """Start from the distributions that PyTorch's layers draw from by themselves."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for module in self.modules():
            if isinstance(module, ConvModule):
                # Or it would draw its own weights again after ours.
                module.is_init = True

    def init_weights(self) -> None:
        """Draw every weight anew, then apply ``init_cfg`` if there is one."""
        for module in self.modules():
            if hasattr(module, "reset_parameters"):
                module.reset_parameters()
        # Upstream's method draws from N(0, 1 / C) whatever init_cfg says: its parent's is called.
        super(UpstreamShuffleNetV2, self).init_weights()


@MODELS.register_module()
class ShuffleNetV2(PretrainedBackbone, _PyTorchStart):
    """mmpretrain's ShuffleNetV2 with the initialisation of the original code.

    Covariance pooling changes nothing in this trunk: all strides and the last 1 x 1 convolution
    stay, so an image of 224 x 224 gives a map of 1024 channels (2048 for ``widen_factor=2.0``) and
    7 x 7 positions. Arguments and tensor names are those of ``mmpretrain.ShuffleNetV2``, which
    draws the convolutions from N(0, 1 / C) and shifts the batch norms by 0.0001; the original
    leaves PyTorch's own initialisation.

    Paper: "ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design", arXiv
    1807.11164.
    """
