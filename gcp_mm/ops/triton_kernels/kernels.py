"""The kernels themselves, and the blocks that they load and store: the only module with Triton.

Strides are in units of ``ALIGN`` elements; see ``gcp_mm.ops.triton_kernels.launch``. Triangles are
packed row by row as in ``gcp_mm.ops.triu_vec``.
"""

import triton
import triton.language as tl


@triton.jit
def upper_block(size, BLOCK: tl.constexpr):
    """Choose a matrix, and row and column of a block on or above its diagonal, for this program.

    In one matrix the order is by columns, (0, 0), (0, 1), (1, 1), (0, 2), ...
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


@triton.jit
def packed_offsets(rows, columns, size):
    """Offsets of the elements (row, column), row <= column, in the packed triangle."""
    return rows * (2 * size - rows - 1) // 2 + columns


@triton.jit
def load_symmetrised(packed, rows, columns, size):
    """Load a block of (G + G^T) / 2, where G is the upper triangular matrix that was packed."""
    offsets = packed_offsets(tl.minimum(rows, columns), tl.maximum(rows, columns), size)
    inside = (rows < size) & (columns < size)
    values = tl.load(packed + offsets, mask=inside, other=0.0).to(tl.float32)
    return tl.where(rows == columns, values, 0.5 * values)


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
