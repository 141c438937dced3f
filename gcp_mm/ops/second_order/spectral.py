r"""Functions of symmetric matrices by their eigenvalues, with the closed form of the gradient.

For :math:`C = \sum_i \lambda_i u_i u_i^\top` and a scalar function f,

.. math::

    f(C) = U \operatorname{diag} f(\lambda)\, U^\top, \qquad
    \frac{\partial L}{\partial C} = U \bigl(K \circ (U^\top \tilde G\, U)\bigr) U^\top, \qquad
    K_{ij} = \frac{f(\lambda_i) - f(\lambda_j)}{\lambda_i - \lambda_j}, \quad
    K_{ii} = f'(\lambda_i)

with the symmetric part of the incoming gradient (Daleckii and Krein). Autograd through an
eigendecomposition divides by differences of eigenvalues instead, and equal ones give NaN; here K is
written without a difference that cancels.

Of a product :math:`C = Y Y^\top` with N < D columns, whose other eigenvalues are zero, the
eigenvectors with :math:`\lambda > 0` are :math:`V = Y W \Lambda^{-1/2}`, from the N x N matrix
:math:`Y^\top Y = W \Lambda W^\top`:

.. math::

    f(C) = f(0)\, I + V \operatorname{diag}(f(\lambda) - f(0))\, V^\top, \qquad
    \frac{\partial L}{\partial Y} = 2 \Bigl( V (K \circ M) + (\tilde G V - V M)
        \operatorname{diag} \frac{f(\lambda) - f(0)}{\lambda} \Bigr) V^\top Y, \quad
    M = V^\top \tilde G V

Pairs of null eigenvalues do not occur in it, because Y is orthogonal to their vectors: it is the
gradient of a root even where the root of a matrix of that rank has none.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class Spectrum(NamedTuple):
    """What a function makes of eigenvalues l >= 0."""

    rise: Tensor
    """f(l) - f(0)."""
    slope: Tensor
    """(f(l) - f(0)) / l."""
    differences: Tensor
    """K for every pair of eigenvalues."""


def _power(values: Tensor, alpha: float) -> Spectrum:
    """Evaluate l ** alpha."""
    high = torch.maximum(values[..., :, None], values[..., None, :])
    low = torch.minimum(values[..., :, None], values[..., None, :])
    ratio = torch.log1p((high - low) / low)  # log(high / low), exactly zero for equal ones
    safe = torch.where(ratio == 0, 1, ratio)
    rates = torch.where(ratio == 0, alpha, torch.expm1(alpha * safe) / torch.expm1(safe))
    differences = low ** (alpha - 1) * rates
    return Spectrum(values**alpha, values ** (alpha - 1), differences)


def _logarithm(values: Tensor, eps: float) -> Spectrum:
    """Evaluate log(l + eps)."""
    high = torch.maximum(values[..., :, None], values[..., None, :])
    low = torch.minimum(values[..., :, None], values[..., None, :])
    gap = high - low
    safe = torch.where(gap == 0, 1, gap)
    rates = torch.where(gap == 0, 1 / (low + eps), torch.log1p(safe / (low + eps)) / safe)
    rise = torch.log1p(values / eps)
    return Spectrum(rise, rise / values, rates)


FUNCTIONS = {"power": _power, "log": _logarithm}


def _eigen(matrix: Tensor, order: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return eigenvalues, of which null ones are one, vectors, and which are not null."""
    values, vectors = torch.linalg.eigh(matrix)
    largest = values[..., -1:]
    kept = values > order * torch.finfo(values.dtype).eps * largest
    return torch.where(kept, values, 1), vectors, kept


class _OfMatrix(torch.autograd.Function):
    """f(C) - f(0) I for matrices (B, D, D)."""

    generate_vmap_rule = True

    @staticmethod
    def forward(matrix: Tensor, function: str, argument: float) -> tuple[Tensor, ...]:
        values, vectors, kept = _eigen(matrix, matrix.shape[-1])
        rise = torch.where(kept, FUNCTIONS[function](values, argument).rise, 0)
        return (vectors * rise[..., None, :]) @ vectors.mT, values, vectors, kept

    @staticmethod
    def setup_context(ctx, inputs: tuple, output: tuple[Tensor, ...]) -> None:
        _, ctx.function, ctx.argument = inputs
        ctx.save_for_backward(*output[1:])
        ctx.mark_non_differentiable(*output[1:])
        ctx.set_materialize_grads(False)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor | None, *_: object) -> tuple[Tensor | None, None, None]:
        if grad is None:
            return None, None, None
        values, vectors, kept = ctx.saved_tensors
        spectrum = FUNCTIONS[ctx.function](values, ctx.argument)
        one, other = kept[..., :, None], kept[..., None, :]
        half_null = torch.where(one, spectrum.slope[..., :, None], spectrum.slope[..., None, :])
        differences = torch.where(one & other, spectrum.differences, half_null)
        # The derivative at zero of a logarithm; a root has none, and a product needs none.
        at_zero = 1 / ctx.argument if ctx.function == "log" else 0.0
        differences = torch.where(one | other, differences, at_zero)
        inside = vectors.mT @ ((grad + grad.mT) / 2) @ vectors
        return vectors @ (differences * inside) @ vectors.mT, None, None


class _OfWideFactor(torch.autograd.Function):
    """f(Y Y^T) - f(0) I for factors (B, D, N) with N < D."""

    generate_vmap_rule = True

    @staticmethod
    def forward(factor: Tensor, function: str, argument: float) -> tuple[Tensor, ...]:
        values, right, kept = _eigen(factor.mT @ factor, factor.shape[-2])
        vectors = factor @ torch.where(kept[..., None, :], right * values.rsqrt()[..., None, :], 0)
        rise = FUNCTIONS[function](values, argument).rise
        return (vectors * rise[..., None, :]) @ vectors.mT, values, vectors

    @staticmethod
    def setup_context(ctx, inputs: tuple, output: tuple[Tensor, ...]) -> None:
        factor, ctx.function, ctx.argument = inputs
        ctx.save_for_backward(factor, *output[1:])
        ctx.mark_non_differentiable(*output[1:])
        ctx.set_materialize_grads(False)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor | None, *_: object) -> tuple[Tensor | None, None, None]:
        if grad is None:
            return None, None, None
        factor, values, vectors = ctx.saved_tensors
        spectrum = FUNCTIONS[ctx.function](values, ctx.argument)
        pulled = ((grad + grad.mT) / 2) @ vectors
        inside = vectors.mT @ pulled
        slope = spectrum.slope[..., None, :]
        along = vectors @ (spectrum.differences * inside - inside * slope) + pulled * slope
        return 2 * along @ (vectors.mT @ factor), None, None


def spectral_function(matrix: Tensor, function: str, argument: float) -> Tensor:
    """Return f(C) - f(0) I of symmetric positive semi-definite matrices (B, D, D).

    Args:
        matrix: The matrices. Eigenvalues at most D times the rounding of the largest are null.
        function: 'power' for l ** argument, or 'log' for log(l + argument).
        argument: The exponent, or the number that is added.
    """
    return _OfMatrix.apply(matrix, function, argument)[0]


def spectral_function_of_factor(factor: Tensor, function: str, argument: float) -> Tensor:
    """Return the same of ``factor @ factor.mT``, on N x N matrices if the factor has N < D."""
    if factor.shape[-1] < factor.shape[-2]:
        return _OfWideFactor.apply(factor, function, argument)[0]
    return spectral_function(factor @ factor.mT, function, argument)
