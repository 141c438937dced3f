"""Kernel of the product of a symmetric matrix, given as its packed triangle, with features."""

import triton
import triton.language as tl

from gcp_mm.ops.triton_kernels.jit.blocks import load_block, store_block
from gcp_mm.ops.triton_kernels.jit.packed import load_symmetrised


@triton.jit
def packed_symmetric_matmul_kernel(
    right,
    right_batch,
    right_outer,
    RIGHT_TRANSPOSED: tl.constexpr,
    out,
    out_batch,
    out_outer,
    OUT_TRANSPOSED: tl.constexpr,
    packed,
    scale,
    channel_units,
    CHANNEL_UNIT: tl.constexpr,
    position_units,
    POSITION_UNIT: tl.constexpr,
    ALIGN: tl.constexpr,
    USE_SCALE: tl.constexpr,
    INPUT_PRECISION: tl.constexpr,
    BLOCK: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    """Compute one block of ``scale * (G + G^T) / 2 @ right``."""
    num_channels = channel_units * CHANNEL_UNIT
    num_positions = position_units * POSITION_UNIT
    column_blocks = tl.cdiv(num_positions, BLOCK)
    blocks_per_matrix = tl.cdiv(num_channels, BLOCK) * column_blocks
    program = tl.program_id(0)
    batch = (program // blocks_per_matrix).to(tl.int64)
    block = program % blocks_per_matrix
    first_row = block // column_blocks * BLOCK
    rows = first_row + tl.arange(0, BLOCK)
    columns = block % column_blocks * BLOCK + tl.arange(0, BLOCK)
    right += batch * right_batch * ALIGN
    packed += batch * (num_channels * (num_channels + 1) // 2)
    factor = 1.0
    if USE_SCALE:
        factor = tl.load(scale + batch).to(tl.float32)
    dtype = right.dtype.element_ty
    product = tl.zeros((BLOCK, BLOCK), dtype=tl.float32)
    for start in range(0, num_channels, BLOCK_K):
        inner = start + tl.arange(0, BLOCK_K)
        # Neighbours in memory are neighbours in a row of the triangle. Left of the diagonal these
        # run down the columns of the block, so the block is read lying on its side.
        if start < first_row:
            lying = load_symmetrised(packed, inner[:, None], rows[None, :], num_channels)
            weights = tl.trans(lying)
        else:
            weights = load_symmetrised(packed, rows[:, None], inner[None, :], num_channels)
        features = load_block(
            right, inner, columns, num_channels, num_positions, right_outer, ALIGN, RIGHT_TRANSPOSED
        )
        product = tl.dot(
            (factor * weights).to(dtype), features, product, input_precision=INPUT_PRECISION
        )
    out += batch * out_batch * ALIGN
    store_block(
        out, product, rows, columns, num_channels, num_positions, out_outer, ALIGN, OUT_TRANSPOSED
    )
