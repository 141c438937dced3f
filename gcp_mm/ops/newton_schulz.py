r"""Approximate square root of a covariance by Newton-Schulz iterations.

.. math::

    A = C / \operatorname{tr} C, \quad Y_0 = A, \quad Z_0 = I, \quad
    T_k = \tfrac12 (3 I - Z_k Y_k), \quad Y_{k+1} = Y_k T_k, \quad Z_{k+1} = T_k Z_k, \quad
    S = \sqrt{\operatorname{tr} C} \, Y_n

Paper: "Towards Faster Training of Global Covariance Pooling Networks by Iterative Matrix Square
Root Normalization", arXiv 1712.01034.

Five iterations are not converged: an eigenvalue l of A becomes p_5(l), which is 0.028 instead of
0.0625 at l = 1/256. The truncation is part of the function that the published networks use.

Deviations from the original code: autograd instead of a hand-written backward, which returns the
transposed gradient for an asymmetric incoming gradient; a matrix whose trace is zero gives zero
with a zero gradient instead of NaN.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function_unary

from gcp_mm.ops.precision import autocast_disabled, to_compute_dtype


def check_num_iters(num_iters: int) -> None:
    """Raise a ValueError unless ``num_iters`` is an integer of at least 1."""
    if isinstance(num_iters, bool) or not isinstance(num_iters, int) or num_iters < 1:
        raise ValueError(
            f"num_iters must be an integer >= 1, got {num_iters!r}; the published models use 5"
        )


def newton_schulz_sqrt(cov: Tensor, num_iters: int = 5) -> Tensor:
    r"""Apply ``num_iters`` Newton-Schulz steps for the square root of each matrix.

    .. math:: S = \sqrt{\operatorname{tr} C} \; Y_n(C / \operatorname{tr} C)

    Args:
        cov: Symmetric positive semi-definite matrices of shape (..., C, C).
        num_iters: Number of steps n; 5 in every published model.

    Returns:
        Approximate square roots of shape (..., C, C) in the dtype of ``cov``. A matrix without a
        positive trace gives zeros, and a zero gradient.

    Raises:
        ValueError: If the matrices are not square or ``num_iters`` is less than 1.

    Example:
        >>> import torch
        >>> newton_schulz_sqrt(torch.eye(2, dtype=torch.float64) * 4, num_iters=20)
        tensor([[2., 0.],
                [0., 2.]], dtype=torch.float64)
    """
    if has_torch_function_unary(cov):
        return handle_torch_function(newton_schulz_sqrt, (cov,), cov, num_iters)
    check_num_iters(num_iters)
    if cov.dim() < 2 or cov.shape[-1] != cov.shape[-2]:
        raise ValueError(
            f"newton_schulz_sqrt expects matrices of shape (..., C, C), got {tuple(cov.shape)}"
        )
    with autocast_disabled(cov.device):
        matrix = to_compute_dtype(cov, "cov")
        trace = matrix.diagonal(dim1=-2, dim2=-1).sum(-1)[..., None, None]
        # Far below any trace of a real feature map, and its reciprocal is still finite. Not
        # `trace > tiny`, which would turn a NaN into zeros and hide a divergence.
        degenerate = trace <= torch.finfo(matrix.dtype).tiny
        # The inner `where` keeps the unused branch finite, or its NaN would reach the gradient.
        safe_trace = torch.where(degenerate, 1, trace)
        identity = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
        y = torch.where(degenerate, 0, matrix / safe_trace)
        z = identity.expand_as(y)
        for _ in range(num_iters):
            t = 0.5 * (3 * identity - z @ y)
            y, z = y @ t, t @ z
        root = safe_trace.sqrt() * y
    return root.to(cov.dtype)
