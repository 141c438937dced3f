r"""Index tables of triangles and a mix of positions, each made once for a size and a device.

Between symmetric matrices and their upper triangles go :func:`triangle` and
:func:`symmetric_from_triangle`. They are for code that runs below autograd;
:func:`gcp_mm.ops.triu_vec`, the public operator, makes its indices anew, which compilers and
exporters can follow.

:func:`mix_positions` is for arithmetic in half precision, which rounds an element by a fraction of
its size. Where the features lie at few positions a few elements of q(K) are large, and their
rounding is all that there is. The layer does not notice a mix of positions,

.. math:: \hat X\, q(\hat X^\top \hat X)\, \hat X^\top = (\hat X Q)\, q((\hat X Q)^\top \hat X Q)\,
    (\hat X Q)^\top, \qquad Q Q^\top = I

and Q spreads what lies at one position over sixteen, so that many independent errors average, as
the incoherence processing of quantised networks does (QuIP, arXiv 2307.13304). In each group of
sixteen Q is a discrete cosine transform, whose rows have the signs of a bent function (Rothaus, "On
'bent' functions", 1976), so that features which are equal at all sixteen are spread too. Were all
elements of one size, as in a Hadamard matrix, the rounding errors of one position would be of one
size and sign and not average.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, wraps

import torch
from torch import Tensor
from torch.nn.functional import pad

GROUP = 16
"""Positions that are mixed with each other; a power of four."""

Table = Callable[[int, torch.device], Tensor]


def cached_table(make: Table) -> Table:
    """Keep the tables of a function, except those that cannot be used again.

    A table of the meta device may belong to a mode that is about to end. One that is made while a
    CUDA graph is captured is only computed when the graph is replayed.
    """

    @cache
    def kept(size: int, device: torch.device) -> Tensor:
        table = make(size, device)
        if table.is_cuda:  # other streams will read it too
            torch.cuda.current_stream(table.device).synchronize()
        return table

    @wraps(make)
    def table(size: int, device: torch.device) -> Tensor:
        capturing = device.type == "cuda" and torch.cuda.is_current_stream_capturing()
        return (make if capturing or device.type == "meta" else kept)(size, device)

    return table


@cached_table
def _elements(size: int, device: torch.device) -> Tensor:
    """Places in the flat matrix of the elements of the triangle, row by row."""
    rows, cols = torch.triu_indices(size, size, device=device)
    return rows * size + cols


@cached_table
def _places(size: int, device: torch.device) -> Tensor:
    """Places in the triangle of the elements of the flat symmetric matrix."""
    rows, cols = torch.triu_indices(size, size, device=device)
    places = torch.zeros(size, size, dtype=torch.long, device=device)
    places[rows, cols] = torch.arange(len(rows), device=device)
    return torch.maximum(places, places.T).flatten()


def _gather(source: Tensor, index: Tensor) -> Tensor:
    # Half the time of index_select here: the elements of a sample are read one after the other.
    return torch.gather(source, 1, index.expand(len(source), -1))


def triangle(matrix: Tensor) -> Tensor:
    """Read the upper triangles (B, C (C + 1) / 2) of matrices (B, C, C), as ``triu_vec`` does."""
    return _gather(matrix.flatten(1), _elements(matrix.shape[-1], matrix.device))


def symmetric_from_triangle(vector: Tensor, size: int) -> Tensor:
    """Return (G + G^T) / 2, (B, C, C), for upper triangular G with elements (B, C (C + 1) / 2).

    With G the gradient of a loss by the triangle of a symmetric matrix, this is the gradient by the
    matrix. ``size`` is C.
    """
    matrix = _gather(vector, _places(size, vector.device)).view(-1, size, size).mul_(0.5)
    matrix.diagonal(dim1=-2, dim2=-1).mul_(2)
    return matrix


@cached_table
def mixing_matrix(size: int, device: torch.device) -> Tensor:
    """Return Q for one group of ``size`` positions, a power of four."""
    index = torch.arange(size, device=device, dtype=torch.float64)
    cosines = torch.cos(torch.pi / size * (index[:, None] + 0.5) * index)
    cosines[:, 0] /= 2**0.5
    signs = pattern = torch.ones(4, device=device, dtype=torch.float64)
    pattern[3] = -1
    while len(signs) < size:
        signs = torch.kron(signs, pattern)
    return ((2 / size) ** 0.5 * signs[:, None] * cosines).float()


def mix_positions(x: Tensor) -> Tensor:
    """Return X Q of shape (B, C, N'), where N' is N of X (B, C, N) up to a multiple of 16."""
    groups = pad(x, (0, -x.shape[-1] % GROUP)).unflatten(-1, (-1, GROUP))
    return (groups @ mixing_matrix(GROUP, x.device).to(x.dtype)).flatten(-2)


def unmix_positions(mixed: Tensor, positions: int) -> Tensor:
    """Return X of shape (B, C, N), or its gradient, from X Q of shape (B, C, N')."""
    groups = (
        mixed.unflatten(-1, (-1, GROUP)) @ mixing_matrix(GROUP, mixed.device).to(mixed.dtype).mT
    )
    return groups.flatten(-2)[..., :positions]
