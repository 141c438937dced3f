"""Tensors that the two layouts store in different forms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isqrt

from torch import Tensor, nn


@dataclass(frozen=True)
class TensorForm:
    """A change of shape or order of a tensor that keeps every value.

    Attributes:
        convert: From the source's form to mmpretrain's.
        restore: The inverse.
    """

    convert: Callable[[Tensor], Tensor]
    restore: Callable[[Tensor], Tensor]

    def apply(self, tensor: Tensor, inverse: bool = False) -> Tensor:
        """Change a tensor; a Parameter, which some published files hold, remains one.

        Args:
            tensor: A tensor in the source's form, or with ``inverse`` in mmpretrain's.
            inverse: Whether to go back.

        Returns:
            The tensor in the other form.
        """
        changed = (self.restore if inverse else self.convert)(tensor.detach()).contiguous()
        if isinstance(tensor, nn.Parameter):
            return nn.Parameter(changed, tensor.requires_grad)
        return changed


# A factor for each channel: (C, 1, 1) in the source, (C,) in mmpretrain.
CHANNEL_VECTOR = TensorForm(
    convert=lambda tensor: tensor.flatten(),
    restore=lambda tensor: tensor[:, None, None],
)

# A table over pairs of positions: (L * L,) in the source, (L, L) in mmpretrain.
POSITION_PAIRS = TensorForm(
    convert=lambda tensor: tensor.unflatten(0, (isqrt(len(tensor)), -1)),
    restore=lambda tensor: tensor.flatten(),
)

# The channels of 2 x 2 neighbours in one vector: ordered (column, row, channel) in the source,
# where slices are concatenated, and (channel, row, column) in mmpretrain, which has nn.Unfold.
MERGED_PATCH = TensorForm(
    convert=lambda tensor: tensor.unflatten(-1, (2, 2, -1)).transpose(-1, -3).flatten(-3),
    restore=lambda tensor: tensor.unflatten(-1, (-1, 2, 2)).transpose(-1, -3).flatten(-3),
)
