"""Feature pyramids to compare with."""

import functools

import pytest
import torch
from mmdet.models.backbones import ResNet


@pytest.fixture(scope="session")
def plain_resnet(randomise):
    """mmdet's own ResNet with weights that no other place has; shared, not to be changed."""

    @functools.cache
    def build(depth=18, **arguments):
        network = randomise(ResNet(depth, **arguments)).double()
        network.eval()  # returns None
        return network

    return build


@pytest.fixture(scope="session")
def with_weights_of():
    """Build a network without weights of its own and give it those of another one."""

    def share(build, other):
        with torch.device("meta"):
            network = build()
        network.load_state_dict(other.state_dict(), strict=True, assign=True)
        return network.eval()

    return share
