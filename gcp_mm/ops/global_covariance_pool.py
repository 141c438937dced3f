r"""Global covariance pooling: a feature map becomes the square root of its covariance.

.. math:: v = \operatorname{triu}\bigl(\operatorname{sqrt}_n(\operatorname{cov}(X))\bigr)

Papers: "What Deep CNNs Benefit from Global Covariance Pooling: An Optimization Perspective",
arXiv 2003.11241; "Towards Faster Training of Global Covariance Pooling Networks by Iterative
Matrix Square Root Normalization", arXiv 1712.01034.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gcp_mm.ops.covariance_pool import flatten_positions
from gcp_mm.ops.gram import gram_global_covariance_pool
from gcp_mm.ops.newton_schulz import check_num_iters
from gcp_mm.ops.precision import autocast_disabled, to_compute_dtype
from gcp_mm.ops.reference import reference_global_covariance_pool

IMPLEMENTATIONS = {
    "gram": gram_global_covariance_pool,
    "reference": reference_global_covariance_pool,
}


def _condition(x: Tensor) -> tuple[Tensor, Tensor]:
    """Bring each sample to largest magnitude 1, so that squares neither over- nor underflow.

    The layer is invariant to a shift of a channel and homogeneous of degree one, v(a x) = a v(x),
    so shift and scale are constants for the gradient of every order.
    """
    shifted = x - x[..., :1].detach()
    scale = shifted.detach().abs().amax(dim=(-2, -1), keepdim=True)
    scale = torch.where(scale > 0, scale, 1)
    return shifted / scale, scale.flatten(1)


def check_impl(impl: str) -> None:
    """Raise a ValueError unless ``impl`` is 'auto' or the name of an implementation."""
    if impl != "auto" and impl not in IMPLEMENTATIONS:
        choices = ", ".join(repr(name) for name in ("auto", *IMPLEMENTATIONS))
        raise ValueError(f"unknown impl {impl!r}; choose one of {choices}")


def global_covariance_pool(x: Tensor, num_iters: int = 5, impl: str = "auto") -> Tensor:
    """Pool a feature map into the vectorised square root of its covariance.

    The computation leaves autocast and runs in float32 (float64 for float64 inputs). The result
    is finite for every input whose magnitudes are below half of the largest float: a sample
    without any variation over its positions gives zeros, and a zero gradient.

    Args:
        x: Features of shape (B, C, H, W) or (B, C, N), any floating-point dtype.
        num_iters: Number of Newton-Schulz steps; 5 in every published model.
        impl: 'reference' (the plain formulas), 'gram' (the same polynomial on the smaller Gram
            matrix) or 'auto', which is 'gram'.

    Returns:
        Vectors of shape (B, C * (C + 1) / 2) in the dtype of ``x``: the upper triangle row by row.

    Raises:
        ValueError: If shape, dtype, ``num_iters`` or ``impl`` does not fit.

    Example:
        >>> import torch
        >>> global_covariance_pool(torch.rand(2, 256, 14, 14)).shape
        torch.Size([2, 32896])
    """
    check_num_iters(num_iters)
    check_impl(impl)
    features = flatten_positions(x)
    pool = IMPLEMENTATIONS["gram" if impl == "auto" else impl]
    with autocast_disabled(x.device):
        conditioned, scale = _condition(to_compute_dtype(features, "x"))
        vector = scale * pool(conditioned, num_iters)
    return vector.to(x.dtype)


class GlobalCovariancePool(nn.Module):
    """Module form of :func:`global_covariance_pool`, a drop-in for global average pooling.

    Args:
        num_iters: Number of Newton-Schulz steps. Defaults to 5.
        impl: Name of the implementation. Defaults to 'auto'.
    """

    def __init__(self, num_iters: int = 5, impl: str = "auto") -> None:
        super().__init__()
        check_num_iters(num_iters)
        check_impl(impl)
        self.num_iters = num_iters
        self.impl = impl

    def forward(self, x: Tensor) -> Tensor:
        """See :func:`global_covariance_pool`."""
        return global_covariance_pool(x, self.num_iters, self.impl)

    def extra_repr(self) -> str:
        """Show the settings in the printed network."""
        return f"num_iters={self.num_iters}, impl={self.impl}"
