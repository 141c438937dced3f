"""Kernel of a symmetric product that is written as its packed upper triangle."""

import triton
import triton.language as tl

from gcp_mm.ops.triton_kernels.jit.blocks import load_block, upper_block
from gcp_mm.ops.triton_kernels.jit.packed import packed_offsets


@triton.jit
def packed_product_kernel(
    left,
    left_batch,
    left_outer,
    LEFT_TRANSPOSED: tl.constexpr,
    right,
    right_batch,
    right_outer,
    RIGHT_TRANSPOSED: tl.constexpr,
    scale,
    out,
    channel_units,
    CHANNEL_UNIT: tl.constexpr,
    position_units,
    POSITION_UNIT: tl.constexpr,
    ALIGN: tl.constexpr,
    INPUT_PRECISION: tl.constexpr,
    BLOCK: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    """Compute one block on or above the diagonal of ``scale * left @ right^T``."""
    num_channels = channel_units * CHANNEL_UNIT
    num_positions = position_units * POSITION_UNIT
    batch, row_block, column_block = upper_block(num_channels, BLOCK)
    rows = row_block * BLOCK + tl.arange(0, BLOCK)
    columns = column_block * BLOCK + tl.arange(0, BLOCK)
    left += batch * left_batch * ALIGN
    right += batch * right_batch * ALIGN
    product = tl.zeros((BLOCK, BLOCK), dtype=tl.float32)
    for start in range(0, num_positions, BLOCK_K):
        inner = start + tl.arange(0, BLOCK_K)
        a = load_block(
            left, rows, inner, num_channels, num_positions, left_outer, ALIGN, LEFT_TRANSPOSED
        )
        b = load_block(
            right, columns, inner, num_channels, num_positions, right_outer, ALIGN, RIGHT_TRANSPOSED
        )
        product = tl.dot(a, tl.trans(b), product, input_precision=INPUT_PRECISION)
    product *= tl.load(scale + batch).to(tl.float32)
    out += batch * (num_channels * (num_channels + 1) // 2)
    upper = (rows[:, None] <= columns[None, :]) & (columns[None, :] < num_channels)
    offsets = packed_offsets(rows[:, None], columns[None, :], num_channels)
    tl.store(out + offsets, product.to(out.dtype.element_ty), mask=upper)
