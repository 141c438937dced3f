"""What PyTorch allocates and keeps on the CPU while a function runs."""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks


def peak_bytes(function: Callable[[], object]) -> int:
    """Run a function and return the peak of its allocations, counted from what was there before.

    Args:
        function: Called once. What it returns is counted, since it is alive when it ends.

    Returns:
        Bytes.
    """
    with torch.profiler.profile(profile_memory=True) as profile:
        function()
    events = [e for e in profile.profiler.kineto_results.events() if e.name() == "[memory]"]
    events.sort(key=lambda event: event.start_ns())
    return max(accumulate((event.nbytes() for event in events), initial=0))


def bytes_saved_for_backward(function: Callable[[], object], known: Tensor) -> int:
    """Run a function and return the size of what autograd keeps, each memory block once.

    Args:
        function: Called once.
        known: A tensor that does not count: the input.

    Returns:
        Bytes.
    """
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        result = function()
    kept.pop(known.untyped_storage().data_ptr(), None)
    del result
    return sum(kept.values())
