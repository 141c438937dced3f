"""The config of an architecture is that of its published rows."""

from functools import partial

import pytest
import torch
from mmengine.config import Config
from mmpretrain.registry import MODELS

from gcp_mm.conversion import Architecture, model_config
from gcp_mm.conversion.families import FAMILIES

PUBLISHED = [
    architecture
    for family in FAMILIES
    for network in family.backbones
    for width in (None, 128, 256)
    if (architecture := Architecture(network, 1000, width)).rows
]


@pytest.fixture
def build(monkeypatch):
    # mmpretrain's ResNet reads numbers out of a linspace, which the meta device cannot give.
    monkeypatch.setattr(torch, "linspace", partial(torch.linspace, device="cpu"))

    def on_meta(model):
        with torch.device("meta"):
            return MODELS.build(model)

    return on_meta


@pytest.mark.parametrize("architecture", PUBLISHED, ids=str)
def test_same_network_as_the_config_of_each_row(architecture, build, repo):
    found = build(model_config(architecture))
    shapes = {name: tensor.shape for name, tensor in found.state_dict().items()}
    models = [
        Config.fromfile(repo / f"configs/imagenet/{row}.py").model for row in architecture.rows
    ]
    assert all(model == models[0] for model in models)
    expected = build(models[0])
    # Layers, strides, activations, dropout and initialisation.
    assert repr(found) == repr(expected)
    assert {name: tensor.shape for name, tensor in expected.state_dict().items()} == shapes


def test_few_classes_have_no_top_five():
    assert model_config(Architecture("resnet18", 3))["head"]["topk"] == (1,)
