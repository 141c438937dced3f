r"""Product of a symmetric matrix with features, where the matrix is given by its upper triangle.

The gradient of the packed square root is the upper triangle of a matrix G; the backward needs

.. math:: H = \tilde G X, \qquad \tilde G = \tfrac12 (G + G^\top)

with diagonal elements whole and the others halved, on both sides of the diagonal.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gcp_mm.ops.triangle_index import triangle_size
from gcp_mm.ops.triton_kernels.checks import check_matrices, check_tensor
from gcp_mm.ops.triton_kernels.fallback import with_fallback
from gcp_mm.ops.triton_kernels.launch import input_precision, launch, split_size
from gcp_mm.ops.triton_kernels.tiles import tile_for


def plain_packed_symmetric_matmul(
    right: Tensor, packed_grad: Tensor, scale: Tensor | None = None
) -> Tensor:
    """Compute the same from the square matrix."""
    batch, channels, _ = right.shape
    if scale is not None:
        packed_grad = packed_grad * scale
    rows, columns = torch.triu_indices(channels, channels, device=right.device)
    half = right.new_zeros((batch, channels, channels))
    half[:, rows, columns] = (0.5 * packed_grad).to(right.dtype)
    return (half + half.mT) @ right


def _run_kernel(right: Tensor, packed_grad: Tensor, scale: Tensor | None) -> Tensor:
    from gcp_mm.ops.triton_kernels.jit.packed_symmetric_matmul import packed_symmetric_matmul_kernel

    batch, channels, positions = right.shape
    out = torch.empty((batch, channels, positions), dtype=right.dtype, device=right.device)
    packed_grad = packed_grad.contiguous()
    precision = input_precision(right.dtype)
    tile = tile_for(max(channels, positions), right.dtype, precision)
    launch(
        packed_symmetric_matmul_kernel,
        batch * tile.num_blocks(channels) * tile.num_blocks(positions),
        (right, out),
        (
            packed_grad,
            packed_grad if scale is None else scale.contiguous(),
            *split_size(channels),
            *split_size(positions),
        ),
        tile,
        USE_SCALE=scale is not None,
        INPUT_PRECISION=precision,
    )
    return out


def packed_symmetric_matmul(
    packed_grad: Tensor, right: Tensor, scale: Tensor | None = None
) -> Tensor:
    """Compute ``scale * (G + G^T) / 2 @ right``, where G is zero below its packed upper triangle.

    Args:
        packed_grad: Upper triangles of shape (B, C * (C + 1) / 2), any float dtype, in the order
            of :func:`gcp_mm.ops.triu_vec`.
        right: Features of shape (B, C, N); float16, bfloat16 or float32 for the kernel.
        scale: Factor of each sample, of shape (B, 1), applied in float32 before the gradient is
            rounded to the dtype of ``right``: brings a gradient under a loss scale into the range
            of float16. Defaults to 1.

    Returns:
        Matrices of shape (B, C, N) in the dtype of ``right``; sums are float32.

    Raises:
        ValueError: If shapes or devices do not fit.
    """
    batch, channels, _ = check_matrices("right", right)
    check_tensor("packed_grad", packed_grad, (batch, triangle_size(channels)), like=right)
    if scale is not None:
        check_tensor("scale", scale, (batch, 1), like=right)
    return with_fallback(_run_kernel, plain_packed_symmetric_matmul, right, packed_grad, scale)
