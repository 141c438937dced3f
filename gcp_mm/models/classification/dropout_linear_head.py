"""Linear classifier behind dropout."""

from typing import Any

from mmpretrain.models import LinearClsHead
from torch import Tensor, nn

from gcp_mm.registry import MODELS


@MODELS.register_module()
class DropoutLinearClsHead(LinearClsHead):
    """mmpretrain's linear head with dropout on its input, as MobileNetV2 has it.

    logits = W dropout(v) + b. mmpretrain's ``StackedLinearClsHead`` has dropout only behind a
    hidden layer. The tensors are named ``fc.*``, as in ``LinearClsHead``.

    Args:
        num_classes: Number of classes.
        in_channels: Length of the pooled vector.
        dropout_rate: Probability of setting a number to zero in training. Defaults to 0.2, as in
            the original MobileNetV2, with either pooling.
        **kwargs: Further arguments of ``mmpretrain.LinearClsHead``.
    """

    def __init__(
        self, num_classes: int, in_channels: int, dropout_rate: float = 0.2, **kwargs: Any
    ) -> None:
        super().__init__(num_classes, in_channels, **kwargs)
        self.dropout = nn.Dropout(dropout_rate)

    def pre_logits(self, feats: tuple[Tensor, ...]) -> Tensor:
        """Take the last vector (B, in_channels) and apply dropout to it in training."""
        return self.dropout(super().pre_logits(feats))
