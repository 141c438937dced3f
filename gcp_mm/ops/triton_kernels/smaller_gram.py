r"""The smaller of the two Gram matrices of normalised features.

.. math:: K = \hat X^\top \hat X \; (N < C) \quad\text{ or }\quad \hat X \hat X^\top
"""

from __future__ import annotations

from torch import Tensor

from gcp_mm.ops.triton_kernels.checks import check_matrices
from gcp_mm.ops.triton_kernels.fallback import with_fallback
from gcp_mm.ops.triton_kernels.launch import input_precision, launch, split_size
from gcp_mm.ops.triton_kernels.tiles import tile_for


def plain_smaller_gram(features: Tensor) -> Tensor:
    """Compute the same with PyTorch's product."""
    rows = features.mT if features.shape[-1] < features.shape[-2] else features
    return rows @ rows.mT


def _run_kernel(features: Tensor) -> Tensor:
    from gcp_mm.ops.triton_kernels.jit.smaller_gram import smaller_gram_kernel

    batch, channels, positions = features.shape
    size = min(channels, positions)
    out = features.new_empty(batch, size, size)
    precision = input_precision(features.dtype)
    tile = tile_for(size, features.dtype, precision)
    launch(
        smaller_gram_kernel,
        batch * tile.num_upper_blocks(size),
        (features.mT if positions < channels else features, out),
        (*split_size(size), *split_size(max(channels, positions))),
        tile,
        INPUT_PRECISION=precision,
    )
    return out


def smaller_gram(features: Tensor) -> Tensor:
    """Multiply features with themselves, over channels if N < C and over positions otherwise.

    Args:
        features: Matrices of shape (B, C, N), float16 or float32 for the kernel. Read without a
            copy if channels or positions are contiguous, as in NCHW and channels_last maps. For
            float16 they should be scaled so that the result is well above 6e-5, the smallest
            normal number: a trace of 256 is, a trace of 1 is not.

    Returns:
        Matrices of shape (B, M, M) with M = min(C, N), in the dtype of ``features``; sums are
        float32.

    Raises:
        ValueError: If ``features`` has other than three dimensions.
    """
    check_matrices("features", features)
    return with_fallback(_run_kernel, plain_smaller_gram, features)
