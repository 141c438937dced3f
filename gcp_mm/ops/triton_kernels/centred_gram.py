r"""Gram matrix of the normalised features, without storing the normalised features.

.. math:: \hat X = s\,(X - \bar X), \qquad K = \hat X^\top \hat X \;\text{ or }\; \hat X \hat X^\top
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from gcp_mm.ops.triton_kernels.checks import check_matrices, check_tensor
from gcp_mm.ops.triton_kernels.fallback import with_fallback
from gcp_mm.ops.triton_kernels.launch import input_precision, launch, split_size
from gcp_mm.ops.triton_kernels.tiles import tile_for


def _padded(size: int, multiple: int) -> int:
    return -(-size // multiple) * multiple


def plain_centred_gram(
    x: Tensor, mean: Tensor, scale: Tensor, dtype: torch.dtype = torch.float32, multiple: int = 1
) -> Tensor:
    """Compute the same from a normalised copy of the features."""
    normalised = ((x - mean) * scale).to(dtype)
    if x.shape[-1] < x.shape[-2]:
        normalised = normalised.mT
    gram = normalised @ normalised.mT
    margin = _padded(gram.shape[-1], multiple) - gram.shape[-1]
    return pad(gram, (0, margin, 0, margin)) if margin else gram


def _run_kernel(
    x: Tensor, mean: Tensor, scale: Tensor, dtype: torch.dtype, multiple: int
) -> Tensor:
    from gcp_mm.ops.triton_kernels.jit.centred_gram import centred_gram_kernel

    batch, channels, positions = x.shape
    size = _padded(min(channels, positions), multiple)
    out = torch.empty((batch, size, size), dtype=dtype, device=x.device)
    precision = input_precision(dtype)
    tile = tile_for(size, dtype, precision)
    launch(
        centred_gram_kernel,
        batch * tile.num_upper_blocks(size),
        (x, out),
        (
            mean.contiguous(),
            scale.contiguous(),
            *split_size(channels),
            *split_size(positions),
            *split_size(size),
        ),
        tile,
        OVER_CHANNELS=positions < channels,
        INPUT_PRECISION=precision,
    )
    return out


def centred_gram(
    x: Tensor, mean: Tensor, scale: Tensor, dtype: torch.dtype = torch.float32, multiple: int = 1
) -> Tensor:
    """Compute the smaller Gram matrix of ``(x - mean) * scale``, centred and scaled on load.

    Args:
        x: Features of shape (B, C, N), float16, bfloat16 or float32 for the kernel. Read without
            a copy if channels or positions are contiguous, as in NCHW and channels_last maps.
        mean: Mean of each channel, of shape (B, C, 1); float32 also where ``x`` is in half
            precision.
        scale: Factor of each sample, of shape (B, 1, 1), in the dtype of ``mean``.
        dtype: Dtype of the factors and of the result, float16 or float32 for the kernel; sums are
            float32. For float16 the scale should bring the result well above 6e-5, the smallest
            normal number: a trace of 256 does, a trace of 1 does not.
        multiple: The result is padded with rows and columns of zeros to a multiple of this size.
            With 16, every row of the result is aligned, which makes all products after it faster.

    Returns:
        Matrices of shape (B, M, M), where M is ``multiple`` rounded up from N if N < C
        (sums over channels) and from C otherwise (sums over positions).

    Raises:
        ValueError: If shapes or devices do not fit.
    """
    batch, channels, _ = check_matrices("x", x)
    check_tensor("mean", mean, (batch, channels, 1), like=x)
    check_tensor("scale", scale, (batch, 1, 1), like=x)
    return with_fallback(_run_kernel, plain_centred_gram, x, mean, scale, dtype, multiple)
