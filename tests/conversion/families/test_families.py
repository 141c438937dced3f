"""Every network of every family, before and after its conversion."""

import pytest
import torch
import torchvision
from random_weights import without_start

from gcp_mm.conversion import Architecture, convert, recognise, restore
from gcp_mm.conversion.families import FAMILIES
from gcp_mm.conversion.verify import logits_before_and_after
from gcp_mm.errors import UserError

# The largest, whose layers are those of ResNet-50: what is behind them does not know their number.
DEEP = {"resnet101": [None], "resnet152": [6]}
ARCHITECTURES = [
    Architecture(network, num_classes=5, reduced_channels=width)
    for family in FAMILIES
    for network in family.backbones
    for width in DEEP.get(network, (None, 6))
    if family.covariance  # the others are large; test_transformers.py has small ones
]
ARCHITECTURES += [Architecture(name, 5, 6, method="dropcov") for name in ("resnet18", "resnet50")]


@pytest.fixture(params=ARCHITECTURES, ids=str)
def architecture(request):
    return request.param


def test_network_is_recognised_and_computes_the_same(architecture, state_dict, worst):
    conversion = convert(state_dict(architecture))
    assert conversion.architecture == architecture
    # The last maps have 2 x 2 positions at least, so that every weight of a kernel counts.
    image = torch.randn(3, 48, 48, generator=torch.Generator().manual_seed(0))
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


HEADLESS = [
    Architecture("mobilenet_v2", None),
    Architecture("shufflenet_v2_x0_5", None, 4),
    Architecture("resnet18", None, 4, "dropcov"),
]


@pytest.mark.parametrize("architecture", HEADLESS, ids=str)
@pytest.mark.parametrize("order", ["row", "column"])
def test_file_without_a_classifier(architecture, order, state_dict, same, worst):
    """What the classifier would take is compared; the order of its columns says nothing."""
    source = dict(state_dict(architecture))
    if order == "column" and not architecture.covariance:
        with pytest.raises(UserError, match="is for covariance pooling.*no classifier"):
            convert(source, order)
        return
    conversion = convert(source, order)
    assert conversion.architecture == architecture and not architecture.rows
    assert not any(name.startswith("head.") for name in conversion.state_dict)
    image = torch.randn(3, 64, 64, generator=torch.Generator().manual_seed(0))
    if order == "row":
        with without_start():
            ((before, after),) = logits_before_and_after(conversion, [image])
        length = architecture.vector_length or 1280
        assert before.shape == (length,) and before.abs().max() > 0.01
        assert worst(after, before) < 1e-11
    assert same(restore(conversion.checkpoint()), source)


@pytest.mark.parametrize(
    "network",
    [network for family in FAMILIES if family.plain is None for network in family.backbones],
)
def test_networks_are_torchvisions(network):
    with torch.device("meta"):
        weights = torchvision.models.get_model(network).state_dict()
    assert recognise(weights) == Architecture(network, 1000)
