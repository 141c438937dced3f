"""Block sizes of the kernels: a fixed table, so that a run is the same every time.

Chosen by counting, not by timing: 64 wastes least at the two sizes that matter most, 10 blocks of
64 x 64 on and above the diagonal for M = 208 (196 padded to a multiple of 16) and for M = 256.
"""

from __future__ import annotations

from typing import NamedTuple

import torch


class Tile(NamedTuple):
    """What one program computes, and with how many threads.

    Attributes:
        block: Rows and columns of the output block.
        block_k: Depth of one step of the product; divides ``block``.
        num_warps: Groups of 32 threads.
        num_stages: Steps whose loads are in flight at once.
    """

    block: int
    block_k: int
    num_warps: int
    num_stages: int

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
    """Look up the tile.

    Args:
        size: The larger of the two output dimensions.
        dtype: Dtype of the operands.
        input_precision: 'ieee' or 'tf32', which matters for float32 operands.

    Returns:
        The tile.
    """
    for largest, tile in _SMALL:
        if size <= largest:
            return tile
    return _IEEE if dtype == torch.float32 and input_precision == "ieee" else _TENSOR_CORE
