"""Kernels in which one program computes all of a sample, or all that its rows need.

What one product of the recurrence writes the next one reads, so ``polynomial_kernel`` has to wait
for itself: for all of its threads, and for what they wrote. Why that is right:

* Matrices lie in ``scratch`` in global memory, in a part for each program that no other program
  touches. Nothing waits for another program, so it does not matter which of them run at a time.
* Between a store and a load of the same place, and between a load and a later store, stands
  ``tl.debug_barrier()``, in PTX ``bar.sync`` for all threads of the program: what a thread did to
  memory before it, global memory too, is done for every thread of the program behind it.
* Loads in the loop of a product become asynchronous copies into shared memory, ``cp.async``, which
  read the second-level cache. They are started behind the barrier before the loop, and each thread
  waits for all of its own before the loop ends, hence before the barrier behind it, because no such
  loop has a barrier or a store in it. Without ``bulk`` they belong to the same proxy as ordinary
  stores, so that no fence is needed; for the operands of ``wgmma`` in shared memory, which belong
  to another one, Triton sets the fences itself.
* It would not be right with ``ld.global.nc``, whose cache nobody keeps up to date, nor with the
  bulk copies of tensor descriptors. Triton emits neither for pointers; test_compiled_kernels.py
  looks whether that stays so. Loads cannot be moved over the barrier: to Triton's passes and to
  LLVM it is an operation with unknown effects.

The interpreter runs a program as one thread and ignores barriers. There the tests record which
elements every access touches, and look for two that no barrier keeps apart.
"""

import triton
import triton.language as tl

from gcp_mm.ops.triton_kernels.kernels import load_block, store_block

GROUP = tl.constexpr(16)  # positions that are mixed with each other, see gram/tables.py


@triton.jit
def row_length(batch):
    """Length of a row of ``statistics``: each row begins at a multiple of 16 bytes."""
    return (batch + 3) // 4 * 4


@triton.jit
def _load_rows(
    x, rows, columns, num_rows, num_columns, outer, ALIGN: tl.constexpr, TRANSPOSED: tl.constexpr
):
    """Load a block and subtract the first column of the matrix; zeros outside."""
    block = load_block(x, rows, columns, num_rows, num_columns, outer, ALIGN, TRANSPOSED)
    if TRANSPOSED:
        first = rows
    else:
        first = rows * outer * ALIGN
    shift = tl.load(x + first, mask=rows < num_rows, other=0.0).to(tl.float32)
    inside = (rows[:, None] < num_rows) & (columns[None, :] < num_columns)
    return tl.where(inside, block.to(tl.float32) - shift[:, None], 0.0)


@triton.jit
def _centred(shifted, scale, columns, num_columns):
    """Divide by the scale and subtract the mean of each row; zeros outside."""
    scaled = shifted / scale
    mean = tl.sum(scaled, axis=1) / num_columns
    return tl.where(columns[None, :] < num_columns, scaled - mean[:, None], 0.0)


@triton.jit
def _mixed(block, matrix, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """Multiply each group of columns by a matrix (GROUP, GROUP), in float32."""
    groups = tl.reshape(block, (ROWS * COLUMNS // GROUP, GROUP))
    return tl.reshape(tl.dot(groups, matrix, input_precision="ieee"), (ROWS, COLUMNS))


@triton.jit(do_not_specialize=["num_channels", "num_positions"])
def normalise_kernel(
    x,
    x_batch,
    x_outer,
    X_TRANSPOSED: tl.constexpr,
    ALIGN: tl.constexpr,
    mix,
    grad,
    features,
    statistics,
    num_channels,
    num_positions,
    POSITION_UNIT: tl.constexpr,
    group_count,
    lift,
    HAS_GRAD: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    CHUNK: tl.constexpr,
):
    """Write mean-free, mixed features of Frobenius norm ``lift``, and what they were divided by.

    ``statistics`` has a row for each of these: the largest magnitude after a shift, one over the
    norm after division by that, the factor of the vector, and a gradient's norm and one over it.
    """
    pitch = row_length(tl.num_programs(0))
    sample = tl.program_id(0).to(tl.int64)
    num_positions *= POSITION_UNIT
    padded = group_count * GROUP
    x += sample * x_batch * ALIGN
    features += sample * num_channels * padded
    columns = tl.arange(0, COLUMNS)
    peaks = tl.zeros((ROWS, COLUMNS), dtype=tl.float32)
    for start in range(0, num_channels, ROWS):
        rows = start + tl.arange(0, ROWS)
        shifted = _load_rows(
            x, rows, columns, num_channels, num_positions, x_outer, ALIGN, X_TRANSPOSED
        )
        peaks = tl.maximum(peaks, tl.abs(shifted))
    scale = tl.max(tl.max(peaks, axis=1), axis=0)
    scale = tl.where(scale > 0, scale, 1.0)
    squares = tl.zeros((ROWS,), dtype=tl.float32)
    for start in range(0, num_channels, ROWS):
        rows = start + tl.arange(0, ROWS)
        shifted = _load_rows(
            x, rows, columns, num_channels, num_positions, x_outer, ALIGN, X_TRANSPOSED
        )
        centred = _centred(shifted, scale, columns, num_positions)
        squares += tl.sum(centred * centred, axis=1)
    square = tl.sum(squares, axis=0)
    # Not `square > tiny`, which would turn NaN features into zeros and hide a divergence.
    degenerate = square <= num_positions * 1.1754943508222875e-38
    inverse = tl.where(degenerate, 0.0, 1.0 / tl.sqrt_rn(tl.where(degenerate, 1.0, square)))
    matrix = tl.load(mix + tl.arange(0, GROUP)[:, None] * GROUP + tl.arange(0, GROUP)[None, :])
    for start in range(0, num_channels, ROWS):
        rows = start + tl.arange(0, ROWS)
        shifted = _load_rows(
            x, rows, columns, num_channels, num_positions, x_outer, ALIGN, X_TRANSPOSED
        )
        centred = _centred(shifted, scale, columns, num_positions) * inverse
        mixed = lift * _mixed(centred, matrix, ROWS, COLUMNS)
        store_block(features, mixed, rows, columns, num_channels, padded, group_count, GROUP, False)
    statistics += sample
    tl.store(statistics, scale)
    tl.store(statistics + pitch, inverse)
    root = scale * (tl.sqrt_rn(square / num_positions) / (lift * lift))
    tl.store(statistics + 2 * pitch, root)
    if HAS_GRAD:
        norm = _norm_of_triangle(grad, sample, num_channels, CHUNK)
        tl.store(statistics + 3 * pitch, norm)
        tl.store(statistics + 4 * pitch, 1.0 / norm)


@triton.jit
def _norm_of_triangle(grad, sample, num_channels, CHUNK: tl.constexpr):
    """Compute the norm of a packed triangle, 1 where that is 0; NaN and infinities give NaN."""
    length = num_channels * (num_channels + 1) // 2
    grad += sample * length
    places = tl.arange(0, CHUNK)
    peaks = tl.zeros((CHUNK,), dtype=tl.float32)
    for start in range(0, length, CHUNK):
        inside = start + places < length
        values = tl.load(grad + start + places, mask=inside, other=0.0).to(tl.float32)
        peaks = tl.maximum(peaks, tl.abs(values))
    # Scaled first: the squares of a gradient may leave the range of float32.
    largest = tl.max(peaks, axis=0)
    largest = tl.where(largest == 0, 1.0, largest)
    squares = tl.zeros((CHUNK,), dtype=tl.float32)
    for start in range(0, length, CHUNK):
        inside = start + places < length
        values = tl.load(grad + start + places, mask=inside, other=0.0).to(tl.float32) / largest
        squares += values * values
    norm = largest * tl.sqrt_rn(tl.sum(squares, axis=0))
    return tl.where(norm == 0, 1.0, norm)


@triton.jit(do_not_specialize=["batch", "num_channels", "num_positions"])
def gradient_kernel(
    x,
    x_batch,
    x_outer,
    X_TRANSPOSED: tl.constexpr,
    out,
    out_batch,
    out_outer,
    OUT_TRANSPOSED: tl.constexpr,
    ALIGN: tl.constexpr,
    mix,
    mixed,
    statistics,
    batch,
    num_channels,
    num_positions,
    POSITION_UNIT: tl.constexpr,
    group_count,
    lift,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """Write some rows of the gradient of one sample's features.

    ``mixed`` is g of passes.py in mixed positions, and the last two rows of ``statistics`` are its
    products with the features.
    """
    blocks = tl.cdiv(num_channels, ROWS)
    sample = (tl.program_id(0) // blocks).to(tl.int64)
    rows = tl.program_id(0) % blocks * ROWS + tl.arange(0, ROWS)
    columns = tl.arange(0, COLUMNS)
    num_positions *= POSITION_UNIT
    padded = group_count * GROUP
    statistics += sample
    pitch = row_length(batch)
    scale = tl.load(statistics)
    inverse = tl.load(statistics + pitch)
    norm = tl.load(statistics + 3 * pitch)
    along = tl.load(statistics + 5 * pitch)
    radius = tl.load(statistics + 6 * pitch)
    x += sample * x_batch * ALIGN
    shifted = _load_rows(
        x, rows, columns, num_channels, num_positions, x_outer, ALIGN, X_TRANSPOSED
    )
    centred = _centred(shifted, scale, columns, num_positions) * inverse
    mixed += sample * num_channels * padded
    g = load_block(mixed, rows, columns, num_channels, padded, group_count, GROUP, False)
    # Q transposed undoes Q.
    matrix = tl.load(mix + tl.arange(0, GROUP)[:, None] + tl.arange(0, GROUP)[None, :] * GROUP)
    g = _mixed(g.to(tl.float32), matrix, ROWS, COLUMNS)
    factor = norm / (lift * tl.sqrt_rn(num_positions.to(tl.float32)))
    gradient = factor * (2.0 * g + (along - 2.0 * radius) * centred)
    out += sample * out_batch * ALIGN
    store_block(
        out, gradient, rows, columns, num_channels, num_positions, out_outer, ALIGN, OUT_TRANSPOSED
    )


@triton.jit
def _store_mirrored(matrix, block, row_block, column_block, group_count, BLOCK: tl.constexpr):
    """Store a block on or above the diagonal, and what mirrors it below the diagonal."""
    size = group_count * GROUP
    rows = row_block * BLOCK + tl.arange(0, BLOCK)
    columns = column_block * BLOCK + tl.arange(0, BLOCK)
    block = block.to(matrix.dtype.element_ty)
    store_block(matrix, block, rows, columns, size, size, group_count, GROUP, False)
    if row_block != column_block:
        store_block(matrix, tl.trans(block), columns, rows, size, size, group_count, GROUP, False)


@triton.jit
def _load_square(matrix, rows, columns, group_count):
    """Load a block of a matrix of the recurrence, with zeros outside."""
    size = group_count * GROUP
    return load_block(matrix, rows, columns, size, size, group_count, GROUP, False)


@triton.jit
def _store_product(
    matrices, product, place, factor, row_block, column_block, group_count, BLOCK: tl.constexpr
):
    """Add to a block of a product what its recipe says, and store the one or two sums."""
    elements = group_count * group_count * (GROUP * GROUP)
    rows = row_block * BLOCK + tl.arange(0, BLOCK)
    columns = column_block * BLOCK + tl.arange(0, BLOCK)
    gamma = tl.load(factor + 2)
    delta = tl.load(factor + 3)
    a = matrices + tl.load(place + 4) * elements
    total = tl.load(factor) * product
    total += tl.load(factor + 1) * _load_square(a, rows, columns, group_count).to(tl.float32)
    if gamma != 0:
        b = matrices + tl.load(place + 5) * elements
        total += gamma * _load_square(b, rows, columns, group_count).to(tl.float32)
    out = matrices + tl.load(place) * elements
    total = total.to(matrices.dtype.element_ty)
    _store_mirrored(out, total, row_block, column_block, group_count, BLOCK)
    if delta != 0:
        c = matrices + tl.load(place + 6) * elements
        c_block = _load_square(c, rows, columns, group_count)
        other = total.to(tl.float32) + delta * c_block.to(tl.float32)
        second = matrices + tl.load(place + 1) * elements
        _store_mirrored(second, other, row_block, column_block, group_count, BLOCK)


@triton.jit(do_not_specialize=["num_products", "slots", "result", "batch", "num_channels"])
def polynomial_kernel(
    features,
    pulled,
    out,
    statistics,
    scratch,
    places,
    factors,
    num_products,
    slots,
    result,
    result_factor,
    identity,
    lift,
    batch,
    num_channels,
    group_count,
    DUAL: tl.constexpr,
    BLOCK: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    """Compute X q(K), or with a derivative H q(K) + X D q(K)[W], for K = X^T X and W = X^T H.

    X and H are ``features`` and ``pulled``, (B, C, N) with N = 16 ``group_count``. ``places`` and
    ``factors`` list the products that q consists of, see gram/recipe.py. The programs share the
    samples, and each takes its own one after the other.
    """
    size = group_count * GROUP
    elements = group_count * group_count * (GROUP * GROUP)
    scratch += tl.program_id(0).to(tl.int64) * elements * (slots * (2 if DUAL else 1))
    tangents = scratch + elements * slots
    num_blocks = tl.cdiv(size, BLOCK)
    for sample in tl.range(tl.program_id(0), batch, tl.num_programs(0), disable_licm=True):
        first = num_channels.to(tl.int64) * size * sample
        x = features + first
        h = pulled + first
        for column_block in tl.range(num_blocks, disable_licm=True):
            for row_block in tl.range(column_block + 1, disable_licm=True):
                rows = row_block * BLOCK + tl.arange(0, BLOCK)
                columns = column_block * BLOCK + tl.arange(0, BLOCK)
                value = tl.zeros((BLOCK, BLOCK), dtype=tl.float32)
                tangent = tl.zeros((BLOCK, BLOCK), dtype=tl.float32)
                for start in range(0, num_channels, BLOCK_K):
                    inner = start + tl.arange(0, BLOCK_K)
                    a = load_block(x, rows, inner, size, num_channels, group_count, GROUP, True)
                    b = load_block(x, inner, columns, num_channels, size, group_count, GROUP, False)
                    value = tl.dot(a, b, value)
                    if DUAL:
                        c = load_block(
                            h, inner, columns, num_channels, size, group_count, GROUP, False
                        )
                        tangent = tl.dot(a, c, tangent)
                _store_mirrored(scratch, value, row_block, column_block, group_count, BLOCK)
                if DUAL:
                    _store_mirrored(tangents, tangent, row_block, column_block, group_count, BLOCK)
        tl.debug_barrier()  # K and W are there

        for product in tl.range(num_products, disable_licm=True):
            place = places + product * 7
            factor = factors + product * 4
            left = tl.load(place + 2) * elements
            right = tl.load(place + 3) * elements
            for column_block in tl.range(num_blocks, disable_licm=True):
                for row_block in tl.range(column_block + 1, disable_licm=True):
                    rows = row_block * BLOCK + tl.arange(0, BLOCK)
                    columns = column_block * BLOCK + tl.arange(0, BLOCK)
                    value = tl.zeros((BLOCK, BLOCK), dtype=tl.float32)
                    tangent = tl.zeros((BLOCK, BLOCK), dtype=tl.float32)
                    for start in range(0, size, BLOCK_K):
                        inner = start + tl.arange(0, BLOCK_K)
                        a = _load_square(scratch + left, rows, inner, group_count)
                        b = _load_square(scratch + right, inner, columns, group_count)
                        value = tl.dot(a, b, value)
                        if DUAL:
                            da = _load_square(tangents + left, rows, inner, group_count)
                            tangent = tl.dot(da, b, tangent)
                            db = _load_square(tangents + right, inner, columns, group_count)
                            tangent = tl.dot(a, db, tangent)
                    _store_product(
                        scratch, value, place, factor, row_block, column_block, group_count, BLOCK
                    )
                    if DUAL:
                        _store_product(
                            tangents,
                            tangent,
                            place,
                            factor,
                            row_block,
                            column_block,
                            group_count,
                            BLOCK,
                        )
            tl.debug_barrier()  # the product is there, and its factors may be written over

        q = scratch + result * elements
        dq = tangents + result * elements
        along = tl.zeros((BLOCK,), dtype=tl.float32)
        radius = tl.zeros((BLOCK,), dtype=tl.float32)
        for first_row in tl.range(0, num_channels, BLOCK, disable_licm=True):
            rows = first_row + tl.arange(0, BLOCK)
            for first_column in tl.range(0, size, BLOCK, disable_licm=True):
                columns = first_column + tl.arange(0, BLOCK)
                value = tl.zeros((BLOCK, BLOCK), dtype=tl.float32)
                for start in range(0, size, BLOCK_K):
                    inner = start + tl.arange(0, BLOCK_K)
                    a = load_block(h, rows, inner, num_channels, size, group_count, GROUP, False)
                    b = _load_square(q, inner, columns, group_count)
                    value = tl.dot(a, b, value)
                whole = load_block(h, rows, columns, num_channels, size, group_count, GROUP, False)
                value += identity * whole.to(tl.float32)
                if DUAL:
                    own = load_block(
                        x, rows, columns, num_channels, size, group_count, GROUP, False
                    )
                    along += tl.sum(value * own.to(tl.float32), axis=1)
                    for start in range(0, size, BLOCK_K):
                        inner = start + tl.arange(0, BLOCK_K)
                        a = load_block(
                            x, rows, inner, num_channels, size, group_count, GROUP, False
                        )
                        b = _load_square(dq, inner, columns, group_count)
                        value = tl.dot(a, b, value)
                    own = load_block(
                        x, rows, columns, num_channels, size, group_count, GROUP, False
                    )
                    radius += tl.sum(value * own.to(tl.float32), axis=1)
                store_block(
                    out + first,
                    result_factor * value,
                    rows,
                    columns,
                    num_channels,
                    size,
                    group_count,
                    GROUP,
                    False,
                )
        if DUAL:
            factor = result_factor / lift
            pitch = row_length(batch)
            tl.store(statistics + 5 * pitch + sample, factor * tl.sum(along, axis=0))
            tl.store(statistics + 6 * pitch + sample, factor * tl.sum(radius, axis=0))
        tl.debug_barrier()  # the next sample may write over all of it
