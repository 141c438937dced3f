r"""Covariance of the features over their positions.

.. math:: C = \frac{1}{N} (X - \bar X)(X - \bar X)^\top

Paper: "Is Second-order Information Helpful for Large-scale Visual Recognition?", arXiv 1703.08050.

Deviation from the original code: the mean is subtracted from the features instead of multiplying
by an N x N centring matrix. It is the same number in exact arithmetic, but the original loses
three digits in float32 when a channel has a mean of 50 and can even produce a negative trace.
"""

from __future__ import annotations

from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function_unary

from gcp_mm.ops.precision import autocast_disabled, to_compute_dtype


def flatten_positions(x: Tensor) -> Tensor:
    """View features (B, C, H, W) or (B, C, N) as (B, C, N), or raise a ValueError."""
    if x.dim() not in (3, 4):
        raise ValueError(
            "covariance pooling expects features of shape (B, C, H, W) or (B, C, N), "
            f"got {tuple(x.shape)}"
        )
    if 0 in x.shape[1:]:
        raise ValueError(
            f"covariance pooling needs at least one channel and one position, got {tuple(x.shape)}"
        )
    return x.flatten(2)


def centre(x: Tensor) -> Tensor:
    """Subtract from each channel of features (B, C, N) its mean over the positions.

    The value at the first position is taken off first. The covariance does not depend on a shift,
    so neither value nor gradient changes, but a constant channel becomes exactly zero (the rounded
    mean of N equal numbers need not be that number) and a large mean costs no digits.
    """
    shifted = x - x[..., :1].detach()
    return shifted - shifted.mean(dim=-1, keepdim=True)


def covariance_pool(x: Tensor) -> Tensor:
    r"""Compute the covariance of the channels over the positions, one matrix per sample.

    .. math:: C = \frac{1}{N} (X - \bar X)(X - \bar X)^\top

    The estimate is biased (divided by N, not by N - 1), as in every published model.

    Args:
        x: Features of shape (B, C, H, W) or (B, C, N), any floating-point dtype.

    Returns:
        Covariances of shape (B, C, C) in the dtype of ``x``, computed in float32 or float64.

    Raises:
        ValueError: If the shape or the dtype does not fit.

    Example:
        >>> import torch
        >>> covariance_pool(torch.tensor([[[1.0, 3.0], [2.0, 2.0]]]))
        tensor([[[1., 0.],
                 [0., 0.]]])
    """
    if has_torch_function_unary(x):
        return handle_torch_function(covariance_pool, (x,), x)
    features = flatten_positions(x)
    with autocast_disabled(x.device):
        centred = centre(to_compute_dtype(features, "x"))
        cov = centred @ centred.mT / centred.shape[-1]
    return cov.to(x.dtype)
