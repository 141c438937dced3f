"""Memory that workers write decoded images into, used again for every batch."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import torch
from torch import Tensor

from gcp_mm.engine.loader_workers import MORE, NO_WORKERS, SHARED
from gcp_mm.errors import UserError


class BatchBuffers:
    """Buffers of images in memory that all workers share.

    The first touch of a page of memory costs more than the copy of what is written there, and a
    data loader touches new pages in a worker and in the main process for every batch. Buffers are
    taken and released by the main process only.

    Args:
        number: Buffers.
        shape: (images, H, W, 3) of each.
        shared: Whether there are workers.

    Raises:
        UserError: If shared memory has no room for them.
    """

    def __init__(self, number: int, shape: Sequence[int], shared: bool = True) -> None:
        self._images = torch.empty((number, *shape), dtype=torch.uint8)
        if shared:
            try:
                self._images.share_memory_()
            except (RuntimeError, OSError) as error:
                size = self._images.numel() / 2**20
                raise UserError(
                    f"{SHARED} has no room for the {size:.0f} MB that workers hand their images "
                    f"over in ({str(error).splitlines()[0]}): {MORE}, or use {NO_WORKERS}"
                ) from error
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
