"""Kernels of a GPU that give the same numbers every time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def reproducible_kernels(tf32: bool = False) -> Iterator[None]:
    """Take deterministic convolutions, chosen without timing them, and one precision for all.

    Afterwards everything is as before. Not through ``torch.backends.cudnn.flags``: that reads
    ``allow_tf32``, which raises where a program has used the newer ``fp32_precision``.

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
