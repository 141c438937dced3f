r"""The layer in plain operators, differentiated by autograd: the truth, and on Gram matrices.

.. math:: v = \operatorname{triu}\bigl(\operatorname{sqrt}_n(\operatorname{cov}(X))\bigr)

:func:`reference_global_covariance_pool` computes the formulas as they are printed. Every other
implementation is tested against it, in value and in gradient.

:func:`gram_autograd_global_covariance_pool` computes the same on the smaller of the two Gram
matrices. With :math:`\hat X = (X - \bar X) / \sqrt{N t}`, where :math:`t = \operatorname{tr} C`,
the normalised covariance is :math:`A = \hat X \hat X^\top`, and n Newton-Schulz steps are
:math:`Y_n = A\, q(A)` with a polynomial q. Because
:math:`f(\hat X \hat X^\top) \hat X = \hat X f(\hat X^\top \hat X)` for every polynomial f,

.. math::

    S = \sqrt t \, A \, q(A) = \sqrt t \, \hat X \, q(K) \, \hat X^\top,
    \qquad K = \hat X^\top \hat X

so that all iterations run on N x N matrices when N < C (49 x 49 instead of 256 x 256 for a 7 x 7
map). It is the same polynomial, hence the same function, not an approximation of it.

All iterates commute, so the coupled recurrence reduces to R = Z Y alone:

.. math:: T = (3 I - R)/2, \quad q \leftarrow q\,T, \quad R \leftarrow R\,T^2

and T is never formed: q T = 1.5 q - 0.5 q R. It serves exported graphs, torch.func and gradients of
gradients; :mod:`gcp_mm.ops.gram.operator` is the fast form.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gcp_mm.ops.covariance_pool import covariance_pool
from gcp_mm.ops.newton_schulz import newton_schulz_sqrt
from gcp_mm.ops.triu_vec import triu_vec


def reference_global_covariance_pool(x: Tensor, num_iters: int) -> Tensor:
    """Compose covariance, square root and upper triangle: (B, C, N) to (B, C (C + 1) / 2)."""
    return triu_vec(newton_schulz_sqrt(covariance_pool(x), num_iters))


def _times_t(left: Tensor, r: Tensor) -> Tensor:
    """Return ``left @ (3 I - r) / 2`` without forming the second factor."""
    # Not baddbmm: mmengine's counter of operations does not know it.
    return 1.5 * left - 0.5 * (left @ r)


def newton_schulz_polynomial(gram: Tensor, num_iters: int) -> Tensor:
    """Evaluate q, the product of the factors T_0 ... T_(n-1), at symmetric matrices (B, M, M).

    Their eigenvalues are in [0, 1], and ``gram @ q(gram)`` approximates the square root.
    """
    identity = torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
    r = gram
    q = 1.5 * identity - 0.5 * r
    for _ in range(num_iters - 1):
        r = _times_t(_times_t(r, r), r)
        q = _times_t(q, r)
    return q


def polynomial_root(normalised: Tensor, num_iters: int) -> Tensor:
    """Approximate the root of A = X X^T, (B, C, C), for X (B, C, N) of Frobenius norm 1 or 0."""
    if normalised.shape[-1] < normalised.shape[-2]:
        gram = normalised.mT @ normalised
        return normalised @ newton_schulz_polynomial(gram, num_iters) @ normalised.mT
    gram = normalised @ normalised.mT
    return gram @ newton_schulz_polynomial(gram, num_iters)


def gram_autograd_global_covariance_pool(x: Tensor, num_iters: int) -> Tensor:
    """Compute the layer on N x N matrices if N < C and on C x C matrices otherwise.

    The features (B, C, N) are shifted and scaled by the caller so that a constant channel is zero
    and the largest magnitude is 1, see :func:`gcp_mm.ops.precision.pool_conditioned`.
    """
    positions = x.shape[-1]
    centred = x - x.mean(dim=-1, keepdim=True)
    # Channel by channel first: compilers add up in one chain, and a long one loses a digit.
    by_channel = centred.square().sum(dim=-1, keepdim=True)
    trace = by_channel.sum(dim=-2, keepdim=True) / positions
    # Not `trace > tiny`, which would turn NaN features into zeros and hide a divergence.
    degenerate = trace <= torch.finfo(x.dtype).tiny
    # The inner `where` keeps the unused branch finite, or its NaN would reach the gradient.
    safe_trace = torch.where(degenerate, 1, trace)
    normalised = torch.where(degenerate, 0, centred * (positions * safe_trace).rsqrt())
    return safe_trace.sqrt().flatten(1) * triu_vec(polynomial_root(normalised, num_iters))
