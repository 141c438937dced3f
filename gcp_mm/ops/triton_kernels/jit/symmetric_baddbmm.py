"""Kernel of a product that is known to be symmetric."""

import triton
import triton.language as tl

from gcp_mm.ops.triton_kernels.jit.blocks import load_block, store_symmetric, upper_block


@triton.jit
def symmetric_baddbmm_kernel(
    c,
    c_batch,
    c_outer,
    C_TRANSPOSED: tl.constexpr,
    a,
    a_batch,
    a_outer,
    A_TRANSPOSED: tl.constexpr,
    b,
    b_batch,
    b_outer,
    B_TRANSPOSED: tl.constexpr,
    out,
    out_batch,
    out_outer,
    OUT_TRANSPOSED: tl.constexpr,
    beta,
    alpha,
    size_units,
    SIZE_UNIT: tl.constexpr,
    depth_units,
    DEPTH_UNIT: tl.constexpr,
    ALIGN: tl.constexpr,
    USE_C: tl.constexpr,
    INPUT_PRECISION: tl.constexpr,
    BLOCK: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    """Compute one block on or above the diagonal of ``beta * c + alpha * a @ b``, and mirror it."""
    size = size_units * SIZE_UNIT
    depth = depth_units * DEPTH_UNIT
    batch, row_block, column_block = upper_block(size, BLOCK)
    rows = row_block * BLOCK + tl.arange(0, BLOCK)
    columns = column_block * BLOCK + tl.arange(0, BLOCK)
    a += batch * a_batch * ALIGN
    b += batch * b_batch * ALIGN
    product = tl.zeros((BLOCK, BLOCK), dtype=tl.float32)
    for start in range(0, depth, BLOCK_K):
        inner = start + tl.arange(0, BLOCK_K)
        left = load_block(a, rows, inner, size, depth, a_outer, ALIGN, A_TRANSPOSED)
        right = load_block(b, inner, columns, depth, size, b_outer, ALIGN, B_TRANSPOSED)
        product = tl.dot(left, right, product, input_precision=INPUT_PRECISION)
    product *= alpha
    if USE_C:
        c += batch * c_batch * ALIGN
        product += beta * load_block(c, rows, columns, size, size, c_outer, ALIGN, C_TRANSPOSED)
    out += batch * out_batch * ALIGN
    store_symmetric(
        out, product, row_block, column_block, size, out_outer, ALIGN, OUT_TRANSPOSED, BLOCK
    )
