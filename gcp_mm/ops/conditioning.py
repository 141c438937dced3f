"""Shift and scale the features of each sample before an implementation in plain operators runs."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from gcp_mm.ops.precision import autocast_disabled, to_compute_dtype


def _condition(x: Tensor) -> tuple[Tensor, Tensor]:
    """Bring each sample to largest magnitude 1, so that squares neither over- nor underflow.

    The layer is invariant to a shift of a channel and homogeneous of degree one, v(a x) = a v(x),
    so shift and scale are constants for the gradient of every order.
    """
    shifted = x - x[..., :1].detach()
    scale = shifted.detach().abs().amax(dim=(-2, -1), keepdim=True)
    scale = torch.where(scale > 0, scale, 1)
    return shifted / scale, scale.flatten(1)


def pool_conditioned(pool: Callable[[Tensor, int], Tensor], x: Tensor, num_iters: int) -> Tensor:
    """Run an implementation outside autocast, in float32 at least, on conditioned features.

    Args:
        pool: Computes the layer from float32 or float64 features whose first position is zero and
            whose largest magnitude is 1.
        x: Features of shape (B, C, N), any floating-point dtype.
        num_iters: Number of Newton-Schulz steps.

    Returns:
        Vectors of shape (B, C * (C + 1) / 2) in the dtype of ``x``.
    """
    with autocast_disabled(x.device):
        conditioned, scale = _condition(to_compute_dtype(x, "x"))
        vector = scale * pool(conditioned, num_iters)
    return vector.to(x.dtype)
