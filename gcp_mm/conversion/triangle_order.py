"""The order in which the upper triangle of a covariance is read."""

from __future__ import annotations

import torch
from torch import Tensor

# Upper triangle row by row (the contract of gcp_mm.ops.triu_vec), or column by column.
ORDERS = ("row", "column")


def column_positions(width: int) -> Tensor:
    """Say where each element of the row order is in the column order.

    Element (i, j), i <= j, of the upper triangle is number j (j + 1) / 2 + i when the triangle is
    read column by column, which is the lower triangle row by row.

    Args:
        width: Number of rows d of the matrix.

    Returns:
        int64 positions of shape (d (d + 1) / 2,), in row order.

    Example:
        >>> column_positions(3).tolist()
        [0, 1, 3, 2, 4, 5]
    """
    i, j = torch.triu_indices(width, width)
    return j * (j + 1) // 2 + i


def reorder_classifier(weight: Tensor, width: int, inverse: bool = False) -> Tensor:
    """Permute the columns of a classifier, so that it fits vectors in row order.

    See https://github.com/jiangtaoxie/fast-MPN-COV/issues/20: with the wrong order a trained
    classifier is at chance level.

    Args:
        weight: Weight (classes, d (d + 1) / 2) for vectors in column order.
        width: Number of rows d of the covariance.
        inverse: Go from row order to column order instead.

    Returns:
        The weight with the same values in other columns.
    """
    positions = column_positions(width)
    if inverse:
        positions = positions.argsort()
    return weight.detach().index_select(1, positions)
