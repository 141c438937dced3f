"""Networks built from the project's configs, and what they are compared with."""

import pytest
import random_weights
import torch
import torchvision
from mmengine.config import Config
from mmpretrain.registry import MODELS


@pytest.fixture(scope="session")
def classifier(repo):
    """Build the classifier of a config, with another depth or width where they are given."""

    def build(config="resnet18", depth=None, width=None, **backbone):
        model = Config.fromfile(repo / f"configs/imagenet/{config}_gcp_lrnorm.py").model
        model.backbone.update(backbone)
        if depth:
            model.backbone.depth = depth
            model.neck.in_channels = (8 if depth < 50 else 32) * backbone.get("base_channels", 64)
        if width:
            model.neck.reduced_channels = width
            model.head.in_channels = width * (width + 1) // 2
        return MODELS.build(model)

    return build


@pytest.fixture(scope="session")
def torchvision_resnet():
    """Torchvision's ResNet, with stride 1 in the last stage if that is asked for."""

    def build(depth, last_stride=2):
        network = getattr(torchvision.models, f"resnet{depth}")()
        block = network.layer4[0]
        strided = block.conv2 if hasattr(block, "conv3") else block.conv1
        strided.stride = block.downsample[0].stride = (last_stride, last_stride)
        return network

    return build


@pytest.fixture(scope="session")
def randomise():
    return random_weights.randomise


@pytest.fixture
def images():
    def draw(*shape, seed=1):
        return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))

    return draw
