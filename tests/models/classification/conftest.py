"""The recorded networks."""

import importlib.util
import re

import numpy as np
import pytest
import torch

# Config and width of each recorded network.
GOLDEN = {
    "resnet18_mpncov": ("resnet18", 256),
    "resnet50_mpncov": ("resnet50", 256),
    "resnet50_mpncov_128": ("resnet50", 128),
}


def name_here(name: str) -> str:
    """Name of an original's tensor in the networks of this project."""
    for pattern, replacement in (
        (r"^layer_reduce\.", "neck.reduce.conv."),
        (r"^layer_reduce_bn\.", "neck.reduce.bn."),
        (r"^fc\.", "head.fc."),
        (r"^(?!neck\.|head\.)", "backbone."),
    ):
        name = re.sub(pattern, replacement, name)
    return name


class Golden:
    """A network with the recorded weights, and the numbers it has to give."""

    def __init__(self, arch, fill, folder, build):
        self.record = np.load(folder / f"{arch}.npz")
        self.names = {name_here(name): name for name in self.record["param_names"].tolist()}
        self._build = build
        self._arrays = fill.fill(fill.read_keys(folder / f"{arch}.json")[1])
        self._fill = fill

    def network(self, dtype):
        network = self._build().to(dtype)
        weights = {name_here(name): torch.from_numpy(array) for name, array in self._arrays.items()}
        network.load_state_dict(weights, strict=True)
        return network

    def images(self, dtype, seed, number, size):
        return torch.from_numpy(self._fill.images(seed, number, size)).to(dtype)


@pytest.fixture(scope="module", params=GOLDEN)
def golden(request, shared, classifier):
    spec = importlib.util.spec_from_file_location("golden_fill", shared / "golden" / "fill.py")
    fill = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fill)
    config, width = GOLDEN[request.param]
    return Golden(
        request.param, fill, shared / "golden" / "models", lambda: classifier(config, width=width)
    )
