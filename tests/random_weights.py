"""Weights for comparing two networks."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import torch
from torch import nn


@contextmanager
def without_start() -> Iterator[None]:
    """Build networks whose weights will all be loaded: millions of random numbers take long."""
    names = ("kaiming_uniform_", "kaiming_normal_", "uniform_", "normal_")
    with mock.patch.multiple(nn.init, **dict.fromkeys(names, lambda tensor, *_, **__: tensor)):
        yield


def randomise(network: nn.Module, seed: int = 0) -> nn.Module:
    """Give every tensor of a network a number that no other place has."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in network.state_dict().items():
        if not tensor.is_floating_point():
            continue
        noise = torch.randn(tensor.shape, generator=generator)
        if tensor.dim() > 1:
            noise *= (2 / tensor[0].numel()) ** 0.5
        elif name.endswith(("weight", "running_var")):
            noise = 1 + 0.1 * noise.abs()
        else:
            noise *= 0.1
        tensor.copy_(noise)
    return network
