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

A product squares what its factor has: in float32 it loses eigenvalues below 1e-7 of the largest,
which a large mean or channels of different scales push most of the others under. Products and
their eigenvalues are therefore computed in float64, and null is a singular value of the factor
within the rounding of the largest, or an eigenvalue within that of the largest where a matrix is
given. Negative eigenvalues, which a second-order matrix does not have, count as null.

A sample that is not finite stays one: its result and gradient are NaN, and those of the others
what they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from gcp_mm.ops.precision import autocast_disabled


class SpectralFunction(NamedTuple):
    """A function f of eigenvalues l >= 0, which has an argument."""

    rise: Callable[[Tensor, float], Tensor]
    """f(l) - f(0)."""
    quotient: Callable[[Tensor, Tensor, float], Tensor]
    """(f(high) - f(low)) / (high - low), and the derivative where they are equal."""
    slope_at_zero: Callable[[float], float]
    """The derivative there; 0 for a root, which has none, and a product needs none."""

    def differences(self, values: Tensor, argument: float) -> Tensor:
        """Return K for every pair of eigenvalues (B, M)."""
        one, other = values[..., :, None], values[..., None, :]
        return self.quotient(torch.maximum(one, other), torch.minimum(one, other), argument)


def _quotient_of_powers(high: Tensor, low: Tensor, alpha: float) -> Tensor:
    ratio = torch.log1p((high - low) / low)  # log(high / low), exactly zero for equal ones
    safe = torch.where(ratio == 0, 1, ratio)
    rates = torch.where(ratio == 0, alpha, torch.expm1(alpha * safe) / torch.expm1(safe))
    return low ** (alpha - 1) * rates


def _quotient_of_logarithms(high: Tensor, low: Tensor, eps: float) -> Tensor:
    gap = high - low
    safe = torch.where(gap == 0, 1, gap)
    return torch.where(gap == 0, 1 / (low + eps), torch.log1p(safe / (low + eps)) / safe)


FUNCTIONS = {
    "power": SpectralFunction(
        lambda values, alpha: values**alpha,
        _quotient_of_powers,
        lambda alpha: 1.0 if alpha == 1 else 0.0,
    ),
    "log": SpectralFunction(
        lambda values, eps: torch.log1p(values / eps),
        _quotient_of_logarithms,
        lambda eps: 1 / eps,
    ),
}


def _eigen(matrix: Tensor, least: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return eigenvalues, of which null ones are one, vectors, and which are not null.

    ``least`` is what an eigenvalue has to exceed, relative to the largest. Eigenvectors of a matrix
    that is not finite are NaN.
    """
    finite = matrix.isfinite().flatten(-2).all(-1)[..., None]
    values, vectors = torch.linalg.eigh(torch.where(finite[..., None], matrix, 0))
    kept = (values > least * values[..., -1:]) | ~finite
    vectors = torch.where(finite[..., None], vectors, torch.nan)
    return torch.where(kept, values, 1), vectors, kept


class _LastDerivative(torch.autograd.Function):
    """A gradient that has none itself."""

    generate_vmap_rule = True

    @staticmethod
    def forward(gradient: Tensor, *sources: Tensor) -> Tensor:
        return gradient.view_as(gradient)

    @staticmethod
    def setup_context(ctx, inputs: tuple, output: Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx, *grads: Tensor) -> None:
        raise NotImplementedError(
            "powers and logarithms of eigenvalues, and gradients by gradient='lyapunov', have no "
            "second derivative here; Newton-Schulz steps ('newton_schulz') have one"
        )


def last_derivative(gradient: Tensor, *sources: Tensor) -> Tensor:
    """Return a gradient, which raises where it is differentiated by what it was computed from.

    PyTorch's ``once_differentiable`` is not enough: its error stands in a side branch of the graph,
    and ``torch.autograd.grad`` goes past it and leaves terms out.
    """
    return _LastDerivative.apply(gradient, *sources) if torch.is_grad_enabled() else gradient


class _OfMatrix(torch.autograd.Function):
    """f(C) - f(0) I for matrices (B, D, D)."""

    generate_vmap_rule = True

    @staticmethod
    def forward(matrix: Tensor, function: str, argument: float, least: float) -> tuple[Tensor, ...]:
        values, vectors, kept = _eigen(matrix, least)
        rise = torch.where(kept, FUNCTIONS[function].rise(values, argument), 0)
        return (vectors * rise[..., None, :]) @ vectors.mT, values, vectors, kept

    @staticmethod
    def setup_context(ctx, inputs: tuple, output: tuple[Tensor, ...]) -> None:
        _, ctx.function, ctx.argument, _ = inputs
        _, values, vectors, kept = output
        ctx.save_for_backward(values, vectors, kept)
        # Not the vectors, through which `last_derivative` sees the matrix.
        ctx.mark_non_differentiable(values, kept)

    @staticmethod
    def backward(ctx, grad: Tensor, *_: object) -> tuple[Tensor, None, None, None]:
        values, vectors, kept = ctx.saved_tensors
        function, argument = FUNCTIONS[ctx.function], ctx.argument
        one, other = kept[..., :, None], kept[..., None, :]
        with torch.no_grad(), autocast_disabled(grad.device):
            slope = function.rise(values, argument) / values
            half_null = torch.where(one, slope[..., :, None], slope[..., None, :])
            differences = function.differences(values, argument)
            differences = torch.where(one & other, differences, half_null)
            at_zero = function.slope_at_zero(argument)
            differences = torch.where(one | other, differences, at_zero)
            inside = vectors.mT @ ((grad + grad.mT) / 2) @ vectors
            result = vectors @ (differences * inside) @ vectors.mT
        return last_derivative(result, grad, vectors), None, None, None


class _OfWideFactor(torch.autograd.Function):
    """f(Y Y^T) - f(0) I for factors (B, D, N) with N < D."""

    generate_vmap_rule = True

    @staticmethod
    def forward(factor: Tensor, function: str, argument: float, least: float) -> tuple[Tensor, ...]:
        values, right, kept = _eigen(factor.mT @ factor, least)
        vectors = factor @ torch.where(kept[..., None, :], right * values.rsqrt()[..., None, :], 0)
        rise = FUNCTIONS[function].rise(values, argument)
        return (vectors * rise[..., None, :]) @ vectors.mT, values, vectors

    @staticmethod
    def setup_context(ctx, inputs: tuple, output: tuple[Tensor, ...]) -> None:
        factor, ctx.function, ctx.argument, _ = inputs
        ctx.save_for_backward(factor, *output[1:])
        ctx.mark_non_differentiable(*output[1:])

    @staticmethod
    def backward(ctx, grad: Tensor, *_: object) -> tuple[Tensor, None, None, None]:
        factor, values, vectors = ctx.saved_tensors
        function, argument = FUNCTIONS[ctx.function], ctx.argument
        with torch.no_grad(), autocast_disabled(grad.device):
            differences = function.differences(values, argument)
            slope = (function.rise(values, argument) / values)[..., None, :]
            pulled = ((grad + grad.mT) / 2) @ vectors
            inside = vectors.mT @ pulled
            along = vectors @ (differences * inside - inside * slope) + pulled * slope
            result = 2 * along @ (vectors.mT @ factor)
        return last_derivative(result, grad, factor), None, None, None


def spectral_function(matrix: Tensor, function: str, argument: float) -> Tensor:
    """Return f(C) - f(0) I of symmetric positive semi-definite matrices (B, D, D).

    Args:
        matrix: The matrices, float32 or float64. Eigenvalues of at most D times the rounding of the
            largest are null.
        function: 'power' for l ** argument, or 'log' for log(l + argument).
        argument: The exponent, or the number that is added.
    """
    least = matrix.shape[-1] * torch.finfo(matrix.dtype).eps
    return _OfMatrix.apply(matrix.double(), function, argument, least)[0].to(matrix.dtype)


def spectral_function_of_factor(factor: Tensor, function: str, argument: float) -> Tensor:
    """Return the same of ``factor @ factor.mT``, on N x N matrices if the factor has N < D.

    Null are singular values of the factor of at most sqrt(D) times the rounding of the largest.
    """
    size, positions = factor.shape[-2:]
    exact = factor.double()
    rounding = torch.finfo(factor.dtype).eps ** 2, torch.finfo(exact.dtype).eps
    least = max(size, positions) * max(rounding)
    if positions < size:
        result = _OfWideFactor.apply(exact, function, argument, least)[0]
    else:
        result = _OfMatrix.apply(exact @ exact.mT, function, argument, least)[0]
    return result.to(factor.dtype)
