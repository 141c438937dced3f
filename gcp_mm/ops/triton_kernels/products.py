r"""The three products of the layer, each by its kernel or by its plain twin.

:func:`packed_product` is the upper triangle of a symmetric product, without the square matrix.

:func:`packed_symmetric_matmul` multiplies features by a symmetric matrix that is given by its upper
triangle. The gradient of the packed square root is the upper triangle of a matrix G; the backward
needs

.. math:: H = \tilde G X, \qquad \tilde G = \tfrac12 (G + G^\top)

with diagonal elements whole and the others halved, on both sides of the diagonal.

:func:`symmetric_baddbmm` is a batched product plus matrix where the result is symmetric and half of
it need not be computed. Idea: symmetric products in the Newton-Schulz steps of Muon
(modded-nanogpt, dion, flash-muon); here for batches of small matrices, with the axpy in the
epilogue.

Kernels take float16, bfloat16 and float32 and add up in float32. Shapes, dtypes and devices that do
not fit are a ValueError, on every device.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gcp_mm.ops.gram.tables import symmetric_from_triangle
from gcp_mm.ops.triton_kernels.fallback import with_fallback
from gcp_mm.ops.triton_kernels.launch import (
    check_matrices,
    check_same_dtype,
    check_tensor,
    has_contiguous_lines,
    launch,
    split_size,
)
from gcp_mm.ops.triu_vec import triangle_size, triu_vec


def plain_packed_product(left: Tensor, right: Tensor, scale: Tensor, dtype: torch.dtype) -> Tensor:
    """Compute the whole matrix and read its upper triangle."""
    return (triu_vec(left @ right.mT) * scale).to(dtype)


def _run_packed_product(left: Tensor, right: Tensor, scale: Tensor, dtype: torch.dtype) -> Tensor:
    batch, channels, positions = left.shape
    out = torch.empty((batch, triangle_size(channels)), dtype=dtype, device=left.device)
    launch(
        "packed_product_kernel",
        (left, right),
        (scale.contiguous(), out, *split_size(channels), *split_size(positions)),
        channels,
        lambda tile: tile.num_upper_blocks(channels),
    )
    return out


def packed_product(
    left: Tensor, right: Tensor, scale: Tensor, dtype: torch.dtype | None = None
) -> Tensor:
    """Compute the upper triangle (B, C (C + 1) / 2) of ``scale * left @ right^T``, row by row.

    The factors (B, C, N) have one dtype, which is also that of the result if ``dtype`` is None. The
    kernel applies the scale (B, 1) in float32, before it rounds.
    """
    shape = check_matrices("left", left)
    check_tensor("right", right, shape, like=left)
    check_same_dtype("left", left, "right", right)
    check_tensor("scale", scale, (shape[0], 1), like=left)
    dtype = left.dtype if dtype is None else dtype
    return with_fallback(_run_packed_product, plain_packed_product, left, right, scale, dtype)


def plain_packed_symmetric_matmul(right: Tensor, packed_grad: Tensor, scale: Tensor) -> Tensor:
    """Compute the same from the square matrix."""
    scaled = (packed_grad * scale).to(right.dtype)
    return symmetric_from_triangle(scaled, right.shape[1]) @ right


def _run_packed_symmetric_matmul(right: Tensor, packed_grad: Tensor, scale: Tensor) -> Tensor:
    _, channels, positions = right.shape
    out = torch.empty(right.shape, dtype=right.dtype, device=right.device)
    launch(
        "packed_symmetric_matmul_kernel",
        (right, out),
        (
            packed_grad.contiguous(),
            scale.contiguous(),
            *split_size(channels),
            *split_size(positions),
        ),
        max(channels, positions),
        lambda tile: tile.num_blocks(channels) * tile.num_blocks(positions),
    )
    return out


def packed_symmetric_matmul(packed_grad: Tensor, right: Tensor, scale: Tensor) -> Tensor:
    """Compute ``scale * (G + G^T) / 2 @ right``, where G is zero below its packed upper triangle.

    The triangles (B, C (C + 1) / 2) have any float dtype. The scale (B, 1) is applied before they
    are rounded to the dtype of ``right`` (B, C, N), which is that of the result: it brings a
    gradient under a loss scale into the range of float16.
    """
    batch, channels, _ = check_matrices("right", right)
    check_tensor("packed_grad", packed_grad, (batch, triangle_size(channels)), like=right)
    check_tensor("scale", scale, (batch, 1), like=right)
    return with_fallback(
        _run_packed_symmetric_matmul, plain_packed_symmetric_matmul, right, packed_grad, scale
    )


def plain_symmetric_baddbmm(
    c: Tensor, a: Tensor, b: Tensor, beta: float, alpha: float, out: Tensor | None
) -> Tensor:
    """Compute the whole product with ``torch.baddbmm``."""
    return torch.baddbmm(c, a, b, beta=beta, alpha=alpha, out=out)


def _run_symmetric_baddbmm(
    c: Tensor, a: Tensor, b: Tensor, beta: float, alpha: float, out: Tensor | None
) -> Tensor:
    size = c.shape[-1]
    if out is None:
        out = torch.empty(c.shape, dtype=c.dtype, device=c.device)
    launch(
        "symmetric_baddbmm_kernel",
        (c, a, b, out),
        (float(beta), float(alpha), *split_size(size), *split_size(a.shape[-1])),
        size,
        lambda tile: tile.num_upper_blocks(size),
        USE_C=beta != 0,
    )
    return out


def symmetric_baddbmm(
    c: Tensor, a: Tensor, b: Tensor, beta: float, alpha: float, out: Tensor | None = None
) -> Tensor:
    """Compute ``beta * c + alpha * a @ b`` where c (B, M, M) and a @ b are symmetric.

    Only the blocks on and above the diagonal are computed, and mirrored: 10 of 16 for a matrix of
    256 x 256. With matrices that are not symmetric the lower half of the result is wrong. c and
    a @ b are symmetric if all three are polynomials of one symmetric matrix, and also for
    a = T, b = D T with T and D symmetric, and for a = X, b = X.mT.

    With ``beta`` 0, ``c`` is not read. ``out`` may be ``c``, but must not share memory with ``a``
    or ``b``, and its rows or its columns must be contiguous; None stands for a new tensor. The
    kernel's result is symmetric to the last bit. It multiplies float32 in full precision unless
    ``torch.backends.cuda.matmul.allow_tf32`` is set.
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
    return with_fallback(_run_symmetric_baddbmm, plain_symmetric_baddbmm, c, a, b, beta, alpha, out)
