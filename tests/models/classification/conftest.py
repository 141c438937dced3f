"""The recorded networks."""

import numpy as np
import pytest
import torch
from golden_files import load_fill, recorded, recorded_networks, recorded_weights
from mmengine.config import Config
from mmpretrain.registry import MODELS
from random_weights import without_start

from gcp_mm.conversion import model_config
from gcp_mm.conversion.plain_networks import plain_network


class Golden:
    """A network with the recorded weights, and the numbers it has to give."""

    def __init__(self, name, shared, repo):
        self._fill = load_fill(shared)
        self._configs = repo / "configs/imagenet"
        self.record = np.load(recorded(shared, name, ".npz"))
        self.conversion = recorded_weights(shared, name)
        self._network = None

    @property
    def parameters(self):
        """Recorded parameters, by name in the converted checkpoint."""
        names = dict(zip(self.conversion.source, self.conversion.state_dict, strict=True))
        return [names[name] for name in self.record["param_names"].tolist()]

    def network(self, dtype):
        """Return the network that users build: that of the config of its published row.

        It is built once, and its weights are loaded anew.
        """
        if self._network is None:
            architecture = self.conversion.architecture
            model = model_config(architecture)
            if architecture.rows:
                model = Config.fromfile(self._configs / f"{architecture.rows[0]}.py").model
            with without_start():
                self._network = MODELS.build(model)
        network = self._network.to(dtype)
        network.zero_grad()
        network.load_state_dict(self.conversion.state_dict, strict=True)
        return network

    def plain_network(self):
        with without_start():
            network = plain_network(self.conversion.architecture)
        network.load_state_dict(self.conversion.source, strict=True)
        return network

    def images(self, dtype, seed, number, size):
        return torch.from_numpy(self._fill.images(seed, number, size)).to(dtype)


def pytest_generate_tests(metafunc):
    """Run a test that asks for ``golden`` once for each recorded network in the folder."""
    if "golden" in metafunc.fixturenames:
        metafunc.parametrize("golden", recorded_networks(), indirect=True, scope="module")


@pytest.fixture(scope="module")
def golden(request, shared, repo):
    return Golden(request.param, shared, repo)
