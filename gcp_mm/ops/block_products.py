"""Products of matrices of which each is partitioned into 2 x 2 blocks, or whole.

Small matrices stay whole: there the calls cost more than the products. So do matrices on other
devices than the CPU, where a Triton kernel computes one half of a symmetric product and writes
both.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

SPLIT = 128
ALIGNMENT = 32


def block_sizes(size: int, device: torch.device, fused: bool = False) -> tuple[int, ...]:
    """Return how many rows each block of a matrix has.

    Args:
        size: Rows of the matrix.
        device: Where it lies.
        fused: Whether a Triton kernel multiplies it.

    Returns:
        One number, or two of which the first is a multiple of ``ALIGNMENT``.
    """
    if size < SPLIT or device.type != "cpu" or fused:
        return (size,)
    first = size // 2 // ALIGNMENT * ALIGNMENT
    return first, size - first


def add_products(
    c: Tensor,
    keep: float,
    pairs: list[tuple[Tensor, Tensor]],
    factor: float,
    out: Tensor,
    multiply: Callable[..., Tensor] = torch.baddbmm,
) -> Tensor:
    """Write ``keep * c + factor * sum of a @ b over pairs`` to ``out``, which may be ``c``."""
    for a, b in pairs:
        # Not baddbmm_, which counters of operations do not see.
        multiply(c, a, b, beta=keep, alpha=factor, out=out)
        c, keep = out, 1.0
    return out
