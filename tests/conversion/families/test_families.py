"""Every network of every family, before and after its conversion."""

import pytest
import torch
import torchvision
from random_weights import without_start

from gcp_mm.conversion import Architecture, convert, recognise, restore
from gcp_mm.conversion.families import FAMILIES
from gcp_mm.conversion.verify import logits_before_and_after

ARCHITECTURES = [
    Architecture(network, num_classes=5, reduced_channels=width)
    for family in FAMILIES
    for network in family.backbones
    for width in (None, 6)
    if family.covariance  # the others are large; test_transformers.py has small ones
]
ARCHITECTURES += [Architecture(name, 5, 6, method="dropcov") for name in ("resnet18", "resnet50")]


@pytest.fixture(params=ARCHITECTURES, ids=str)
def architecture(request):
    return request.param


def test_network_is_recognised_and_computes_the_same(architecture, state_dict, worst):
    conversion = convert(state_dict(architecture))
    assert conversion.architecture == architecture
    image = torch.randn(3, 64, 64, generator=torch.Generator().manual_seed(0))
    with without_start():
        ((before, after),) = logits_before_and_after(conversion, [image])
    assert before.dtype == torch.float64 and before.abs().max() > 0.01
    assert worst(after, before) < 1e-11


@pytest.mark.parametrize(
    "architecture",
    [a for a in ARCHITECTURES if a.network in {next(iter(f.backbones)) for f in FAMILIES}],
    ids=str,
)
def test_way_back_is_exact(architecture, legacy, same):
    source = legacy(architecture)
    converted = convert(source, keep_optimizer=True).checkpoint()
    assert not same(converted["state_dict"], source["state_dict"])
    assert same(restore(converted), source)


@pytest.mark.parametrize(
    "network", [network for family in FAMILIES for network in family.backbones]
)
def test_networks_are_torchvisions(network):
    with torch.device("meta"):
        weights = torchvision.models.get_model(network).state_dict()
    assert recognise(weights) == Architecture(network, 1000)
