"""Between symmetric matrices and their upper triangles, by index tables that are made only once.

:func:`gcp_mm.ops.triu_vec` is the public operator; it makes its indices anew, which compilers and
exporters can follow. These are for code that runs below autograd.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gcp_mm.ops.made_once import finished, made_once


@made_once
def _elements(size: int, device: torch.device) -> Tensor:
    """Places in the flat matrix of the elements of the triangle, row by row."""
    rows, cols = torch.triu_indices(size, size, device=device)
    return finished(rows * size + cols)


@made_once
def _places(size: int, device: torch.device) -> Tensor:
    """Places in the triangle of the elements of the flat symmetric matrix."""
    rows, cols = torch.triu_indices(size, size, device=device)
    places = torch.zeros(size, size, dtype=torch.long, device=device)
    places[rows, cols] = torch.arange(len(rows), device=device)
    return finished(torch.maximum(places, places.T).flatten())


def _gather(source: Tensor, index: Tensor, out: Tensor | None = None) -> Tensor:
    # Half the time of index_select here: the elements of a sample are read one after the other.
    return torch.gather(source, 1, index.expand(len(source), -1), out=out)


def triangle_size(size: int) -> int:
    """Return how many elements the upper triangle of a matrix with so many rows has."""
    return size * (size + 1) // 2


def triangle(matrix: Tensor, out: Tensor | None = None) -> Tensor:
    """Read the upper triangles of matrices (B, C, C), as :func:`gcp_mm.ops.triu_vec` does.

    Args:
        matrix: The matrices.
        out: Where to write, of shape (B, C * (C + 1) / 2) and the dtype of ``matrix``.
    """
    return _gather(matrix.flatten(1), _elements(matrix.shape[-1], matrix.device), out)


def symmetric_from_triangle(vector: Tensor, size: int) -> Tensor:
    """Return (G + G^T) / 2 for the upper triangular matrices G with these elements.

    Args:
        vector: Upper triangles of shape (B, C * (C + 1) / 2).
        size: Channels C.

    Returns:
        Symmetric matrices of shape (B, C, C). With G the gradient of a loss by the triangle of a
        symmetric matrix, this is the gradient by the matrix.
    """
    matrix = _gather(vector, _places(size, vector.device)).view(-1, size, size).mul_(0.5)
    matrix.diagonal(dim1=-2, dim2=-1).mul_(2)
    return matrix
