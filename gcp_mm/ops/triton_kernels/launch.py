"""How tensors and sizes are handed to a kernel.

Triton reads several elements at once only where it can prove that addresses are aligned, and by
itself it proves multiples of 16 alone. Sizes such as 196 = 4 * 49 are therefore passed as a number
of units and a constant, the unit, and strides in units of a common divisor.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from math import gcd
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gcp_mm.ops.triton_kernels.tiles import Tile


class Layout(NamedTuple):
    """Where the elements of a batch of matrices are.

    Attributes:
        batch_stride: Distance from one matrix to the next.
        outer_stride: Distance from one contiguous row (or column) to the next.
        transposed: Whether the columns are contiguous, not the rows.
    """

    batch_stride: int
    outer_stride: int
    transposed: bool


def has_contiguous_lines(x: Tensor) -> bool:
    """Say whether the rows or the columns of the matrices are contiguous."""
    return 1 in x.stride()[1:]


# A network launches with the same few layouts over and over, and Python would take as long for
# this arithmetic as a GPU for a product.
@lru_cache(maxsize=1024)
def layouts(*strides: tuple[int, int, int]) -> tuple[int, tuple[Layout, ...]]:
    """Describe tensors of shape (B, rows, columns).

    Args:
        *strides: The strides of each tensor.

    Returns:
        The largest divisor up to 16 of all distances, and the layouts in units of that many
        elements.
    """
    found = []
    for batch_stride, row_stride, column_stride in strides:
        transposed = column_stride != 1 and row_stride == 1
        outer_stride = column_stride if transposed else row_stride
        found.append(Layout(batch_stride, outer_stride, transposed))
    align = gcd(16, *(distance for layout in found for distance in layout[:2]))
    return align, tuple(Layout(batch // align, outer // align, t) for batch, outer, t in found)


def split_size(size: int) -> tuple[int, int]:
    """Write a size as units times a power of two up to 16."""
    align = gcd(16, size)
    return size // align, align


def input_precision(dtype: torch.dtype) -> str:
    """Return 'tf32' for float32 operands where PyTorch's own products use it, else 'ieee'."""
    if dtype != torch.float32:
        return "ieee"
    matmul = torch.backends.cuda.matmul
    # Asking `allow_tf32` raises where the user set the newer `fp32_precision`.
    precision = getattr(matmul, "fp32_precision", None) or ("tf32" if matmul.allow_tf32 else "ieee")
    return "tf32" if precision == "tf32" else "ieee"


def _on_device_of(x: Tensor) -> AbstractContextManager:
    """Make the tensor's GPU the current one, where Triton launches."""
    return torch.cuda.device(x.device) if x.is_cuda else nullcontext()


def launch(
    kernel: Any,
    num_programs: int,
    tensors: Sequence[Tensor],
    arguments: Sequence[Any],
    tile: Tile,
    **constants: Any,
) -> None:
    """Start a kernel on the device of its tensors.

    Args:
        kernel: A function under ``triton.jit``. It takes each tensor followed by its
            :class:`Layout`, then ``arguments``, then constants by name.
        num_programs: Number of instances.
        tensors: Tensors of shape (B, rows, columns). One that has neither contiguous rows nor
            contiguous columns is copied.
        arguments: Further arguments, by position.
        tile: Block sizes and number of threads.
        **constants: Constants of the kernel other than ``ALIGN``, ``BLOCK`` and ``BLOCK_K``.
    """
    tensors = [x if has_contiguous_lines(x) else x.contiguous() for x in tensors]
    align, found = layouts(*(x.stride() for x in tensors))
    matrices: list[Any] = []
    for tensor, layout in zip(tensors, found, strict=True):
        matrices += (tensor, *layout)
    with _on_device_of(tensors[0]):
        kernel[(num_programs,)](
            *matrices,
            *arguments,
            ALIGN=align,
            BLOCK=tile.block,
            BLOCK_K=tile.block_k,
            num_warps=tile.num_warps,
            num_stages=tile.num_stages,
            **constants,
        )
