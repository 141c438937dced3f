"""Compare an exported file with the network that it was made from."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gcp_mm.console.progress import if_long

# Largest difference in float32, relative to the largest logit of the batch.
TOLERANCE = 1e-5


@dataclass(frozen=True)
class Difference:
    """What one batch of images showed.

    Attributes:
        images: What the images are.
        batch: Number of images.
        exported: Largest difference of file and network, relative to the largest output; NaN if
            an output is not finite.
        rounding: The same of the network in float32 and in float64. Two correct computations in
            float32 differ by about that much.
        failure: What the file raised instead of giving an output; the difference is infinite then.
    """

    images: str
    batch: int
    exported: float
    rounding: float
    failure: str = ""

    def __str__(self) -> str:
        """Format as ``3.1e-06 (cat.jpg; the network's own rounding 2.0e-06)``."""
        failure = f" ({self.failure})" if self.failure else ""
        return (
            f"{self.exported:.1e}{failure} ({self.images}; the network's own rounding "
            f"{self.rounding:.1e})"
        )


def relative_difference(found: Tensor, expected: Tensor) -> float:
    r"""Compute the largest difference relative to the largest number.

    .. math:: \max |a - b| / \max |b|

    Args:
        found: Tensor a.
        expected: Tensor b of the same shape.

    Returns:
        The difference; infinity if the shapes differ, NaN if a number is not finite.
    """
    if found.shape != expected.shape:
        return float("inf")
    found, expected = found.double(), expected.double()
    if not expected.any() and not found.any():
        return 0.0
    return float((found - expected).abs().max() / expected.abs().max())


@torch.no_grad()
def compare(
    network: nn.Module, exported: Callable[[Tensor], Tensor], batches: Mapping[str, Tensor]
) -> list[Difference]:
    """Run the network and the exported function on the same images.

    Args:
        network: The PyTorch network in float32.
        exported: The function that was read from a file.
        batches: Images (B, 3, H, W) by what they are.

    Returns:
        One difference for each batch.
    """
    exact = copy.deepcopy(network).double()
    differences = []
    with if_long(len(batches), "comparing the file with the network") as progress:
        for name, images in batches.items():
            differences.append(_difference(network, exact, exported, name, images))
            progress.update()
    return differences


def _difference(
    network: nn.Module,
    exact: nn.Module,
    exported: Callable[[Tensor], Tensor],
    name: str,
    images: Tensor,
) -> Difference:
    """Compare one batch; ``exact`` is the network in float64."""
    expected = network(images)
    failure = ""
    try:
        difference = relative_difference(exported(images), expected)
    except Exception as error:  # each runtime has its own types
        difference = float("inf")
        lines = str(error).strip().splitlines() or [""]
        failure = f"{type(error).__name__}: {lines[-1]}"
    try:
        rounding = relative_difference(expected, exact(images.double()))
    except RuntimeError:  # a network may insist on float32; this number is only a remark
        rounding = float("nan")
    return Difference(name, len(images), difference, rounding, failure)


def worst(differences: list[Difference]) -> Difference:
    """Choose the largest difference; one that is not a number is larger than any other."""
    return max(differences, key=lambda d: float("inf") if d.exported != d.exported else d.exported)
