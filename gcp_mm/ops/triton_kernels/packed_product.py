"""Upper triangle of a symmetric product, without the square matrix."""

from __future__ import annotations

import torch
from torch import Tensor

from gcp_mm.ops.triangle_index import triangle_size
from gcp_mm.ops.triton_kernels.checks import check_matrices, check_same_dtype, check_tensor
from gcp_mm.ops.triton_kernels.fallback import with_fallback
from gcp_mm.ops.triton_kernels.launch import input_precision, launch, split_size
from gcp_mm.ops.triton_kernels.tiles import tile_for
from gcp_mm.ops.triu_vec import triu_vec


def plain_packed_product(
    left: Tensor, right: Tensor, scale: Tensor, dtype: torch.dtype | None = None
) -> Tensor:
    """Compute the whole matrix and read its upper triangle."""
    return (triu_vec(left @ right.mT) * scale).to(left.dtype if dtype is None else dtype)


def _run_kernel(left: Tensor, right: Tensor, scale: Tensor, dtype: torch.dtype | None) -> Tensor:
    from gcp_mm.ops.triton_kernels.jit.packed_product import packed_product_kernel

    batch, channels, positions = left.shape
    out = torch.empty(
        (batch, triangle_size(channels)),
        dtype=left.dtype if dtype is None else dtype,
        device=left.device,
    )
    precision = input_precision(left.dtype)
    tile = tile_for(channels, left.dtype, precision)
    launch(
        packed_product_kernel,
        batch * tile.num_upper_blocks(channels),
        (left, right),
        (scale.contiguous(), out, *split_size(channels), *split_size(positions)),
        tile,
        INPUT_PRECISION=precision,
    )
    return out


def packed_product(
    left: Tensor, right: Tensor, scale: Tensor, dtype: torch.dtype | None = None
) -> Tensor:
    """Compute the upper triangle of ``scale * left @ right^T``, packed row by row.

    Args:
        left: Features of shape (B, C, N); float16, bfloat16 or float32 for the kernel.
        right: Features of shape (B, C, N) in the dtype of ``left``.
        scale: Factor of each sample, of shape (B, 1); applied in float32 before rounding.
        dtype: Dtype of the result. Defaults to that of ``left``.

    Returns:
        Vectors of shape (B, C * (C + 1) / 2), in the order of :func:`gcp_mm.ops.triu_vec`.

    Raises:
        ValueError: If shapes, dtypes or devices do not fit.
    """
    shape = check_matrices("left", left)
    check_tensor("right", right, shape, like=left)
    check_same_dtype("left", left, "right", right)
    check_tensor("scale", scale, (shape[0], 1), like=left)
    return with_fallback(_run_kernel, plain_packed_product, left, right, scale, dtype)
