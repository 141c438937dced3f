"""Random directions in weight space, scaled to the weights filter by filter."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor


def filter_normalised_direction(
    weights: Iterable[tuple[str, Tensor]],
    generator: torch.Generator,
    include_vectors: bool = False,
) -> dict[str, Tensor]:
    r"""Draw a direction whose filters have the norms of the network's filters.

    .. math:: d_{i} \leftarrow \frac{\lVert w_{i} \rVert}{\lVert d_{i} \rVert} d_{i},
        \qquad d \sim N(0, 1)

    with the norm over everything but the first dimension: i is an output channel of a convolution
    or a row of a linear layer. The surface then does not change if a filter in front of a batch
    norm is rescaled. Paper: "Visualizing the Loss Landscape of Neural Nets", arXiv 1712.09913,
    section 4.

    Args:
        weights: Names and tensors, in a fixed order.
        generator: Random numbers on the CPU; the same ones for every device and dtype.
        include_vectors: Whether tensors of one dimension (biases, scales and shifts of a
            normalisation) move, each number by its own magnitude. By default their direction is
            zero, as in the paper.

    Returns:
        A tensor of the same shape, dtype and device by name.
    """
    direction = {}
    for name, weight in weights:
        noise = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
        if weight.dim() <= 1 and not include_vectors:
            noise.zero_()
        else:
            noise *= _filter_norms(weight) / _filter_norms(noise).clamp_min(1e-30)
        direction[name] = noise.to(weight)
    return direction


def _filter_norms(tensor: Tensor) -> Tensor:
    """Return the norm of each filter in float64, in a shape that multiplies the tensor."""
    rows = tensor.detach().to("cpu", torch.float64).reshape(max(tensor.shape[:1], default=1), -1)
    return rows.norm(dim=1).reshape(tensor.shape[:1] + (1,) * (tensor.dim() - 1))


def cosine(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> float:
    """Return the cosine of the angle between two directions, in float64.

    Args:
        first: Tensors by name.
        second: Tensors of the same names and shapes.
    """

    def dot(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> float:
        return sum(float((a[name].double() * b[name].double()).sum()) for name in a)

    return dot(first, second) / (dot(first, first) * dot(second, second)) ** 0.5
