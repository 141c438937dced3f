"""Upper triangle of a symmetric matrix as a vector."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function_unary


def triangle_size(size: int) -> int:
    """Return C (C + 1) / 2, the elements of the upper triangle of a matrix C x C."""
    return size * (size + 1) // 2


def triu_vec(mat: Tensor) -> Tensor:
    """Read the upper triangle row by row, diagonal included, without a factor sqrt(2).

    The order is a contract: the classifiers of the published weights depend on it. For C = 3 the
    elements are (0,0), (0,1), (0,2), (1,1), (1,2), (2,2).

    Args:
        mat: Matrices of shape (..., C, C).

    Returns:
        Vectors of shape (..., C * (C + 1) / 2) in the dtype of ``mat``. The gradient goes to the
        upper elements only; nothing is halved.

    Raises:
        ValueError: If the matrices are not square.

    Example:
        >>> import torch
        >>> triu_vec(torch.arange(9).view(3, 3))
        tensor([0, 1, 2, 4, 5, 8])
    """
    if has_torch_function_unary(mat):
        return handle_torch_function(triu_vec, (mat,), mat)
    if mat.dim() < 2 or mat.shape[-1] != mat.shape[-2]:
        raise ValueError(f"triu_vec expects matrices of shape (..., C, C), got {tuple(mat.shape)}")
    size = mat.shape[-1]
    rows, cols = torch.triu_indices(size, size, device=mat.device)
    return mat.flatten(-2).index_select(-1, rows * size + cols)
