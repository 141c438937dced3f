"""Published settings by network, and mistakes."""

import numpy as np
import pytest
import torchvision
from mmpretrain.models import build_backbone
from torch import nn

from gcp_mm.errors import UserError
from gcp_mm.landscape.settings import find_preset, resolve
from landscape.networks import plain

# Path, first and last step, batch that they belong to, and interval.
PUBLISHED = {
    "ResNet": ("maxpool", 0.1, 75, 256, 500),
    "MobileNetV2": ("conv1", 0.045, 1.5, 96, 1000),
}


def mmpretrain(name):
    network = nn.Module()
    depth = {"depth": 18} if name == "ResNet" else {}
    network.backbone = build_backbone(dict(type=name, **depth))
    return network


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_settings(name):
    at, low, high, batch, interval = PUBLISHED[name]
    network = mmpretrain(name)
    settings = resolve(network, rescale=True)
    assert settings.at == f"backbone.{at}"
    assert np.allclose(settings.etas, np.linspace(low, high, 50), rtol=1e-15)
    assert (settings.etas[0], settings.etas[-1]) == (low, high)
    assert (settings.direction, settings.batch_norm) == ("ascent", "batch")
    assert settings.reference_batch == batch and resolve(network).reference_batch is None
    assert np.allclose(settings.etas_for(batch // 4), np.array(settings.etas) / 4)
    assert find_preset(network).interval == interval


@pytest.mark.parametrize(
    ("network", "at"),
    [
        ("resnet18", "maxpool"),
        ("mobilenet_v2", "features.0"),
        ("shufflenet_v2_x0_5", "maxpool"),
    ],
)
def test_networks_of_torchvision_have_the_same_point(network, at):
    assert resolve(torchvision.models.get_model(network), etas=[1.0]).at == at


MISTAKES = [
    (dict(etas=dict(start=1, end=2)), ["'end'", "start, stop and num"]),
    (dict(etas=dict(start=1, stop=2, num=-1)), ["num", "start, stop and num"]),
    (dict(etas=["a"]), ["['a']", "neither numbers nor"]),
    (dict(etas=[]), ["at least one"]),
    (dict(etas=[1.0, -2.0]), ["positive", "-2.0"]),
    (dict(etas=[1.0, float("nan")]), ["positive"]),
    (dict(etas=[1.0], rescale=True), ["rescale=True", "batch size instead"]),
    (dict(etas=[1.0], rescale=0), ["rescale=0"]),
    (dict(etas=[1.0], batch_norm="none"), ["batch_norm='none'", "'batch', 'eval'"]),
]


@pytest.mark.parametrize(("arguments", "named"), MISTAKES)
def test_mistake_is_named(arguments, named):
    with pytest.raises(UserError) as caught:
        resolve(plain(), "act", **arguments)
    assert all(part in str(caught.value) for part in named), caught.value


def test_shufflenet_has_a_point_but_no_published_steps():
    network = mmpretrain("ShuffleNetV2")
    with pytest.raises(UserError, match="no step sizes are published for ShuffleNetV2"):
        resolve(network)
    assert resolve(network, etas=dict(start=0.1, stop=1, num=3)).etas == (0.1, 0.55, 1.0)
