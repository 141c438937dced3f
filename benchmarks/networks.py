"""Networks with random weights, the same each time, for timing an evaluation."""

from __future__ import annotations

import torch
from mmpretrain.models import ClsDataPreprocessor
from plain_robustness import MEAN, STD
from torchvision.models import resnet18


class Network(torch.nn.Module):
    """1000 scores of normalised images; called as mmpretrain's networks are."""

    def __init__(self, layers: torch.nn.Module) -> None:
        super().__init__()
        self.layers = layers.eval()
        mean, std = ([255 * value for value in values] for values in (MEAN, STD))
        self.data_preprocessor = ClsDataPreprocessor(mean, std, to_rgb=True)

    def forward(self, inputs: torch.Tensor, mode: str = "tensor") -> torch.Tensor:
        """Return the scores (B, 1000) of images (B, 3, H, W)."""
        return self.layers(inputs)


class FieldColours(torch.nn.Module):
    """Scores from the mean colours of 7 x 7 fields, of 4 x 4 pixels each: it costs nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.pool, self.head = torch.nn.AdaptiveAvgPool2d(7), torch.nn.Linear(147, 1000)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the scores of every eighth pixel."""
        return self.head(self.pool(inputs[:, :, ::8, ::8]).flatten(1))


LAYERS = {"resnet18": resnet18, "tiny": FieldColours}


def make_network(name: str) -> Network:
    """Make a network of `LAYERS`, by name."""
    torch.manual_seed(0)
    return Network(LAYERS[name]())
