"""Kernels of a GPU that give the same numbers every time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def reproducible_kernels(tf32: bool = False) -> Iterator[None]:
    """Take deterministic convolutions, chosen without timing them, and one precision for all.

    Afterwards each switch has the value that it had. (A precision that was inherited from a more
    general one is then set by itself: PyTorch does not tell the two apart.) Through the newer
    ``fp32_precision``, because the older ``allow_tf32`` and ``torch.backends.cudnn.flags`` raise in
    a program that has used it; inside, they may.

    Args:
        tf32: Whether products, convolutions and recurrent layers of float32 use TensorFloat-32.
    """
    cudnn = torch.backends.cudnn
    operators = (torch.backends.cuda.matmul, cudnn.conv, cudnn.rnn)
    wanted = [
        # Another algorithm in another process would round differently.
        (cudnn, "benchmark", False),
        (cudnn, "deterministic", True),
        *((operator, "fp32_precision", "tf32" if tf32 else "ieee") for operator in operators),
    ]
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in wanted]
    try:
        for owner, name, value in wanted:
            setattr(owner, name, value)
        yield
    finally:
        for owner, name, value in before:
            setattr(owner, name, value)
