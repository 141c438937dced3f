r"""Value and gradient of the layer from an eigendecomposition in float64.

With A = C / tr C = V diag(l) V^T the layer is sqrt(tr C) V diag(f(l)) V^T, where f is the
polynomial of n Newton-Schulz steps, and the derivative of f(A) is V (F o (V^T dA V)) V^T with the
divided differences F_ij = (f(l_i) - f(l_j)) / (l_i - l_j). The latter follow the same recurrence by
the product rule (g h)[a, b] = g[a, b] h(b) + g(a) h[a, b], so that nothing cancels for equal
eigenvalues.
"""

from __future__ import annotations

import torch
from torch import Tensor


def _polynomial(values: Tensor, num_iters: int) -> tuple[Tensor, Tensor]:
    """Return f(l), of shape (B, C), and its divided differences, of shape (B, C, C)."""
    a, b = values[..., :, None], values[..., None, :]
    y, z = values, torch.ones_like(values)
    dy, dz = torch.ones_like(a * b), torch.zeros_like(a * b)
    for _ in range(num_iters):
        t = (3 - z * y) / 2
        dt = -(dz * y[..., None, :] + z[..., :, None] * dy) / 2
        dy = dy * t[..., None, :] + y[..., :, None] * dt
        dz = dt * z[..., None, :] + t[..., :, None] * dz
        y, z = y * t, t * z
    return y, dy


def exact_layer(x: Tensor, grad: Tensor, num_iters: int) -> tuple[Tensor, Tensor]:
    """Compute the layer and its gradient.

    Args:
        x: Features of shape (B, C, N).
        grad: Gradient of the vectors, of shape (B, C * (C + 1) / 2).
        num_iters: Number of Newton-Schulz steps.

    Returns:
        The vectors and the gradient of the features, on the CPU in float64. A sample without
        variance gives zeros.
    """
    x, grad = x.detach().cpu().double(), grad.detach().cpu().double()
    batch, channels, positions = x.shape
    centred = x - x.mean(-1, keepdim=True)
    cov = centred @ centred.mT / positions
    trace = cov.diagonal(dim1=-2, dim2=-1).sum(-1)[:, None, None]
    constant = trace <= 1e-12 * x.square().mean((-2, -1), keepdim=True)
    trace = torch.where(constant, 1, trace)
    values, vectors = torch.linalg.eigh(torch.where(constant, 0, cov / trace))
    f, differences = _polynomial(values, num_iters)
    root = (vectors * f[:, None]) @ vectors.mT
    rows, cols = torch.triu_indices(channels, channels)
    upper = torch.zeros(batch, channels, channels, dtype=torch.float64)
    upper[:, rows, cols] = grad
    symmetric = (upper + upper.mT) / 2
    by_a = vectors @ (differences * (vectors.mT @ symmetric @ vectors)) @ vectors.mT * trace.sqrt()

    def dot(p: Tensor, q: Tensor) -> Tensor:
        return (p * q).sum((-2, -1), keepdim=True)

    by_trace = dot(symmetric, root) / (2 * trace.sqrt()) - dot(by_a, cov) / trace**2
    by_cov = by_a / trace + by_trace * torch.eye(channels, dtype=torch.float64)
    by_x = torch.where(constant, 0, 2 / positions * by_cov @ centred)
    vector = torch.where(constant, 0, trace.sqrt() * root)[:, rows, cols]
    return vector, by_x
