"""GCP_M: the last stage stays at stride 1 and a max-pool does the downsampling."""

from __future__ import annotations

from typing import Any

from mmdet.models.backbones import ResNet
from torch import Tensor, nn

from gcp_mm.errors import UserError
from gcp_mm.models.pretrained_backbone import PretrainedBackbone
from gcp_mm.registry import MODELS


@MODELS.register_module()
class GCPMResNet(PretrainedBackbone, ResNet):
    """ResNet with the strides of a GCP classifier and a stride-2 max-pool at the last stage.

    The last stage works as it was pretrained, and C2 to C5 still have the strides 4, 8, 16 and
    32 that an FPN detector expects. C4 is taken before the pool.

    Source: the variant "GCP_M" of "What Deep CNNs Benefit from Global Covariance Pooling: An
    Optimization Perspective", arXiv 2003.11241. The published code has no detection part: place
    and kernel of the pool are inferred, hence arguments.

    Args:
        depth: 18, 34, 50, 101 or 152.
        pool_position: 'before' or 'after' the last stage. After it, the stage runs at stride 16,
            at about four times its cost.
        pool_kernel: Kernel of the pool, padded by half of it. The default 3 gives exactly the
            sizes of a stride-2 convolution, for every size of input.
        strides: Stride of the first block of each stage. Defaults to (1, 2, 2, 1).
        **kwargs: Further arguments of ``mmdet.ResNet``.

    Raises:
        UserError: If ``pool_position`` or ``pool_kernel`` is none of the above, or if there are
            not four stages.
    """

    def __init__(
        self,
        depth: int,
        pool_position: str = "before",
        pool_kernel: int = 3,
        strides: tuple[int, ...] = (1, 2, 2, 1),
        **kwargs: Any,
    ) -> None:
        if pool_position not in ("before", "after"):
            raise UserError(
                f"GCPMResNet: pool_position must be 'before' or 'after', got {pool_position!r}"
            )
        if not isinstance(pool_kernel, int) or pool_kernel < 1:
            raise UserError(
                f"GCPMResNet: pool_kernel must be a positive integer, got {pool_kernel!r}"
            )
        num_stages = kwargs.get("num_stages", 4)
        if len(strides) != 4 or num_stages != 4:
            raise UserError(
                f"GCPMResNet has four stages, got num_stages={num_stages} and strides={strides}"
            )
        super().__init__(depth, strides=strides, **kwargs)
        self.pool_position = pool_position
        # Even kernels need ceil_mode for odd inputs, or the map is one smaller than the FPN's.
        self.last_pool = nn.MaxPool2d(
            pool_kernel, stride=2, padding=(pool_kernel - 1) // 2, ceil_mode=pool_kernel % 2 == 0
        )

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Extract the feature pyramid's inputs.

        Args:
            x: Images of shape (B, 3, H, W).

        Returns:
            The maps chosen by ``out_indices``, by default C2, C3, C4 and C5.
        """
        if self.deep_stem:
            x = self.stem(x)
        else:
            x = self.relu(self.norm1(self.conv1(x)))
        x = self.maxpool(x)
        outs = []
        last = len(self.res_layers) - 1
        for index, name in enumerate(self.res_layers):
            if index == last and self.pool_position == "before":
                x = self.last_pool(x)
            x = getattr(self, name)(x)
            if index == last and self.pool_position == "after":
                x = self.last_pool(x)
            if index in self.out_indices:
                outs.append(x)
        return tuple(outs)
