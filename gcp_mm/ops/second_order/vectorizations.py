"""Vectors of symmetric matrices (B, D, D)."""

from __future__ import annotations

import torch
from torch import Tensor

from gcp_mm.ops.second_order.parts import (
    Vectorization,
    VectorNormalization,
    check_count,
    check_positive,
)
from gcp_mm.ops.triu_vec import triangle_size, triu_vec

ORDERS = ("upper_rows", "lower_rows")


class Triangle(Vectorization, name="triangle"):
    """One triangle with the diagonal, without a factor sqrt(2): D (D + 1) / 2 numbers.

    The order of the numbers is a contract with the classifier behind it. ``upper_rows`` is that of
    every published iSQRT-COV network after December 2018; ``lower_rows`` (the lower triangle row by
    row, which is the upper one column by column) that of fast-MPN-COV before it (commit ee8c4a6,
    changed by e68a5ee), of GSoP and of the MatConvNet code.

    Args:
        order: 'upper_rows' or 'lower_rows'. Defaults to 'upper_rows'.
    """

    def __init__(self, order: str = "upper_rows") -> None:
        super().__init__()
        if order not in ORDERS:
            raise ValueError(f"order must be one of {', '.join(map(repr, ORDERS))}, got {order!r}")
        self.order = order

    def forward(self, matrix: Tensor) -> Tensor:
        """Return vectors (B, D (D + 1) / 2)."""
        if self.order == "upper_rows":
            return triu_vec(matrix)
        size = matrix.shape[-1]
        rows, columns = torch.tril_indices(size, size, device=matrix.device)
        return matrix.flatten(-2).index_select(-1, rows * size + columns)

    def length(self, size: int) -> int:
        """Return D (D + 1) / 2."""
        return triangle_size(size)

    def from_upper_rows(self, vector: Tensor, size: int) -> Tensor:
        """Bring a symmetric matrix's upper triangle by rows into this order."""
        if self.order == "upper_rows":
            return vector
        rows, columns = torch.tril_indices(size, size, device=vector.device)
        return vector.index_select(-1, triangle_position(columns, rows, size))


class Full(Vectorization, name="full"):
    """All D * D numbers, row by row."""

    def forward(self, matrix: Tensor) -> Tensor:
        """Return vectors (B, D * D)."""
        return matrix.flatten(-2)

    def length(self, size: int) -> int:
        """Return D * D."""
        return size * size

    def from_upper_rows(self, vector: Tensor, size: int) -> Tensor:
        """Fill a symmetric matrix from its upper triangle by rows, and read it row by row."""
        index = torch.arange(size, device=vector.device)
        rows, columns = torch.minimum(index[:, None], index), torch.maximum(index[:, None], index)
        return vector.index_select(-1, triangle_position(rows, columns, size).flatten())


def triangle_position(rows: Tensor, columns: Tensor, size: int) -> Tensor:
    """Return where (row <= column) stands in the upper triangle of a matrix, row by row."""
    return rows * (2 * size - rows - 1) // 2 + columns


class CountSketch(Vectorization, name="count_sketch"):
    r"""Few random sums of the numbers, whose products estimate those of all.

    .. math:: v_k = \sum_{h_1(i) + h_2(j) \equiv k \bmod K} s_1(i)\, s_2(j)\, M_{ij}

    The tensor sketch of "Compact Bilinear Pooling", arXiv 1511.06062. There it is the inverse
    Fourier transform of a product for every position; summing the matrix is the same without
    the transform's rounding, which the square root behind it would blow up in empty buckets.

    The tables are buffers: weights behind them mean nothing without them. They are drawn from a
    generator of their own, so that the random numbers of a training do not change.

    Args:
        size: Rows D of the matrices.
        dim: Length K of the vector. Defaults to 8192.
        seed: Of the tables. Defaults to 1.
    """

    buckets: Tensor
    signs: Tensor

    def __init__(self, size: int, dim: int = 8192, seed: int = 1) -> None:
        super().__init__()
        self.dim = check_count("dim", dim)
        self.seed = seed
        generator = torch.Generator().manual_seed(seed)
        self.register_buffer("buckets", torch.randint(dim, (2, size), generator=generator))
        self.register_buffer("signs", 2 * torch.randint(2, (2, size), generator=generator) - 1)

    def forward(self, matrix: Tensor) -> Tensor:
        """Return vectors (B, K)."""
        size = self.buckets.shape[1]
        if matrix.shape[-1] != size:
            raise ValueError(
                f"the tables of this sketch are for {size} rows, got matrices {matrix.shape[-1]} x "
                f"{matrix.shape[-1]}"
            )
        index = (self.buckets[0][:, None] + self.buckets[1]).flatten() % self.dim
        signed = matrix * (self.signs[0][:, None] * self.signs[1])
        return matrix.new_zeros(matrix.shape[0], self.dim).index_add(1, index, signed.flatten(1))

    def length(self, size: int) -> int:
        """Return K."""
        return self.dim


class L2(VectorNormalization, name="l2"):
    r"""Unit length.

    .. math:: v / \max(\lVert v \rVert_2, \varepsilon)

    Args:
        eps: Defaults to 1e-12.
    """

    def __init__(self, eps: float = 1e-12) -> None:
        super().__init__()
        self.eps = check_positive("eps", eps)

    def forward(self, vector: Tensor) -> Tensor:
        """Return vectors (B, K) of length one; zeros stay zeros."""
        return torch.nn.functional.normalize(vector, dim=1, eps=self.eps)
