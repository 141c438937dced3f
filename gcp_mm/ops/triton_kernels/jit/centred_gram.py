"""Kernel of the Gram matrix of features that are centred and scaled as they are loaded."""

import triton
import triton.language as tl

from gcp_mm.ops.triton_kernels.jit.blocks import load_block, store_symmetric, upper_block


@triton.jit
def load_factor(
    x,
    mean,
    scale,
    outputs,
    inner,
    num_channels,
    num_positions,
    outer_stride,
    ALIGN: tl.constexpr,
    TRANSPOSED: tl.constexpr,
    OVER_CHANNELS: tl.constexpr,
):
    """Load a block of ``(x - mean) * scale`` in float32, with one row for each output.

    Args:
        x: Features of one sample.
        mean: Mean of each channel.
        scale: Factor of the sample.
        outputs: Positions if ``OVER_CHANNELS``, else channels.
        inner: Channels if ``OVER_CHANNELS``, else positions.
        num_channels: C.
        num_positions: N.
        outer_stride: Stride of ``x`` in units of ``ALIGN``.
        ALIGN: Unit of the stride.
        TRANSPOSED: Whether the channels of ``x`` are contiguous.
        OVER_CHANNELS: Whether the product sums over channels.
    """
    if OVER_CHANNELS:
        channels = inner
        positions = outputs
    else:
        channels = outputs
        positions = inner
    raw = load_block(
        x, channels, positions, num_channels, num_positions, outer_stride, ALIGN, TRANSPOSED
    )
    means = tl.load(mean + channels, mask=channels < num_channels, other=0.0)
    centred = (raw.to(tl.float32) - means[:, None].to(tl.float32)) * scale
    # Outside, the zero that was loaded has become -mean * scale.
    centred = tl.where(positions[None, :] < num_positions, centred, 0.0)
    if OVER_CHANNELS:
        centred = tl.trans(centred)
    return centred


@triton.jit
def centred_gram_kernel(
    x,
    x_batch,
    x_outer,
    X_TRANSPOSED: tl.constexpr,
    out,
    out_batch,
    out_outer,
    OUT_TRANSPOSED: tl.constexpr,
    mean,
    scale,
    channel_units,
    CHANNEL_UNIT: tl.constexpr,
    position_units,
    POSITION_UNIT: tl.constexpr,
    size_units,
    SIZE_UNIT: tl.constexpr,
    ALIGN: tl.constexpr,
    OVER_CHANNELS: tl.constexpr,
    INPUT_PRECISION: tl.constexpr,
    BLOCK: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    """Compute one block on or above the diagonal, summing over channels or over positions."""
    num_channels = channel_units * CHANNEL_UNIT
    num_positions = position_units * POSITION_UNIT
    size = size_units * SIZE_UNIT
    batch, row_block, column_block = upper_block(size, BLOCK)
    rows = row_block * BLOCK + tl.arange(0, BLOCK)
    columns = column_block * BLOCK + tl.arange(0, BLOCK)
    x += batch * x_batch * ALIGN
    mean += batch * num_channels
    factor = tl.load(scale + batch).to(tl.float32)
    dtype = out.dtype.element_ty
    gram = tl.zeros((BLOCK, BLOCK), dtype=tl.float32)
    if OVER_CHANNELS:
        depth = num_channels
    else:
        depth = num_positions
    for start in range(0, depth, BLOCK_K):
        inner = start + tl.arange(0, BLOCK_K)
        left = load_factor(
            x, mean, factor, rows, inner, num_channels, num_positions, x_outer,
            ALIGN, X_TRANSPOSED, OVER_CHANNELS,
        )  # fmt: skip
        right = load_factor(
            x, mean, factor, columns, inner, num_channels, num_positions, x_outer,
            ALIGN, X_TRANSPOSED, OVER_CHANNELS,
        )  # fmt: skip
        gram = tl.dot(
            left.to(dtype), tl.trans(right.to(dtype)), gram, input_precision=INPUT_PRECISION
        )
    out += batch * out_batch * ALIGN
    store_symmetric(
        out, gram, row_block, column_block, size, out_outer, ALIGN, OUT_TRANSPOSED, BLOCK
    )
