"""One flag per sample, seen by all worker processes of a data loader."""

from __future__ import annotations

import torch


class SharedFlags:
    """Flags in shared memory. Setting one twice changes nothing, so that no lock is needed.

    A copy and an unpickled object have flags of their own. Only torch's pickler, which hands the
    data set to workers that are spawned, keeps the memory in common.

    Args:
        size: Number of flags; none is set.
    """

    def __init__(self, size: int) -> None:
        self._flags = torch.zeros(size, dtype=torch.bool).share_memory_()

    def __setstate__(self, state: dict) -> None:
        """Restore the flags, in shared memory again."""
        self.__dict__.update(state)
        self._flags.share_memory_()

    def set(self, index: int) -> bool:
        """Set a flag; return whether it was clear before."""
        was_clear = not self._flags[index]
        self._flags[index] = True
        return was_clear

    def indices(self) -> list[int]:
        """Return the indices whose flag is set."""
        return self._flags.nonzero().flatten().tolist()
