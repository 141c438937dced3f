"""Kernel of the product of a matrix and its transpose."""

import triton
import triton.language as tl

from gcp_mm.ops.triton_kernels.jit.blocks import load_block, store_symmetric, upper_block


@triton.jit
def smaller_gram_kernel(
    x,
    x_batch,
    x_outer,
    X_TRANSPOSED: tl.constexpr,
    out,
    out_batch,
    out_outer,
    OUT_TRANSPOSED: tl.constexpr,
    size_units,
    SIZE_UNIT: tl.constexpr,
    depth_units,
    DEPTH_UNIT: tl.constexpr,
    ALIGN: tl.constexpr,
    INPUT_PRECISION: tl.constexpr,
    BLOCK: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    """Compute one block on or above the diagonal of ``x @ x.mT``, and mirror it."""
    size = size_units * SIZE_UNIT
    depth = depth_units * DEPTH_UNIT
    batch, row_block, column_block = upper_block(size, BLOCK)
    rows = row_block * BLOCK + tl.arange(0, BLOCK)
    columns = column_block * BLOCK + tl.arange(0, BLOCK)
    x += batch * x_batch * ALIGN
    gram = tl.zeros((BLOCK, BLOCK), dtype=tl.float32)
    for start in range(0, depth, BLOCK_K):
        inner = start + tl.arange(0, BLOCK_K)
        left = load_block(x, rows, inner, size, depth, x_outer, ALIGN, X_TRANSPOSED)
        right = load_block(x, columns, inner, size, depth, x_outer, ALIGN, X_TRANSPOSED)
        gram = tl.dot(left, tl.trans(right), gram, input_precision=INPUT_PRECISION)
    out += batch * out_batch * ALIGN
    store_symmetric(
        out, gram, row_block, column_block, size, out_outer, ALIGN, OUT_TRANSPOSED, BLOCK
    )
