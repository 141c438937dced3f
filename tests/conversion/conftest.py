"""Source checkpoints as the original scripts and torchvision save them."""

import copy

import pytest
import torch
from random_weights import randomise, without_start
from torch import nn
from zoo.conftest import cache, content, server, small_row  # noqa: F401

from gcp_mm.conversion import Architecture
from gcp_mm.conversion.plain_networks import plain_network

# The smallest network with covariance pooling, and how its files are recognised.
SMALL = Architecture("shufflenet_v2_x0_5", num_classes=7, reduced_channels=4)
# Numbers of a network that is not kept for the next test, which will hardly ask for it: memory that
# is new to a process takes it time.
LARGE = 20_000_000


def equal(found, expected):
    """Whether two contents of a file agree in every bit, key, order and type."""
    if type(found) is not type(expected):
        return False
    if isinstance(expected, dict):
        same_keys = list(found) == list(expected)
        same_metadata = getattr(found, "_metadata", 0) == getattr(expected, "_metadata", 0)
        return (
            same_keys and same_metadata and all(equal(found[key], expected[key]) for key in found)
        )
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(equal, found, expected))
    if isinstance(expected, torch.Tensor):
        return found.dtype == expected.dtype and torch.equal(found, expected)
    return found == expected


@pytest.fixture(scope="session")
def same():
    return equal


def alive(network):
    """Set the statistics of the batch norms, so that no activation cuts everything off."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        network.train()(torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(1)))
    return network


@pytest.fixture(scope="session")
def state_dict():
    """Return the state dict of a source network with random weights; it may be changed."""
    made = {}

    def of(architecture=SMALL):
        if architecture not in made:
            with without_start():
                network = plain_network(architecture)
            weights = alive(randomise(network)).state_dict()
            if sum(tensor.numel() for tensor in weights.values()) > LARGE:
                return weights
            made[architecture] = weights
        return copy.deepcopy(made[architecture])

    return of


@pytest.fixture(scope="session")
def legacy(state_dict):
    """Return a checkpoint of the original scripts for a network; it may be changed."""

    def of(architecture=SMALL):
        weights = state_dict(architecture)
        prefixed = type(weights)((f"module.{name}", tensor) for name, tensor in weights.items())
        prefixed._metadata = {f"module.{name}": v for name, v in weights._metadata.items()}
        momentum = {140: {"momentum_buffer": torch.arange(3.0)}}
        return {
            "epoch": 100,
            "arch": "a name of the original",
            "state_dict": prefixed,
            "best_acc1": torch.tensor(12.5),
            "optimizer": {"state": momentum, "param_groups": [{"lr": 0.1, "params": [140]}]},
        }

    return of


@pytest.fixture
def photos(tmp_path):
    """Return three image files: RGB, grey, and one with a palette."""
    from PIL import Image

    generator = torch.Generator().manual_seed(0)
    paths = []
    for mode, size in (("RGB", (300, 260)), ("L", (64, 90)), ("P", (32, 32))):
        pixels = torch.randint(256, (size[1], size[0], 3), generator=generator, dtype=torch.uint8)
        path = tmp_path / f"{mode}.png"
        Image.fromarray(pixels.numpy()).convert(mode).save(path)
        paths.append(path)
    return paths
