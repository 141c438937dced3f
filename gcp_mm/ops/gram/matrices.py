r"""Batches of symmetric matrices of which only the blocks on and above the diagonal are stored.

All matrices of the Newton-Schulz recurrence are polynomials of one symmetric matrix. They commute,
so their products are symmetric, and of a 2 x 2 partition three of the four blocks are enough:

.. math:: (AB)_{ij} = \sum_k A_{ik} B_{kj}, \quad i \le j, \qquad A_{ji} = A_{ij}^\top

Six block products instead of eight. The identity in such a polynomial is carried as a number
beside the matrix: it needs no rounding, and an identity times a matrix no product.

Small matrices stay whole: there the calls cost more than the products. So do matrices on other
devices than the CPU, where a Triton kernel computes one half of a symmetric product and writes
both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from gcp_mm.ops.triton_kernels import symmetric_baddbmm

SPLIT = 128
"""Rows from which on a matrix is stored in blocks."""

ALIGNMENT = 32
"""Divides the rows of the first of two blocks."""


def block_sizes(size: int, device: torch.device, fused: bool = False) -> tuple[int, ...]:
    """Return how many rows each block of a matrix has: one number, or two."""
    if size < SPLIT or device.type != "cpu" or fused:
        return (size,)
    first = size // 2 // ALIGNMENT * ALIGNMENT
    return first, size - first


def add_products(
    c: Tensor,
    keep: float,
    pairs: list[tuple[Tensor, Tensor]],
    factor: float,
    out: Tensor,
    multiply: Callable[..., Tensor] = torch.baddbmm,
) -> Tensor:
    """Write ``keep * c + factor * sum of a @ b over pairs`` to ``out``, which may be ``c``."""
    for a, b in pairs:
        # Not baddbmm_, which counters of operations do not see.
        multiply(c, a, b, beta=keep, alpha=factor, out=out)
        c, keep = out, 1.0
    return out


@dataclass(frozen=True)
class SymmetricBlocks:
    """A batch of symmetric matrices A of shape (B, M, M).

    Attributes:
        upper: The blocks (0, 0), (0, 1), (1, 1) of a 2 x 2 partition, or the whole matrix alone.
        unit: What is stored is ``unit * (A - identity * I)``. A power of two lifts small elements
            above the smallest normal number of half precision.
        fused: Whether products run in a Triton kernel.
        identity: Factor of the identity in A.
    """

    upper: tuple[Tensor, ...]
    unit: float = 1.0
    fused: bool = False
    identity: float = 0.0

    @classmethod
    def product(
        cls, left: Tensor, right: Tensor, unit: float = 1.0, fused: bool = False
    ) -> SymmetricBlocks:
        """Multiply ``unit * A = left @ right``, which is known to be symmetric.

        The factors have the shapes (B, M, K) and (B, K, M).
        """
        if fused:
            whole = left.new_empty(len(left), left.shape[1], left.shape[1])
            symmetric_baddbmm(whole, left, right, beta=0, alpha=1, out=whole)
            return cls((whole,), unit, fused)
        sizes = block_sizes(left.shape[-2], left.device)
        columns = right.split(sizes, dim=-1)
        rows = left.split(sizes, dim=-2)
        return cls(tuple(row @ c for i, row in enumerate(rows) for c in columns[i:]), unit)

    @classmethod
    def from_dense(cls, matrix: Tensor, fused: bool = False) -> SymmetricBlocks:
        """Take the upper blocks of symmetric matrices of shape (B, M, M)."""
        sizes = block_sizes(matrix.shape[-1], matrix.device, fused)
        rows = [row.split(sizes, dim=-1) for row in matrix.split(sizes, dim=-2)]
        blocks = tuple(b.contiguous() for i, row in enumerate(rows) for b in row[i:])
        return cls(blocks, fused=fused)

    @property
    def stored(self) -> Tensor:
        """The whole of ``unit * (A - identity * I)``, of shape (B, M, M)."""
        if len(self.upper) == 1:
            return self.upper[0]
        rows = [torch.cat([self.block(i, j) for j in self.inner], dim=-1) for i in self.inner]
        return torch.cat(rows, dim=-2)

    def dense(self) -> Tensor:
        """Return ``unit * A``, of shape (B, M, M)."""
        matrix = self.stored
        if self.identity:
            matrix = matrix.clone()
            matrix.diagonal(dim1=-2, dim2=-1).add_(self.unit * self.identity)
        return matrix

    def block(self, i: int, j: int) -> Tensor:
        """Return block (i, j) as stored; one below the diagonal is a transposed view."""
        return self.upper[i + j] if i <= j else self.upper[i + j].mT

    @property
    def indices(self) -> list[tuple[int, int]]:
        """Rows and columns of the stored blocks."""
        return [(0, 0)] if len(self.upper) == 1 else [(0, 0), (0, 1), (1, 1)]

    @property
    def inner(self) -> range:
        """Numbers of the blocks in a row of blocks."""
        return range(2 if len(self.upper) > 1 else 1)

    def affine(self, factor: float, identity: float) -> SymmetricBlocks:
        """Return ``factor * A + identity * I``, stored at the same unit."""
        upper = self.upper if factor == 1 else tuple(factor * block for block in self.upper)
        return replace(self, upper=upper, identity=factor * self.identity + identity)

    def plus(self, factor: float, other: SymmetricBlocks) -> SymmetricBlocks:
        """Return ``A + factor * other``, stored at the same unit."""
        alpha = factor * self.unit / other.unit
        pairs = zip(self.upper, other.upper, strict=True)
        upper = tuple(torch.add(ours, theirs, alpha=alpha) for ours, theirs in pairs)
        return replace(self, upper=upper, identity=self.identity + factor * other.identity)

    def plus_product(
        self,
        keep: float,
        left: SymmetricBlocks,
        right: SymmetricBlocks,
        factor: float = 1.0,
        *,
        overwrite: bool = False,
    ) -> SymmetricBlocks:
        """Return ``keep * A + factor * L @ R``, where L and R lack the identities of the factors.

        That the blocks which are not stored are transposes of those which are is the caller's
        promise: the sum over all calls for one result has to be symmetric. ``overwrite`` writes
        over A, which then must share its memory with no other matrices: it is neither a factor nor
        the result of ``affine(1, ...)``.
        """
        multiply = symmetric_baddbmm if self.fused else torch.baddbmm
        alpha = factor * self.unit / (left.unit * right.unit)
        upper = self.upper if overwrite else tuple(map(torch.empty_like, self.upper))
        for (i, j), block, out in zip(self.indices, self.upper, upper, strict=True):
            pairs = [(left.block(i, k), right.block(k, j)) for k in self.inner]
            add_products(block, keep, pairs, alpha, out, multiply)
        return replace(self, upper=upper, identity=keep * self.identity)

    def times(self, other: SymmetricBlocks) -> SymmetricBlocks:
        """Return the product with matrices that commute with these."""
        base, keep = cross_terms(self, self.identity, other, other.identity)
        product = base.plus_product(keep, self, other)
        return replace(product, identity=self.identity * other.identity)

    def squared(self, plus: float = 0.0) -> SymmetricBlocks:
        """Return ``A @ A + plus * A``, stored at the same unit."""
        product = self.plus_product(2 * self.identity + plus, self, self)
        return replace(product, identity=(self.identity + plus) * self.identity)

    def anticommutator(self, other: SymmetricBlocks, keep: float = 0.0) -> SymmetricBlocks:
        """Return ``A @ B + B @ A + keep * B`` at the unit of B, which must have no identity part.

        The second product is the transpose of the first, so in a block on the diagonal it is not
        computed, and off the diagonal the two take the place of one product's two blocks.
        """
        blocks = []
        keep += 2 * self.identity
        for (i, j), c in zip(self.indices, other.upper, strict=True):
            pairs = [(self.block(i, k), other.block(k, j)) for k in self.inner]
            if i != j:
                pairs += [(other.block(i, k), self.block(k, j)) for k in self.inner]
            out = torch.empty_like(c)
            add_products(c, keep / 2 if i == j else keep, pairs, 1 / self.unit, out)
            blocks.append(out + out.mT if i == j else out)
        return replace(other, upper=tuple(blocks))


def cross_terms(
    a: SymmetricBlocks, a_identity: float, b: SymmetricBlocks, b_identity: float
) -> tuple[SymmetricBlocks, float]:
    """Return M and f, such that ``f * M`` is what the identities of a product add to ``L @ R``.

    That is ``b_identity * L + a_identity * R``, with L and R the parts of ``a`` and ``b`` without
    identity. :meth:`SymmetricBlocks.plus_product` multiplies by f anyway.
    """
    if a_identity and b_identity:
        return replace(a.plus(a_identity / b_identity, b), identity=0.0), b_identity
    matrix, factor = (b, a_identity) if a_identity else (a, b_identity)
    return replace(matrix, identity=0.0), factor
