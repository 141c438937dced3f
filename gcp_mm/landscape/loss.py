"""The loss that is probed."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from gcp_mm.errors import UserError


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Compute the mean cross-entropy.

    Args:
        logits: (B, classes).
        targets: Class indices (B,), an integer dtype.

    Returns:
        The mean over the batch.

    Raises:
        UserError: If the shapes do not go together or the targets are no class indices.
    """
    if logits.ndim != 2:
        raise UserError(f"the network returns shape {tuple(logits.shape)}, not logits (B, classes)")
    batch, classes = logits.shape
    indices = not (targets.is_floating_point() or targets.is_complex())
    if not indices or targets.shape != (batch,):
        raise UserError(
            f"the targets have shape {tuple(targets.shape)} and {targets.dtype}, not {batch} class "
            "indices; mixed or soft labels (mixup, cutmix) have no such index"
        )
    low, high = targets.min().item(), targets.max().item()
    if low < 0 or high >= classes:
        raise UserError(
            f"the targets reach from {low} to {high}, but the network has {classes} classes "
            f"(0 to {classes - 1})"
        )
    return functional.cross_entropy(logits, targets.long())
