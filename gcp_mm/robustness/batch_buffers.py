"""Memory that workers write decoded images into, used again for every batch."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import torch
from torch import Tensor


class BatchBuffers:
    """Buffers of images in memory that all workers share.

    The first touch of a page of memory costs more than the copy of what is written there, and a
    data loader touches new pages in a worker and in the main process for every batch. Buffers are
    taken and released by the main process only.

    Args:
        number: Buffers.
        shape: (images, H, W, 3) of each.
    """

    def __init__(self, number: int, shape: Sequence[int]) -> None:
        self._images = torch.empty((number, *shape), dtype=torch.uint8).share_memory_()
        self._free = deque(range(number))

    def __getitem__(self, index: int) -> Tensor:
        """Return a buffer: (images, H, W, 3) uint8."""
        return self._images[index]

    def take(self) -> int:
        """Return the index of a buffer that nobody uses.

        Raises:
            IndexError: If there is none.
        """
        return self._free.popleft()

    def release(self, index: int) -> None:
        """Let a buffer be taken again."""
        self._free.append(index)
