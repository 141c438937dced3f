"""Weights for comparing two networks."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest import mock

import torch
from torch import nn


@contextmanager
def without_start(
    start: Callable[[torch.Tensor], None] = lambda tensor: None,
) -> Iterator[None]:
    """Build networks whose weights will all be loaded: millions of random numbers take long."""

    def instead(tensor: torch.Tensor, *_: object, **__: object) -> torch.Tensor:
        start(tensor)
        return tensor

    names = ("kaiming_uniform_", "kaiming_normal_", "uniform_", "normal_")
    with mock.patch.multiple(nn.init, **dict.fromkeys(names, instead)):
        yield


QUICK: dict[tuple[int, ...], torch.Tensor] = {}


@contextmanager
def quick_start() -> Iterator[None]:
    """Build networks whose weights are of no interest, and will not be changed.

    They are the same few numbers again and again, and those of one shape are one tensor, which
    ``QUICK`` keeps until it is cleared.
    """
    few = torch.randn(1 << 16, generator=torch.Generator().manual_seed(0))

    def fill(tensor: torch.Tensor) -> torch.Tensor:
        scale = tensor[0].numel() ** -0.5 if tensor.dim() > 1 else 0.1
        for part in tensor.detach().view(-1).split(len(few)):
            torch.mul(few[: len(part)], scale, out=part)
        return tensor.detach()

    def start(tensor: torch.Tensor) -> None:
        shape = tuple(tensor.shape)
        if not isinstance(tensor, nn.Parameter):
            fill(tensor)
        elif shape in QUICK:
            tensor.data = QUICK[shape]
        else:
            QUICK[shape] = fill(tensor)

    with without_start(start):
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
