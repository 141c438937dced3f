"""The config of an architecture is that of its published rows."""

from functools import partial

import pytest
import torch
import torchvision
from mmengine.config import Config
from mmpretrain.registry import MODELS

from gcp_mm.conversion import Architecture, model_config, recognise
from gcp_mm.conversion.families import FAMILIES
from gcp_mm.errors import CheckpointMismatchError, UserError


def cut(name):
    return lambda weights: weights.pop(name)


def put(name, *shape):
    return lambda weights: weights.update({name: torch.zeros(shape)})


RESNET = Architecture("resnet18", 7, 4)
CHANGES = {
    "missing": (cut("layer3.0.bn1.running_var"), "not in the file: layer3.0.bn1.running_var"),
    "missing classifier": (cut("fc.weight"), "not in the file: fc.weight"),
    "unknown": (put("extra.weight", 2), "only in the file: extra.weight"),
    "shape": (
        put("layer4.1.conv2.weight", 512, 512, 1, 1),
        r"layer4.1.conv2.weight \(\(512, 512, 3, 3\), \(512, 512, 1, 1\)\)",
    ),
    "triangle": (put("fc.weight", 7, 4 * 4), r"fc.weight \(\(7, 10\), \(7, 16\)\)"),
    "half of the neck": (cut("layer_reduce.weight"), "only in the file: layer_reduce_bn.weight"),
    "another depth": (cut("layer2.1.conv1.weight"), "not in the file: layer2.1.conv1.weight"),
    "no dimension": (put("fc.weight"), r"fc.weight \(\(1000, 10\), \(\)\)"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_difference_to_the_nearest_network_is_named(state_dict, change):
    weights = state_dict(RESNET)
    edit, named = CHANGES[change]
    edit(weights)
    with pytest.raises(CheckpointMismatchError, match=named) as caught:
        recognise(weights)
    assert "The nearest is resnet18 with" in str(caught.value)
    assert "Nothing is left out or guessed" in str(caught.value)


def test_a_tensor_of_any_name_is_no_dropcov(state_dict):
    """The family of ShuffleNet has no convolution of DropCov, and so no name for one."""
    weights = {**state_dict(), "None.weight": torch.zeros(1, 1, 3)}
    with pytest.raises(CheckpointMismatchError, match="only in the file: None.weight") as caught:
        recognise(weights)
    assert "DropCov" not in str(caught.value)


@pytest.mark.parametrize("network", ["resnext50_32x4d", "wide_resnet50_2"])
def test_relative_with_the_same_names_is_refused(network):
    with torch.device("meta"):
        weights = torchvision.models.get_model(network).state_dict()
    with pytest.raises(CheckpointMismatchError, match="nearest is resnet50 with average pooling"):
        recognise(weights)


def test_two_networks_in_one_file(state_dict):
    weights = {**state_dict(RESNET), **state_dict()}
    with pytest.raises(UserError, match="'layer1.0.conv1.weight' and 'stage2.0.branch1.0.weight'"):
        recognise(weights)


def test_converted_file():
    with pytest.raises(UserError, match="layout of mmpretrain; --weights-only.*--to-legacy"):
        recognise({"backbone.conv1.weight": torch.zeros(1)})


def test_other_network():
    with pytest.raises(UserError, match=r"begins with block\.0\.weight.*knows resnet18.*plain or"):
        recognise({"block.0.weight": torch.zeros(1)})


def test_dropcov_without_its_reduction_is_refused(state_dict):
    weights = state_dict(Architecture("resnet18", 7))
    weights["eca_layer.conv.weight"] = torch.zeros(1, 1, 3)
    with pytest.raises(CheckpointMismatchError, match="only in the file: eca_layer.conv.weight"):
        recognise(weights)


PUBLISHED = [
    architecture
    for family in FAMILIES
    for network in family.backbones
    for width in (None, 128, 256)
    for method in (None, "dropcov")
    if (architecture := Architecture(network, 1000, width, method)).rows
    if width or method is None
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
    for model in models:
        # How it is trained: the port of DropCov smooths the labels.
        model.head.loss = dict(type="CrossEntropyLoss", loss_weight=1.0)
    assert all(model == models[0] for model in models)
    expected = build(models[0])
    # Layers, strides, activations, dropout and initialisation.
    assert repr(found) == repr(expected)
    assert {name: tensor.shape for name, tensor in expected.state_dict().items()} == shapes


def test_few_classes_have_no_top_five():
    assert model_config(Architecture("resnet18", 3))["head"]["topk"] == (1,)
