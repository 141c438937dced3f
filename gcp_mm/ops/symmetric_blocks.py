r"""Batches of symmetric matrices of which only the blocks on and above the diagonal are stored.

All matrices of the Newton-Schulz recurrence are polynomials of one symmetric matrix. They commute,
so their products are symmetric, and of a 2 x 2 partition three of the four blocks are enough:

.. math:: (AB)_{ij} = \sum_k A_{ik} B_{kj}, \quad i \le j, \qquad A_{ji} = A_{ij}^\top

Six block products instead of eight. Small matrices stay whole: there the calls cost more than the
products. So do matrices on other devices than the CPU, where a Triton kernel computes one half and
writes both.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from gcp_mm.ops.triton_kernels import symmetric_baddbmm

SPLIT = 128
ALIGNMENT = 32


def block_sizes(size: int, device: torch.device, fused: bool = False) -> tuple[int, ...]:
    """Return how many rows each block of a matrix has.

    Args:
        size: Rows of the matrix.
        device: Where it lies.
        fused: Whether a Triton kernel multiplies it.

    Returns:
        One number, or two of which the first is a multiple of ``ALIGNMENT``.
    """
    if size < SPLIT or device.type != "cpu" or fused:
        return (size,)
    first = size // 2 // ALIGNMENT * ALIGNMENT
    return first, size - first


def sum_of_products(
    pairs: list[tuple[Tensor, Tensor]], out: Tensor, beta: float, alpha: float = 1.0
) -> Tensor:
    """Replace ``out`` by ``beta * out + alpha * sum of a @ b`` over the pairs (a, b)."""
    for a, b in pairs:
        # Not baddbmm_, which counters of operations do not see.
        torch.baddbmm(out, a, b, beta=beta, alpha=alpha, out=out)
        beta = 1.0
    return out


@dataclass(frozen=True)
class SymmetricBlocks:
    """A batch of symmetric matrices A of shape (B, M, M).

    Attributes:
        upper: The blocks (0, 0), (0, 1), (1, 1) of a 2 x 2 partition, or the whole matrix alone.
        unit: What is stored is ``unit * A``. A power of two lifts small elements above the smallest
            normal number of half precision.
        fused: Whether products run in a Triton kernel.
    """

    upper: tuple[Tensor, ...]
    unit: float = 1.0
    fused: bool = False

    @classmethod
    def product(
        cls, left: Tensor, right: Tensor, unit: float = 1.0, fused: bool = False
    ) -> SymmetricBlocks:
        """Multiply ``unit * A = left @ right``, which is known to be symmetric.

        Args:
            left: Matrices of shape (B, M, K).
            right: Matrices of shape (B, K, M).
            unit: See the class.
            fused: See the class.
        """
        sizes = block_sizes(left.shape[-2], left.device, fused)
        columns = right.split(sizes, dim=-1)
        rows = left.split(sizes, dim=-2)
        return cls(tuple(row @ c for i, row in enumerate(rows) for c in columns[i:]), unit, fused)

    @classmethod
    def from_dense(cls, matrix: Tensor, fused: bool = False) -> SymmetricBlocks:
        """Take the upper blocks of symmetric matrices of shape (B, M, M)."""
        sizes = block_sizes(matrix.shape[-1], matrix.device, fused)
        rows = [row.split(sizes, dim=-1) for row in matrix.split(sizes, dim=-2)]
        blocks = tuple(b.contiguous() for i, row in enumerate(rows) for b in row[i:])
        return cls(blocks, fused=fused)

    def dense(self) -> Tensor:
        """Return the whole matrices as they are stored, of shape (B, M, M)."""
        if len(self.upper) == 1:
            return self.upper[0]
        rows = [torch.cat([self.block(i, j) for j in range(2)], dim=-1) for i in range(2)]
        return torch.cat(rows, dim=-2)

    def block(self, i: int, j: int) -> Tensor:
        """Return block (i, j); one below the diagonal is a transposed view."""
        return self.upper[i + j] if i <= j else self.upper[i + j].mT

    @property
    def indices(self) -> list[tuple[int, int]]:
        """Rows and columns of the stored blocks."""
        return [(0, 0)] if len(self.upper) == 1 else [(0, 0), (0, 1), (1, 1)]

    @property
    def inner(self) -> range:
        """Indices of the blocks in a row."""
        return range(2 if len(self.upper) > 1 else 1)

    def affine(self, factor: float, identity: float = 0.0) -> SymmetricBlocks:
        """Return ``factor * A + identity * I``, stored at unit 1."""
        blocks = tuple(factor / self.unit * block for block in self.upper)
        if identity:
            for (i, j), block in zip(self.indices, blocks, strict=True):
                if i == j:
                    block.diagonal(dim1=-2, dim2=-1).add_(identity)
        return SymmetricBlocks(blocks, fused=self.fused)

    def add_(self, other: SymmetricBlocks, factor: float) -> SymmetricBlocks:
        """Add ``factor * other`` in place."""
        factor *= self.unit / other.unit
        for ours, theirs in zip(self.upper, other.upper, strict=True):
            ours.add_(theirs, alpha=factor)
        return self

    def add_product_(
        self, left: SymmetricBlocks, right: SymmetricBlocks, keep: float = 1.0
    ) -> SymmetricBlocks:
        """Replace A by ``keep * A + left @ right`` in place.

        That the blocks which are not stored are transposes of those which are is the caller's
        promise: the sum over all calls for one result has to be symmetric.
        """
        factor = self.unit / (left.unit * right.unit)
        if self.fused:
            (c,), (a,), (b,) = self.upper, left.upper, right.upper
            symmetric_baddbmm(c, a, b, keep, factor, out=c)
            return self
        for (i, j), block in zip(self.indices, self.upper, strict=True):
            pairs = [(left.block(i, k), right.block(k, j)) for k in self.inner]
            sum_of_products(pairs, out=block, beta=keep, alpha=factor)
        return self

    def times(self, other: SymmetricBlocks) -> SymmetricBlocks:
        """Return the product with matrices that commute with these, stored at the same unit."""
        return self.empty_like().add_product_(self, other, keep=0)

    def empty_like(self) -> SymmetricBlocks:
        """Return uninitialised matrices of the same kind."""
        return replace(self, upper=tuple(torch.empty_like(block) for block in self.upper))

    def squared(self) -> SymmetricBlocks:
        """Return the product with themselves, stored at the same unit."""
        return self.times(self)

    def anticommutator(self, other: SymmetricBlocks) -> SymmetricBlocks:
        """Return ``A @ other + other @ A`` at the unit of ``other``, for any symmetric matrices.

        The second product is the transpose of the first, so in a block on the diagonal it is not
        computed, and off the diagonal the two take the place of one product's two blocks.
        """
        blocks = []
        for i, j in self.indices:
            pairs = [(self.block(i, k), other.block(k, j)) for k in self.inner]
            block = sum_of_products(pairs, out=torch.empty_like(other.block(i, j)), beta=0.0)
            if i == j:
                block = block + block.mT
            else:
                more = [(other.block(i, k), self.block(k, j)) for k in self.inner]
                block = sum_of_products(more, out=block, beta=1.0)
            blocks.append(block.div_(self.unit) if self.unit != 1 else block)
        return replace(other, upper=tuple(blocks))
