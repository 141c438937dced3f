"""Upper triangles of matrices, packed row by row as in ``gcp_mm.ops.triu_vec``."""

import triton
import triton.language as tl


@triton.jit
def packed_offsets(rows, columns, size):
    """Offsets of the elements (row, column), row <= column, in the packed triangle."""
    return rows * (2 * size - rows - 1) // 2 + columns


@triton.jit
def load_symmetrised(packed, rows, columns, size):
    """Load a block of (G + G^T) / 2, where G is the upper triangular matrix that was packed.

    Args:
        packed: Start of the packed triangle.
        rows: Row numbers, of any shape.
        columns: Column numbers, of a shape that broadcasts with ``rows``.
        size: Rows of the matrix.
    """
    offsets = packed_offsets(tl.minimum(rows, columns), tl.maximum(rows, columns), size)
    inside = (rows < size) & (columns < size)
    values = tl.load(packed + offsets, mask=inside, other=0.0).to(tl.float32)
    return tl.where(rows == columns, values, 0.5 * values)
