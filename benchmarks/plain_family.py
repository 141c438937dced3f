"""Second-order poolings as their papers print them, for autograd: what benchmarks/family.py times.

Functions of features (B, C, H, W) in the dtype that these have. None of them looks at which matrix
is the smaller one, or at eigenvalues that are equal.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import normalize

EPS = 1e-8
SERIES = [1.0]
for _k in range(10):
    SERIES.append(SERIES[-1] * (_k - 0.5) / (_k + 1))
NUMERATOR = (1, -11 / 4, 11 / 4, -77 / 64, 55 / 256, -11 / 1024)
DENOMINATOR = (1, -9 / 4, 7 / 4, -35 / 64, 15 / 256, -1 / 1024)


def _covariance(x: Tensor) -> Tensor:
    """By the centring matrix, as fast-MPN-COV and its descendants have it."""
    x = x.flatten(2)
    positions = x.shape[-1]
    identity = torch.eye(positions, dtype=x.dtype, device=x.device)
    centring = identity / positions - torch.full_like(identity, positions**-2)
    return x @ centring @ x.mT


def _second_moment(x: Tensor) -> Tensor:
    x = x.flatten(2)
    return x @ x.mT / x.shape[-1]


def _triangle(matrix: Tensor) -> Tensor:
    rows, columns = torch.triu_indices(*matrix.shape[-2:], device=matrix.device)
    return matrix[:, rows, columns]


def _of_eigenvalues(matrix: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
    values, vectors = torch.linalg.eigh(matrix)
    return vectors @ torch.diag_embed(function(values)) @ vectors.mT


def covariance(x: Tensor) -> Tensor:
    """DropCov in evaluation."""
    return _triangle(_covariance(x))


def matrix_power(x: Tensor) -> Tensor:
    """MPN-COV."""
    return _triangle(_of_eigenvalues(_covariance(x), lambda v: v.clamp_min(1e-12).sqrt()))


def matrix_log(x: Tensor) -> Tensor:
    """Log-Euclidean."""
    matrix = _covariance(x)
    identity = torch.eye(matrix.shape[-1], dtype=x.dtype, device=x.device)
    return _triangle(_of_eigenvalues(matrix + 1e-3 * identity, torch.log))


def gaussian(x: Tensor) -> Tensor:
    """G2DeNet."""
    mean = x.flatten(2).mean(dim=-1, keepdim=True)
    above = torch.cat([_second_moment(x), mean], dim=2)
    below = torch.cat([mean.mT, torch.ones_like(mean[:, :1])], dim=2)
    matrix = torch.cat([above, below], dim=1)
    return _of_eigenvalues(matrix, lambda v: v.clamp_min(1e-12).sqrt()).flatten(1)


def bilinear(x: Tensor) -> Tensor:
    """B-CNN."""
    matrix = _second_moment(x)
    return normalize((matrix.sign() * (matrix.abs() + EPS).sqrt()).flatten(1))


def compact_bilinear(dim: int, buckets: Tensor, signs: Tensor) -> Callable[[Tensor], Tensor]:
    """CBP, by Fourier transforms of every position."""
    sketches = [torch.zeros(buckets.shape[1], dim), torch.zeros(buckets.shape[1], dim)]
    for sketch, bucket, sign in zip(sketches, buckets, signs, strict=True):
        sketch[torch.arange(len(bucket)), bucket] = sign.to(sketch.dtype)

    def pool(x: Tensor) -> Tensor:
        rows = x.flatten(2).mT
        one, other = (torch.fft.fft(rows @ sketch.to(x)) for sketch in sketches)
        vector = torch.fft.ifft(one * other).real.sum(dim=1)
        return normalize(vector.sign() * (vector.abs() + EPS).sqrt())

    return pool


def singular_value(weight: Tensor) -> Callable[[Tensor], Tensor]:
    """One step for one value, of the matrix that the covariance is."""

    def pool(x: Tensor) -> Tensor:
        matrix = _covariance(x)
        left = normalize(matrix @ weight.to(x)[:, None], dim=1)
        right = normalize(matrix.mT @ left, dim=1)
        value = left.mT @ matrix @ right
        term = left @ right.mT
        rest = matrix - value * term
        return (value.sqrt() * term + rest / (value.sqrt() + 1e-5)).flatten(1)

    return pool


def _powers(matrix: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the norm, the identity and the identity less the matrix over its norm."""
    norm = torch.linalg.matrix_norm(matrix, keepdim=True)
    identity = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
    return norm, identity, identity - matrix / norm


def taylor(x: Tensor) -> Tensor:
    """MTP, power by power."""
    norm, power, z = _powers(_covariance(x))
    result = power
    for coefficient in SERIES[1:]:
        power = power @ z
        result = result + coefficient * power
    return _triangle(norm.sqrt() * result)


def pade(x: Tensor) -> Tensor:
    """MPA, power by power."""
    norm, power, z = _powers(_covariance(x))
    above, below = power, power
    for one, other in zip(NUMERATOR[1:], DENOMINATOR[1:], strict=True):
        power = power @ z
        above, below = above + one * power, below + other * power
    return _triangle(norm.sqrt() * torch.linalg.solve(below, above))
