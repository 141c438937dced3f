r"""Functions of second-order matrices M (B, D, D): roots, powers, logarithm, elementwise.

The eigenvalue functions work on the N x N matrix of a factor where that is the smaller one, see
:mod:`gcp_mm.ops.second_order.spectral`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gcp_mm.ops.newton_schulz import check_num_iters, newton_schulz_sqrt
from gcp_mm.ops.plain import polynomial_root
from gcp_mm.ops.precision import unit_scale
from gcp_mm.ops.second_order.parts import (
    Normalization,
    Part,
    VectorNormalization,
    check_positive,
)
from gcp_mm.ops.second_order.spectral import spectral_function, spectral_function_of_factor


class Unchanged(Normalization, name="none"):
    """The matrix as it is."""

    def forward(self, matrix: Tensor) -> Tensor:
        """Return the matrices."""
        return matrix


class NewtonSchulz(Normalization, name="newton_schulz"):
    """The square root by Newton-Schulz steps, see :func:`gcp_mm.ops.newton_schulz_sqrt`.

    Args:
        num_iters: Steps. Defaults to 5.
    """

    def __init__(self, num_iters: int = 5) -> None:
        super().__init__()
        check_num_iters(num_iters)
        self.num_iters = num_iters

    def forward(self, matrix: Tensor) -> Tensor:
        """Return the approximate roots of matrices (B, D, D)."""
        return newton_schulz_sqrt(matrix, self.num_iters)

    def of_factor(self, factor: Tensor) -> Tensor:
        """Return the same of factors (B, D, N), on N x N matrices if N < D."""
        scale = unit_scale(factor)
        factor = factor / scale
        norm = torch.linalg.vector_norm(factor, dim=(-2, -1), keepdim=True)
        degenerate = norm.square() <= torch.finfo(norm.dtype).tiny
        safe = torch.where(degenerate, 1, norm)
        root = polynomial_root(torch.where(degenerate, 0, factor / safe), self.num_iters)
        return scale * safe * root


class MatrixPower(Normalization, name="matrix_power"):
    r"""A power of the eigenvalues; null eigenvalues stay null.

    .. math:: M^\alpha = U \operatorname{diag}(\lambda^\alpha)\, U^\top

    MPN-COV, "Is Second-order Information Helpful for Large-scale Visual Recognition?",
    arXiv 1703.08050. With alpha = 1/2 it is the exact root, which five Newton-Schulz steps are far
    from for small eigenvalues: weights trained with one do not fit the other. The original drops
    what equal eigenvalues contribute to the gradient; here it is exact. Eigenvalues are computed in
    float64; negative ones, which only a matrix that was given can have, become null. A power has no
    second derivative here: to ask for one is an error.

    Args:
        alpha: Exponent, larger than 0. Defaults to 0.5.
    """

    def __init__(self, alpha: float = 0.5) -> None:
        super().__init__()
        self.alpha = check_positive("alpha", alpha)

    def forward(self, matrix: Tensor) -> Tensor:
        """Return the powers of positive semi-definite matrices (B, D, D)."""
        return spectral_function(matrix, "power", self.alpha)

    def of_factor(self, factor: Tensor) -> Tensor:
        """Return the same of factors (B, D, N), on N x N matrices if N < D."""
        scale = unit_scale(factor)
        power = spectral_function_of_factor(factor / scale, "power", self.alpha)
        return scale ** (2 * self.alpha) * power


class MatrixLogarithm(Normalization, name="matrix_log"):
    r"""The logarithm, which makes distances of covariances those of a flat space.

    .. math:: \log(M + \varepsilon I)

    Null eigenvalues become log eps, the largest number of the result where N < D. Unlike a power it
    depends on the scale of the features. Like a power it has no second derivative here.

    Args:
        eps: Added to the eigenvalues. Defaults to 1e-3.
    """

    def __init__(self, eps: float = 1e-3) -> None:
        super().__init__()
        self.eps = check_positive("eps", eps)

    def forward(self, matrix: Tensor) -> Tensor:
        """Return the logarithms of positive semi-definite matrices (B, D, D)."""
        return self._from_zero(spectral_function(matrix, "log", self.eps))

    def of_factor(self, factor: Tensor) -> Tensor:
        """Return the same of factors (B, D, N), on N x N matrices if N < D."""
        return self._from_zero(spectral_function_of_factor(factor, "log", self.eps))

    def _from_zero(self, rise: Tensor) -> Tensor:
        identity = torch.eye(rise.shape[-1], dtype=rise.dtype, device=rise.device)
        return rise + math.log(self.eps) * identity


class Scaled(Normalization, name="scaled"):
    r"""A multiple, less a multiple of the identity.

    .. math:: a\, (M - b\, I)

    Behind a root, a = 2 and b = 1 is the log-Euclidean view of "Understanding Matrix Function
    Normalizations in Covariance Pooling through the Lens of Riemannian Geometry", arXiv 2407.10484
    (Pow-TMLR; b = 0 is ScalePow-EMLR).

    Args:
        factor: a; D ** -0.5 in SoT. Defaults to 1.
        shift: b. Defaults to 0.
    """

    def __init__(self, factor: float = 1.0, shift: float = 0.0) -> None:
        super().__init__()
        self.factor = factor
        self.shift = shift

    def forward(self, matrix: Tensor) -> Tensor:
        """Return the multiples of matrices (B, D, D)."""
        if self.shift:
            identity = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
            matrix = matrix - self.shift * identity
        return self.factor * matrix


def signed_power(z: Tensor, alpha: float, eps: float) -> Tensor:
    r"""Compute :math:`\operatorname{sign}(z)\, (|z| + \varepsilon)^\alpha` for each number.

    Zero gives zero with a zero gradient, whatever eps is.
    """
    if eps > 0:
        magnitude = z.abs() + eps
        # The sign's zero takes the power out of both, value and gradient.
        return z.sign() * (magnitude.sqrt() if alpha == 0.5 else magnitude**alpha)
    zero = z == 0
    return torch.where(zero, 0, z.sign() * torch.where(zero, 1, z).abs() ** alpha)


class _SignedPower(Part):
    """What the two have in common: a power of each number, of a matrix or of a vector."""

    def __init__(self, alpha: float = 0.5, eps: float = 1e-8) -> None:
        super().__init__()
        self.alpha = check_positive("alpha", alpha)
        if not eps >= 0:
            raise ValueError(f"eps must be at least 0, got {eps!r}")
        self.eps = eps

    def forward(self, z: Tensor) -> Tensor:
        """Return the powers of the numbers of matrices (B, D, D) or vectors (B, K)."""
        return signed_power(z, self.alpha, self.eps)


class SignedPower(_SignedPower, Normalization, name="signed_power"):
    r"""A power of each number of the matrix, which keeps its sign.

    .. math:: \operatorname{sign}(z)\, (|z| + \varepsilon)^\alpha

    Paper: "Bilinear CNN Models for Fine-grained Visual Recognition", arXiv 1504.07889; the form is
    that of fast-MPN-COV's BCNN.py.

    Args:
        alpha: Exponent. Defaults to 0.5.
        eps: Bounds the gradient near zero. Defaults to 1e-8.
    """


class SignedPowerOfVector(_SignedPower, VectorNormalization, name="signed_power"):
    """`SignedPower` behind the vectorisation, where compact bilinear pooling has it.

    Args:
        alpha: Exponent. Defaults to 0.5.
        eps: Bounds the gradient near zero. Defaults to 1e-8.
    """
