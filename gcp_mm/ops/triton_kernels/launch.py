"""How tensors, sizes and blocks are handed to a kernel.

Triton reads several elements at once only where it can prove that addresses are aligned, and by
itself it proves multiples of 16 alone. Sizes such as 196 = 4 * 49 are therefore passed as a number
of units and a constant, the unit, and strides in units of a common divisor.

Block sizes come from a fixed table, so that a run is the same every time. They were chosen by
counting, not by timing: 64 wastes least at the two sizes that matter most, 10 blocks of 64 x 64 on
and above the diagonal for M = 208 (196 padded to a multiple of 16) and for M = 256.

What does not fit is refused first: a kernel would read outside its tensors instead of complaining.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from math import gcd
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Tile(NamedTuple):
    """What one program computes, and with how many threads."""

    block: int
    """Rows and columns of the output block."""
    block_k: int
    """Depth of one step of the product; divides ``block``."""
    num_warps: int
    """Groups of 32 threads."""
    num_stages: int
    """Steps whose loads are in flight at once."""

    def num_blocks(self, size: int) -> int:
        """Count the blocks along a dimension."""
        return -(-size // self.block)

    def num_upper_blocks(self, size: int) -> int:
        """Count the blocks on and above the diagonal of a square matrix."""
        blocks = self.num_blocks(size)
        return blocks * (blocks + 1) // 2


# Largest size of an output dimension, and the tile up to there.
_SMALL = ((16, Tile(16, 16, 1, 2)), (32, Tile(32, 32, 2, 2)))
_TENSOR_CORE = Tile(64, 32, 4, 3)
# Without tensor cores the operands of a step live in registers: shallower steps, more threads.
_IEEE = Tile(64, 16, 8, 3)


def tile_for(size: int, dtype: torch.dtype, input_precision: str) -> Tile:
    """Look up the tile for the larger output dimension, and for operands of a dtype.

    ``input_precision`` is 'ieee' or 'tf32', which matters for float32 alone.
    """
    for largest, tile in _SMALL:
        if size <= largest:
            return tile
    return _IEEE if dtype == torch.float32 and input_precision == "ieee" else _TENSOR_CORE


class Layout(NamedTuple):
    """Where the elements of a batch of matrices are."""

    batch_stride: int
    """Distance from one matrix to the next."""
    outer_stride: int
    """Distance from one contiguous row, or column, to the next."""
    transposed: bool
    """Whether the columns are contiguous, not the rows."""


def has_contiguous_lines(x: Tensor) -> bool:
    """Say whether the rows or the columns of the matrices are contiguous."""
    return 1 in x.stride()[1:]


# A network launches with the same few layouts over and over, and Python would take as long for
# this arithmetic as a GPU for a product.
@lru_cache(maxsize=1024)
def layouts(*strides: tuple[int, int, int]) -> tuple[int, tuple[Layout, ...]]:
    """Describe tensors (B, rows, columns) in units of a number of elements, which comes first.

    It is the largest divisor of all distances up to 16.
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


def on_device_of(x: Tensor) -> AbstractContextManager:
    """Make the tensor's GPU the current one, where Triton launches."""
    return torch.cuda.device(x.device) if x.is_cuda else nullcontext()


def launch(
    kernel: str,
    tensors: Sequence[Tensor],
    arguments: Sequence[Any],
    size: int,
    num_blocks: Callable[[Tile], int],
    **constants: Any,
) -> None:
    """Start a kernel for tensors (B, rows, columns) of one dtype, on their device.

    The kernel, a function of ``kernels``, takes each tensor followed by its :class:`Layout`, then
    ``arguments``, then constants by name: these, ``INPUT_PRECISION``, ``ALIGN``, ``BLOCK`` and
    ``BLOCK_K``. A tensor that has neither contiguous rows nor contiguous columns is copied.
    ``size`` is the larger output dimension, and ``num_blocks`` counts the blocks of a sample.
    """
    from gcp_mm.ops.triton_kernels import kernels

    tensors = [x if has_contiguous_lines(x) else x.contiguous() for x in tensors]
    precision = input_precision(tensors[0].dtype)
    tile = tile_for(size, tensors[0].dtype, precision)
    align, found = layouts(*(x.stride() for x in tensors))
    matrices: list[Any] = []
    for tensor, layout in zip(tensors, found, strict=True):
        matrices += (tensor, *layout)
    with on_device_of(tensors[0]):
        getattr(kernels, kernel)[(len(tensors[0]) * num_blocks(tile),)](
            *matrices,
            *arguments,
            INPUT_PRECISION=precision,
            ALIGN=align,
            BLOCK=tile.block,
            BLOCK_K=tile.block_k,
            num_warps=tile.num_warps,
            num_stages=tile.num_stages,
            **constants,
        )


def check_tensor(name: str, tensor: Tensor, shape: tuple[int, ...], like: Tensor) -> None:
    """Raise a ValueError unless a tensor has a shape and is on the device of another."""
    if tensor.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, got {tuple(tensor.shape)}")
    if tensor.device != like.device:
        raise ValueError(f"{name} must be on {like.device}, got {tensor.device}")


def check_matrices(name: str, tensor: Tensor) -> tuple[int, int, int]:
    """Return the shape of a floating-point batch of matrices, or raise a ValueError."""
    if tensor.dim() != 3 or not tensor.is_floating_point():
        raise ValueError(
            f"{name} must be a floating-point tensor of three dimensions, "
            f"got {tuple(tensor.shape)} in {tensor.dtype}"
        )
    batch, rows, columns = tensor.shape
    return batch, rows, columns


def check_same_dtype(name: str, tensor: Tensor, other_name: str, other: Tensor) -> None:
    """Raise a ValueError unless two tensors have one dtype."""
    if tensor.dtype != other.dtype:
        raise ValueError(
            f"{name} and {other_name} must have one dtype, got {tensor.dtype} and {other.dtype}"
        )
