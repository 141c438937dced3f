"""Which weights of a network are not finite."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from gcp_mm.errors import UserError
from gcp_mm.files import abbreviate

# Other buffers may be infinite on purpose, such as the mask of an attention.
_STATISTICS = ("running_mean", "running_var")


def weight_names(network: nn.Module) -> list[str]:
    """List the parameters and the running statistics of a network.

    Args:
        network: The network.

    Returns:
        Their names in its state dict.
    """
    buffers = [name for name, _ in network.named_buffers() if name.endswith(_STATISTICS)]
    return [name for name, _ in network.named_parameters()] + buffers


def find_not_finite(tensors: Mapping[str, Tensor], names: Iterable[str]) -> list[str]:
    """List the tensors that hold a NaN or an infinity.

    Args:
        tensors: A state dict.
        names: Which of them to look at; absent ones are left out.

    Returns:
        The names, in the order given.
    """
    return [
        name
        for name in names
        if name in tensors
        and tensors[name].is_floating_point()
        and not bool(torch.isfinite(tensors[name]).all())
    ]


def check_finite(network: nn.Module, weights: Mapping[str, Tensor], source: str | Path) -> None:
    """Refuse a file whose weights are not finite: whatever is measured with them is wrong.

    Args:
        network: The network that is about to get them.
        weights: The state dict of the file.
        source: Where it comes from.

    Raises:
        UserError: If a parameter or a running statistic is not finite.
    """
    names = weight_names(network)
    if bad := find_not_finite(weights, names):
        raise UserError(
            f"{str(source)!r}: {len(bad)} of {len(names)} weights are not finite "
            f"({abbreviate(bad)}), as a training leaves them that has diverged. Use an earlier "
            "checkpoint of it, or train again with a smaller learning rate"
        )
