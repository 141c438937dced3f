"""Batched product plus matrix, where the result is symmetric and half of it need not be computed.

Idea: symmetric products in the Newton-Schulz steps of Muon (modded-nanogpt, dion, flash-muon); here
for batches of small matrices, with the axpy in the epilogue.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gcp_mm.ops.triton_kernels.checks import check_matrices, check_same_dtype, check_tensor
from gcp_mm.ops.triton_kernels.fallback import with_fallback
from gcp_mm.ops.triton_kernels.launch import (
    has_contiguous_lines,
    input_precision,
    launch,
    split_size,
)
from gcp_mm.ops.triton_kernels.tiles import tile_for


def plain_symmetric_baddbmm(
    c: Tensor, a: Tensor, b: Tensor, beta: float, alpha: float, out: Tensor | None = None
) -> Tensor:
    """Compute the whole product with ``torch.baddbmm``."""
    return torch.baddbmm(c, a, b, beta=beta, alpha=alpha, out=out)


def _run_kernel(
    c: Tensor, a: Tensor, b: Tensor, beta: float, alpha: float, out: Tensor | None
) -> Tensor:
    from gcp_mm.ops.triton_kernels.jit.symmetric_baddbmm import symmetric_baddbmm_kernel

    batch, size, _ = c.shape
    if out is None:
        out = torch.empty((batch, size, size), dtype=c.dtype, device=c.device)
    precision = input_precision(a.dtype)
    tile = tile_for(size, a.dtype, precision)
    launch(
        symmetric_baddbmm_kernel,
        batch * tile.num_upper_blocks(size),
        (c, a, b, out),
        (float(beta), float(alpha), *split_size(size), *split_size(a.shape[-1])),
        tile,
        USE_C=beta != 0,
        INPUT_PRECISION=precision,
    )
    return out


def symmetric_baddbmm(
    c: Tensor, a: Tensor, b: Tensor, beta: float, alpha: float, out: Tensor | None = None
) -> Tensor:
    """Compute ``beta * c + alpha * a @ b`` where c and a @ b are symmetric.

    Only the blocks on and above the diagonal are computed, and mirrored: 10 of 16 for a matrix of
    256 x 256. With matrices that are not symmetric the lower half of the result is wrong. c and
    a @ b are symmetric if all three are polynomials of one symmetric matrix, and also for
    a = T, b = D T with T and D symmetric, and for a = X, b = X.mT.

    Args:
        c: Matrices of shape (B, M, M); float16, bfloat16 or float32 for the kernel. All tensors
            have one dtype, and any strides.
        a: Matrices of shape (B, M, K).
        b: Matrices of shape (B, K, M).
        beta: Factor of ``c``; with 0, ``c`` is not read.
        alpha: Factor of the product.
        out: Where to write; may be ``c``, but must not share memory with ``a`` or ``b``.
            Its rows or its columns must be contiguous. Defaults to a new contiguous tensor.

    Returns:
        Matrices of shape (B, M, M), symmetric to the last bit where the kernel ran. Products are
        summed in float32; float32 factors are multiplied in full precision unless
        ``torch.backends.cuda.matmul.allow_tf32`` is set.

    Raises:
        ValueError: If shapes, dtypes or devices do not fit, or ``out`` cannot be written.
    """
    batch, size, _ = check_matrices("c", c)
    depth = check_matrices("a", a)[2]
    square = (batch, size, size)
    for name, tensor, shape in (
        ("c", c, square),
        ("a", a, (batch, size, depth)),
        ("b", b, (batch, depth, size)),
        ("out", c if out is None else out, square),
    ):
        check_tensor(name, tensor, shape, like=c)
        check_same_dtype("c", c, name, tensor)
    if out is not None:
        if out.numel() and out.data_ptr() in (a.data_ptr(), b.data_ptr()):
            raise ValueError("out must not share memory with a or b, which other blocks still read")
        if not has_contiguous_lines(out):
            raise ValueError(f"out needs contiguous rows or columns, got strides {out.stride()}")
    return with_fallback(_run_kernel, plain_symmetric_baddbmm, c, a, b, beta, alpha, out)
