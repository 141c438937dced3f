"""What the examples share: handwritten digits, and two narrow ResNets that learn them."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from mmpretrain.registry import MODELS
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional

import gcp_mm.registry  # noqa: F401  (its models)

# Colours of Okabe and Ito, which people with any colour vision tell apart.
COLOURS = {"GAP": "#d55e00", "GCP": "#0072b2"}
EPOCHS, BATCH_SIZE = 3, 32


def digits(side: int = 32) -> tuple[Tensor, Tensor]:
    """Return scikit-learn's 1797 digits, enlarged: (N, side, side, 3) uint8, and their classes."""
    found = load_digits()
    images = torch.from_numpy(found.images).float()[:, None] * (255 / 16)
    images = functional.interpolate(images, size=(side, side), mode="bicubic")
    images = images.round().clamp(0, 255).byte().permute(0, 2, 3, 1)
    return images.expand(-1, -1, -1, 3).contiguous(), torch.from_numpy(found.target)


def split(number: int = 1797, held_out: int = 400) -> tuple[Tensor, Tensor]:
    """Return the rows that a network learns from, and those held out, drawn at random."""
    order = torch.from_numpy(np.random.default_rng(0).permutation(number))
    return order[held_out:], order[:held_out]


def as_input(images: Tensor) -> Tensor:
    """Return images (N, H, W, 3) uint8 as a network takes them: (N, 3, H, W), from -1 to 1."""
    return images.permute(0, 3, 1, 2).float() / 127.5 - 1


def config(pooling: str) -> dict:
    """Return the config of a ResNet of two stages, 16 channels at 8 x 8 positions, GAP or GCP."""
    trunk = dict(type="gcp_mm.GCPResNet", depth=18, stem_channels=8, base_channels=8)
    trunk |= dict(num_stages=2, strides=(1, 1), dilations=(1, 1), out_indices=(1,))
    neck, features = dict(type="GlobalAveragePooling"), 16
    if pooling == "GCP":
        neck = dict(type="gcp_mm.GlobalCovariancePooling", in_channels=16, reduced_channels=16)
        features = 16 * 17 // 2
    head = dict(type="LinearClsHead", num_classes=10, in_channels=features, topk=(1,))
    return dict(type="ImageClassifier", backbone=trunk, neck=neck, head=head)


@cache
def trained(pooling: str) -> nn.Module:
    """Train a network, once for all examples of a build; both see the same images in one order."""
    images, labels = digits()
    learned, _ = split()
    rng = np.random.default_rng(1)
    steps = len(learned) // BATCH_SIZE
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = MODELS.build(config(pooling)).train()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=0.05, total_steps=EPOCHS * steps, cycle_momentum=False
    )
    for _ in range(EPOCHS):
        order = torch.from_numpy(rng.permutation(learned))
        for rows in order.split(BATCH_SIZE)[:steps]:
            optimizer.zero_grad()
            functional.cross_entropy(network(as_input(images[rows])), labels[rows]).backward()
            optimizer.step()
            schedule.step()
    return network.eval()
