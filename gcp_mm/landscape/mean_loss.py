"""The loss of a network on fixed batches."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from gcp_mm.errors import UserError
from gcp_mm.landscape.loss import cross_entropy

Batches = Sequence[tuple[Tensor, Tensor]]


def mean_loss(
    model: nn.Module, batches: Batches, weights: Mapping[str, Tensor] | None = None
) -> float:
    """Average the cross-entropy over the images of all batches, in float64.

    Args:
        model: Returns logits.
        batches: Images (B, C, H, W) and classes (B,).
        weights: Parameters that replace those of the model, by name; the model keeps its own.

    Returns:
        The mean; not finite if a logit is not.
    """
    total, count = 0.0, 0
    with torch.no_grad():
        for inputs, targets in batches:
            logits = torch.func.functional_call(model, dict(weights or {}), (inputs,))
            total += float(cross_entropy(logits.double(), targets)) * len(targets)
            count += len(targets)
    return total / count


def finite_mean_loss(model: nn.Module, batches: Batches) -> float:
    """Average the cross-entropy of a network that is to be examined.

    Args:
        model: Returns logits.
        batches: Images and classes.

    Returns:
        The mean.

    Raises:
        UserError: If it is not finite.
    """
    loss = mean_loss(model, batches)
    if not math.isfinite(loss):
        raise UserError(
            f"the loss of the network itself is {loss} on these images, so there is nothing to "
            "measure around it; was the checkpoint saved after the training had diverged?"
        )
    return loss
