"""The function that is exported: images to logits."""

from __future__ import annotations

import torch
from torch import Tensor, nn


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

    def __init__(self, network: nn.Module, scores: bool = False, normalise: bool = False) -> None:
        super().__init__()
        self.network = network.eval().requires_grad_(False)
        self.scores = scores
        mean = getattr(getattr(network, "data_preprocessor", None), "mean", None)
        self.normalise = normalise and mean is not None
        if self.normalise:
            self.register_buffer("mean", mean.clone())
            self.register_buffer("std", network.data_preprocessor.std.clone())
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Classify images.

        Args:
            images: Tensor of shape (B, 3, H, W).

        Returns:
            Logits or probabilities of shape (B, num_classes).
        """
        if self.normalise:
            images = (images - self.mean) / self.std
        logits = self.network(images)
        return torch.softmax(logits, dim=-1) if self.scores else logits
