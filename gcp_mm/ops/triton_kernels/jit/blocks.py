"""Blocks of matrices: which one a program computes, loading and storing.

Strides are in units of ``ALIGN`` elements; see ``gcp_mm.ops.triton_kernels.launch``.
"""

import triton
import triton.language as tl


@triton.jit
def upper_block(size, BLOCK: tl.constexpr):
    """Choose the block that this program computes among those on and above the diagonals.

    In one matrix the order is by columns, (0, 0), (0, 1), (1, 1), (0, 2), ...

    Args:
        size: Rows of each matrix.
        BLOCK: Rows of a block.

    Returns:
        Number of the matrix, row and column of the block in it.
    """
    num_blocks = tl.cdiv(size, BLOCK)
    blocks_per_matrix = num_blocks * (num_blocks + 1) // 2
    index = tl.program_id(0) % blocks_per_matrix
    column = ((tl.sqrt_rn((8 * index + 1).to(tl.float32)) - 1) / 2).to(tl.int32)
    # Offsets into a large batch do not fit into 32 bits.
    batch = (tl.program_id(0) // blocks_per_matrix).to(tl.int64)
    return batch, index - column * (column + 1) // 2, column


@triton.jit
def element_offsets(rows, columns, outer_stride, ALIGN: tl.constexpr, TRANSPOSED: tl.constexpr):
    """Offsets of a block from the start of its matrix."""
    if TRANSPOSED:
        return columns[None, :] * outer_stride * ALIGN + rows[:, None]
    else:
        return rows[:, None] * outer_stride * ALIGN + columns[None, :]


@triton.jit
def load_block(
    matrix,
    rows,
    columns,
    num_rows,
    num_columns,
    outer_stride,
    ALIGN: tl.constexpr,
    TRANSPOSED: tl.constexpr,
):
    """Load a block, with zeros outside the matrix."""
    inside = (rows[:, None] < num_rows) & (columns[None, :] < num_columns)
    offsets = element_offsets(rows, columns, outer_stride, ALIGN, TRANSPOSED)
    return tl.load(matrix + offsets, mask=inside, other=0.0)


@triton.jit
def store_block(
    matrix,
    block,
    rows,
    columns,
    num_rows,
    num_columns,
    outer_stride,
    ALIGN: tl.constexpr,
    TRANSPOSED: tl.constexpr,
):
    """Store the part of a block that is inside the matrix, in the dtype of the matrix."""
    inside = (rows[:, None] < num_rows) & (columns[None, :] < num_columns)
    offsets = element_offsets(rows, columns, outer_stride, ALIGN, TRANSPOSED)
    tl.store(matrix + offsets, block.to(matrix.dtype.element_ty), mask=inside)


@triton.jit
def store_symmetric(
    matrix,
    block,
    row_block,
    column_block,
    size,
    outer_stride,
    ALIGN: tl.constexpr,
    TRANSPOSED: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Store a block on or above the diagonal and its mirror image.

    On the diagonal the upper half is mirrored inside the block: the two halves differ in rounding,
    and the matrix that is stored is symmetric to the last bit.
    """
    rows = row_block * BLOCK + tl.arange(0, BLOCK)
    columns = column_block * BLOCK + tl.arange(0, BLOCK)
    mirrored = tl.trans(block)
    if row_block == column_block:
        block = tl.where(rows[:, None] <= columns[None, :], block, mirrored)
    else:
        store_block(matrix, mirrored, columns, rows, size, size, outer_stride, ALIGN, TRANSPOSED)
    store_block(matrix, block, rows, columns, size, size, outer_stride, ALIGN, TRANSPOSED)
