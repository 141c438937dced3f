"""ResNet trunk of the GCP classifiers."""

from __future__ import annotations

from typing import Any

from mmpretrain.models import ResNet

from gcp_mm.models.pretrained_backbone import PretrainedBackbone
from gcp_mm.registry import MODELS


@MODELS.register_module()
class GCPResNet(PretrainedBackbone, ResNet):
    """ResNet whose last stage keeps its resolution, for covariance pooling behind it.

    An image of 224 x 224 gives a 14 x 14 map (196 positions for the covariance) instead of 7 x 7.
    Names and shapes of the weights are those of torchvision's ResNet.

    Paper: "What Deep CNNs Benefit from Global Covariance Pooling: An Optimization Perspective",
    arXiv 2003.11241. Differences from mmpretrain's ResNet, both from the original code: stride 1
    in the last stage, and the last batch norm of a residual branch starts at 1, not 0.

    Args:
        depth: 18, 34, 50, 101 or 152.
        strides: Stride of the first block of each stage. Defaults to (1, 2, 2, 1).
        zero_init_residual: Whether the last batch norm of a branch starts at 0. Defaults to
            False.
        **kwargs: Further arguments of ``mmpretrain.ResNet``.

    ``forward`` maps images (B, 3, H, W) to a tuple with one map (B, C, H / 16, W / 16), where C
    is 512 (depth 18 and 34) or 2048.
    """

    def __init__(
        self,
        depth: int,
        strides: tuple[int, ...] = (1, 2, 2, 1),
        zero_init_residual: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(depth, strides=strides, zero_init_residual=zero_init_residual, **kwargs)
