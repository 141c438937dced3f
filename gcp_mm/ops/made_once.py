"""Small tables that are made once for each size and device."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, wraps

import torch
from torch import Tensor

Table = Callable[[int, torch.device], Tensor]


def made_once(make: Table) -> Table:
    """Keep the tables of a function, except those that cannot be used again.

    A table of the meta device may belong to a mode that is about to end. One that is made while a
    CUDA graph is captured is only computed when the graph is replayed.
    """
    kept = cache(make)

    @wraps(make)
    def table(size: int, device: torch.device) -> Tensor:
        if device.type == "meta":
            return make(size, device)
        if device.type == "cuda" and torch.cuda.is_current_stream_capturing():
            return make(size, device)
        return kept(size, device)

    return table


def finished(table: Tensor) -> Tensor:
    """Wait for a table, which other streams will read too."""
    if table.is_cuda and not torch.cuda.is_current_stream_capturing():
        torch.cuda.current_stream(table.device).synchronize()
    return table
