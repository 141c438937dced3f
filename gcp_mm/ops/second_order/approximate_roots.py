r"""Square roots by a Taylor polynomial and a Pade approximant, for weights trained with them.

With :math:`A = M / \lVert M \rVert_F` and :math:`Z = I - A`,

.. math::

    \text{MTP:} \quad \sqrt{\lVert M \rVert_F} \sum_{k=0}^{10} \binom{1/2}{k} (-Z)^k, \qquad
    \text{MPA:} \quad \sqrt{\lVert M \rVert_F}\; Q(Z)^{-1} P(Z)

Paper: "Fast Differentiable Matrix Square Root", arXiv 2201.08663. Both lift small eigenvalues: a
null one becomes 0.176 and 0.091 of the root of the norm, so that the result has full rank whatever
the number of positions. For new networks take `NewtonSchulz` or `MatrixPower`.

The published backward is not the derivative of these functions, but an iteration towards that of
the exact root, started at the approximate one. ``gradient='lyapunov'`` computes it, for training to
go on as it began; the default is the derivative. Deviations from the original code: a zero matrix
gives zero instead of NaN, and the identity is not overwritten, which spoilt the backward of MTP.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from gcp_mm.ops.precision import autocast_disabled, unit_scale
from gcp_mm.ops.second_order.parts import Normalization
from gcp_mm.ops.second_order.spectral import last_derivative

# Of sqrt(1 - z): the [5/5] Pade approximant, and the first eleven terms of the series.
NUMERATOR = (1, -11 / 4, 11 / 4, -77 / 64, 55 / 256, -11 / 1024)
DENOMINATOR = (1, -9 / 4, 7 / 4, -35 / 64, 15 / 256, -1 / 1024)
SERIES = (
    *(1, -1 / 2, -1 / 8, -1 / 16, -5 / 128, -7 / 256, -21 / 1024, -33 / 2048, -429 / 32768),
    *(-715 / 65536, -2431 / 262144),
)
LYAPUNOV_STEPS = 8
GRADIENTS = ("exact", "lyapunov")


def _polynomials(z: Tensor, *coefficients: tuple[float, ...]) -> list[Tensor]:
    """Evaluate polynomials at matrices (B, D, D), in blocks of three terms (Paterson, Stockmeyer).

    Of degree ten that takes five products, and two of degree five share two of their four.
    """
    identity = torch.eye(z.shape[-1], dtype=z.dtype, device=z.device)
    square = z @ z
    cube = square @ z

    def block(terms: tuple[float, ...]) -> Tensor:
        result = terms[0] * identity
        for coefficient, power in zip(terms[1:], (z, square), strict=False):
            result = result + coefficient * power
        return result

    found = []
    for terms in coefficients:
        start = (len(terms) - 1) // 3 * 3
        result = block(terms[start:])
        for first in range(start - 3, -1, -3):
            result = torch.baddbmm(block(terms[first : first + 3]), cube, result)
        found.append(result)
    return found


def _taylor(z: Tensor) -> Tensor:
    return _polynomials(z, SERIES)[0]


def _pade(z: Tensor) -> Tensor:
    numerator, denominator = _polynomials(z, NUMERATOR, DENOMINATOR)
    return torch.linalg.solve(denominator, numerator)


def _root(matrix: Tensor, approximate: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    """Return the roots of matrices (B, D, D), and their Frobenius norms, one for a zero matrix."""
    scale = unit_scale(matrix)
    norm = scale * torch.linalg.matrix_norm(matrix / scale, keepdim=True)
    zero = norm == 0
    norm = torch.where(zero, 1, norm)
    identity = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
    return torch.where(zero, 0, norm.sqrt() * approximate(identity - matrix / norm)), norm


APPROXIMATIONS = {"taylor": _taylor, "pade": _pade}


class _TowardsExact(torch.autograd.Function):
    """An approximate root with the published backward."""

    generate_vmap_rule = True

    @staticmethod
    def forward(matrix: Tensor, name: str) -> tuple[Tensor, Tensor]:
        return _root(matrix, APPROXIMATIONS[name])

    @staticmethod
    def setup_context(ctx, inputs: tuple, output: tuple[Tensor, Tensor]) -> None:
        ctx.save_for_backward(*output)
        ctx.mark_non_differentiable(output[1])

    @staticmethod
    def backward(ctx, grad: Tensor, *_: object) -> tuple[Tensor, None]:
        root, norm = ctx.saved_tensors
        identity = torch.eye(root.shape[-1], dtype=root.dtype, device=root.device)
        with torch.no_grad(), autocast_disabled(grad.device):
            b, c = root / norm.sqrt(), grad / norm.sqrt()
            for _step in range(LYAPUNOV_STEPS):
                square = b @ b
                factor = 3 * identity - square
                c = (c @ factor - square @ c + b @ c @ b) / 2
                b = b @ factor / 2
            gradient = c / 2
        return last_derivative(gradient, grad, root), None


class _ApproximateRoot(Normalization):
    """What the two have in common."""

    approximation: str

    def __init__(self, gradient: str = "exact") -> None:
        super().__init__()
        if gradient not in GRADIENTS:
            choices = " or ".join(map(repr, GRADIENTS))
            raise ValueError(f"gradient must be {choices}, got {gradient!r}")
        self.gradient = gradient

    def forward(self, matrix: Tensor) -> Tensor:
        """Return the approximate roots of positive semi-definite matrices (B, D, D)."""
        if self.gradient == "lyapunov":
            return _TowardsExact.apply(matrix, self.approximation)[0]
        return _root(matrix, APPROXIMATIONS[self.approximation])[0]


class TaylorRoot(_ApproximateRoot, name="taylor"):
    """MTP: the Taylor polynomial of degree ten.

    Args:
        gradient: 'exact', that of the polynomial, or 'lyapunov', the published one.
    """

    approximation = "taylor"


class PadeRoot(_ApproximateRoot, name="pade"):
    """MPA: the [5/5] Pade approximant.

    It loses four digits in float32, in the solution of the linear system.

    Args:
        gradient: 'exact', that of the approximant, or 'lyapunov', the published one.
    """

    approximation = "pade"
