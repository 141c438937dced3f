"""Features to measure on: as they come out of a ReLU, and the hard cases."""

from __future__ import annotations

import torch
from torch import Tensor


def relu(*shape: int) -> Tensor:
    """Draw what the published networks feed to the layer."""
    return torch.randn(shape).relu()


def dominant(*shape: int) -> Tensor:
    """Let one channel have nearly all of the variance."""
    x = relu(*shape)
    x[:, 0] *= 50
    return x


def sparse(*shape: int) -> Tensor:
    """Leave two values in a hundred."""
    return (torch.randn(shape) - 2).relu()


def mean_50(*shape: int) -> Tensor:
    """Put a mean of 50 on every channel."""
    return relu(*shape) + 50


def tiny(*shape: int) -> Tensor:
    """Scale by 1e-4."""
    return 1e-4 * relu(*shape)


def constant(*shape: int) -> Tensor:
    """Give the first sample no variance."""
    x = relu(*shape)
    x[0] = 3.3
    return x


CASES = {
    "relu": relu,
    "dominant": dominant,
    "sparse": sparse,
    "mean 50": mean_50,
    "tiny": tiny,
    "constant": constant,
}
