r"""The loss on a line or a plane through the weights of a network.

.. math:: f(\alpha, \beta) = L(\theta + \alpha \delta + \beta \eta)

with random directions in weight space that are scaled to the weights filter by filter. Paper:
"Visualizing the Loss Landscape of Neural Nets", arXiv 1712.09913.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gcp_mm.errors import UserError
from gcp_mm.landscape.frozen import frozen
from gcp_mm.landscape.loss import Batches, finite_mean_loss, mean_loss
from gcp_mm.landscape.settings import BATCH_NORMS


def filter_normalised_direction(
    weights: Iterable[tuple[str, Tensor]],
    generator: torch.Generator,
    include_vectors: bool = False,
) -> dict[str, Tensor]:
    r"""Draw a direction whose filters have the norms of the network's filters.

    .. math:: d_{i} \leftarrow \frac{\lVert w_{i} \rVert}{\lVert d_{i} \rVert} d_{i},
        \qquad d \sim N(0, 1)

    with the norm over everything but the first dimension: i is an output channel of a convolution
    or a row of a linear layer (section 4 of the paper). The surface then does not change if a
    filter in front of a batch norm is rescaled.

    Args:
        weights: Names and tensors. Their order is that of the draws: another one gives another
            direction for the same seed.
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
    """Return the cosine of the angle between two directions, in float64."""

    def dot(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> float:
        return sum(float((a[name].double() * b[name].double()).sum()) for name in a)

    return dot(first, second) / (dot(first, first) * dot(second, second)) ** 0.5


@dataclass(frozen=True)
class Grid:
    """Where the loss is evaluated.

    Attributes:
        alphas: Coordinates along the first direction, ascending.
        betas: Coordinates along the second one; ``(0.0,)`` for a curve.
    """

    alphas: tuple[float, ...]
    betas: tuple[float, ...] = (0.0,)

    @property
    def dimensions(self) -> int:
        """1 for a curve, 2 for a surface."""
        return 1 if self.betas == (0.0,) else 2


def make_grid(low: float = -1.0, high: float = 1.0, points: int = 51, dimensions: int = 1) -> Grid:
    """Space points evenly; both ends are included."""
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise UserError(f"range {low} to {high}: the first number has to be the smaller one")
    if points < 2 or dimensions not in (1, 2):
        raise UserError(f"{points} points, {dimensions} dimensions: at least 2 points, 1 or 2")
    # Symmetric by construction, so that the middle is 0 and not 1e-17.
    ramp = np.linspace(-1, 1, points)
    coordinates = tuple(((high + low) / 2 + (high - low) / 2 * ramp).tolist())
    return Grid(coordinates, coordinates if dimensions == 2 else (0.0,))


def surface(
    model: nn.Module,
    batches: Batches,
    grid: Grid,
    seed: int = 0,
    batch_norm: str = "batch",
    include_vectors: bool = False,
    results: dict[str, Any] | None = None,
    on_point: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Evaluate the loss on a grid around the weights of a network; they stay as they are.

    Batch norms use the statistics of each batch by default, as in training: the running statistics
    belong to the weights in the middle, and away from it they are those of another network
    (arXiv 1712.09913 recomputes them too). The loss in the middle is then that of training mode,
    and depends on the batch size. Dropout is off.

    A loss that is not finite, far from the middle, is a result: it is kept as the string 'inf' or
    'nan' and leaves a gap in the figure.

    Args:
        model: Returns logits.
        batches: Images and classes, on the device of the model.
        grid: The points.
        seed: Of the directions.
        batch_norm: 'batch', or 'eval' for the running statistics of the checkpoint.
        include_vectors: See :func:`filter_normalised_direction`.
        results: Unfinished results, which are completed in place.
        on_point: Called after each new point.

    Returns:
        ``loss`` (float, of the network itself), ``losses`` (nested lists, one row for each alpha
        and one column for each beta; None is a point that has not been evaluated), and ``cosine``
        of the two directions (None for a curve).

    Raises:
        UserError: If the loss of the network itself is not finite, or ``batch_norm`` is unknown.
    """
    if batch_norm not in BATCH_NORMS:
        raise UserError(f"batch_norm={batch_norm!r} is none of {BATCH_NORMS}")
    results = {} if results is None else results
    generator = torch.Generator().manual_seed(seed)
    centre = {name: weight.detach() for name, weight in model.named_parameters()}
    directions = [
        filter_normalised_direction(centre.items(), generator, include_vectors)
        for _ in range(grid.dimensions)
    ]
    with frozen(model, batch_norm=batch_norm):
        if "losses" not in results:
            results["loss"] = finite_mean_loss(model, batches)
            results["cosine"] = cosine(*directions) if grid.dimensions == 2 else None
            results["losses"] = [[None] * len(grid.betas) for _ in grid.alphas]
        points = itertools.product(enumerate(grid.alphas), enumerate(grid.betas))
        for (i, alpha), (j, beta) in points:
            if results["losses"][i][j] is None:
                loss = mean_loss(model, batches, _shift(centre, directions, (alpha, beta)))
                results["losses"][i][j] = loss if math.isfinite(loss) else str(loss)
                on_point()
    return results


def _shift(
    centre: dict[str, Tensor], directions: list[dict[str, Tensor]], steps: tuple[float, ...]
) -> dict[str, Tensor]:
    """Return the weights at a point."""
    weights = dict(centre)
    for direction, step in zip(directions, steps, strict=False):
        for name, change in direction.items():
            weights[name] = weights[name] + step * change
    return weights


def losses_as_array(results: dict[str, Any]) -> np.ndarray:
    """Convert the losses of :func:`surface` for computing."""
    # None becomes a NaN, as 'nan' does.
    losses = np.array(results["losses"], dtype=float)
    return np.where(np.isfinite(losses), losses, math.nan)
