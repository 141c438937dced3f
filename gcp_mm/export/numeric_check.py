"""The function that is exported, images to logits, and the exported file compared with it."""

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
    r"""Compute :math:`\max |a - b| / \max |b|`; infinity if the shapes of a and b differ."""
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
    """Run the network in float32 and the exported function on each batch (B, 3, H, W)."""
    exact = copy.deepcopy(network).double()
    differences = []
    with if_long(len(batches), "comparing the file with the network") as progress:
        for name, images in batches.items():
            expected, failure = network(images), ""
            try:
                difference = relative_difference(exported(images), expected)
            except Exception as error:  # each runtime has its own types
                difference = float("inf")
                failure = f"{type(error).__name__}: {str(error).strip().rpartition(chr(10))[2]}"
            try:
                rounding = relative_difference(expected, exact(images.double()))
            except RuntimeError:  # a network may insist on float32; this is only a remark
                rounding = float("nan")
            differences.append(Difference(name, len(images), difference, rounding, failure))
            progress.update()
    return differences


def worst(differences: list[Difference]) -> Difference:
    """Choose the largest difference; one that is not a number is larger than any other."""
    return max(differences, key=lambda d: float("inf") if d.exported != d.exported else d.exported)


class Logits(nn.Module):
    r"""A classifier as a function of one tensor.

    .. math:: y = f(x), \quad y = f((x - m) / s), \quad y = \operatorname{softmax}(f(x))

    The parameters no longer ask for gradients, so that none is part of an exported graph.

    Args:
        network: An ``ImageClassifier`` of mmpretrain; called with images it returns logits.
        scores: Return softmax probabilities instead of logits.
        normalise: Subtract the mean and divide by the standard deviation of the network's data
            preprocessor. Defaults to False: the caller does that. A network without these
            numbers is left as it is.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, scores: bool = False, normalise: bool = False) -> None:
        super().__init__()
        self.network = network.eval().requires_grad_(False)
        self.scores = scores
        preprocessor = getattr(network, "data_preprocessor", None)
        self.normalise = normalise and getattr(preprocessor, "mean", None) is not None
        if self.normalise:
            for name in ("mean", "std"):
                self.register_buffer(name, getattr(preprocessor, name).clone())
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Give logits or probabilities (B, num_classes) of images (B, 3, H, W)."""
        if self.normalise:
            images = (images - self.mean) / self.std
        logits = self.network(images)
        return torch.softmax(logits, dim=-1) if self.scores else logits
