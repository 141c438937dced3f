"""ConvNeXt, Swin and ViT: small networks in numbers, the real ones in names and shapes."""

from functools import partial

import pytest
import torch
import torchvision
from mmpretrain.registry import MODELS
from random_weights import randomise, without_start
from torch import nn
from torchvision.models.convnext import CNBlockConfig, ConvNeXt
from torchvision.models.swin_transformer import SwinTransformer
from torchvision.models.vision_transformer import VisionTransformer

from gcp_mm.checkpoints.coverage import compare
from gcp_mm.conversion import Architecture, convert, model_config, recognise, restore
from gcp_mm.conversion.families import FAMILY_OF
from gcp_mm.conversion.name_rules import translate
from gcp_mm.conversion.plain_networks import plain_tensors
from gcp_mm.conversion.verify import logits_before_and_after
from gcp_mm.errors import UserError

# Torchvision's class, mmpretrain's settings, channels behind it, and a size of the images.
SMALL = {
    "convnext_tiny": (
        partial(
            ConvNeXt,
            [
                CNBlockConfig(8, 12, 1),
                CNBlockConfig(12, 16, 2),
                CNBlockConfig(16, 20, 1),
                CNBlockConfig(20, None, 1),
            ],
        ),
        dict(arch=dict(depths=[1, 2, 1, 1], channels=[8, 12, 16, 20])),
        20,
        (64, 96),
    ),
    "swin_t": (
        partial(SwinTransformer, [4, 4], 8, [2, 2, 3, 1], [1, 2, 2, 4], [4, 4]),
        dict(
            arch=dict(embed_dims=8, depths=[2, 2, 3, 1], num_heads=[1, 2, 2, 4]),
            window_size=4,
            img_size=(128, 256),
        ),
        64,
        (128, 256),
    ),
    "vit_b_16": (
        partial(VisionTransformer, 32, 8, 2, 3, 12, 20),
        dict(
            arch=dict(embed_dims=12, num_layers=2, num_heads=3, feedforward_channels=20),
            img_size=32,
            patch_size=8,
        ),
        12,
        (32, 32),
    ),
}
REAL = [network for name in SMALL for network in FAMILY_OF[name].backbones]


@pytest.fixture(params=SMALL)
def small(request, monkeypatch):
    """Let a network's name stand for a small one, and return the name, weights and image size."""
    network = request.param
    build, settings, channels, size = SMALL[network]
    family = FAMILY_OF[network]
    monkeypatch.setattr(
        *(torchvision.models, "get_model"),
        lambda network, weights=None, num_classes=1000: build(num_classes=num_classes),
    )
    trunk = {**family.backbones[network], **settings}
    monkeypatch.setitem(family.backbones, network, trunk)
    monkeypatch.setitem(family.channels, network, channels)
    plain_tensors.cache_clear()
    request.addfinalizer(plain_tensors.cache_clear)
    return network, randomise(build(num_classes=5)).state_dict(), size


def test_small_network_computes_the_same(small, worst):
    network, weights, size = small
    conversion = convert(weights)
    assert conversion.architecture == Architecture(network, num_classes=5)
    assert len(conversion.state_dict) == len(weights)
    image = torch.randn(3, *size, generator=torch.Generator().manual_seed(0))
    with without_start():
        ((before, after),) = logits_before_and_after(conversion, [image])
    assert before.dtype == torch.float64 and before.abs().max() > 0.01
    assert worst(after, before) < 1e-11


@pytest.mark.parametrize("kind", [lambda t: t, nn.Parameter], ids=["tensors", "Parameters"])
def test_way_back_of_a_small_network_is_exact(small, same, kind):
    _, weights, _ = small
    floating = {n: t for n, t in weights.items() if t.is_floating_point()}
    weights.update({name: kind(tensor) for name, tensor in floating.items()})
    converted = convert(weights)
    assert {type(t) for t in converted.state_dict.values()} == {type(t) for t in weights.values()}
    assert same(restore(converted.checkpoint()), weights)


@pytest.mark.parametrize("small", ["vit_b_16"], indirect=True)
def test_older_names_of_the_vision_transformer(small, same):
    _, weights, _ = small
    older = {
        name.replace("mlp.0.", "mlp.linear_1.").replace("mlp.3.", "mlp.linear_2."): tensor
        for name, tensor in weights.items()
    }
    converted = convert(older)
    assert len(set(older) - set(weights)) == 8
    assert same(converted.state_dict, convert(weights).state_dict)
    assert same(restore(converted.checkpoint()), older)


@pytest.mark.parametrize("network", REAL)
def test_names_and_shapes_are_those_of_mmpretrain(network, monkeypatch):
    # mmpretrain's Swin reads numbers out of a linspace, which the meta device cannot give.
    monkeypatch.setattr(torch, "linspace", partial(torch.linspace, device="cpu"))
    rules = FAMILY_OF[network].rules
    with torch.device("meta"):
        weights = torchvision.models.get_model(network, weights=None).state_dict()
        expected = MODELS.build(model_config(Architecture(network, 1000))).state_dict()
    coverage = compare(expected, translate(weights, rules))
    assert coverage.complete and not coverage.unused, coverage.details()


@pytest.mark.parametrize("network", ["swin_v2_t", "maxvit_t"])
def test_other_transformers_are_not_taken_for_these(network):
    with torch.device("meta"):
        weights = torchvision.models.get_model(network, weights=None).state_dict()
    with pytest.raises(UserError, match="is not recognised"):
        recognise(weights)


def test_window_of_another_size_is_refused():
    with torch.device("meta"):
        weights = torchvision.models.get_model("swin_t").state_dict()
        weights["features.1.0.attn.relative_position_bias_table"] = torch.empty(225, 3)
    with pytest.raises(UserError, match=r"bias_table \(\(169, 3\), \(225, 3\)\)"):
        recognise(weights)
