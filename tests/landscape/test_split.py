"""The stem runs once, whatever is behind it."""

import pytest
import torch
from mmpretrain.models import build_backbone
from random_weights import randomise
from torch import nn

import gcp_mm.registry  # noqa: F401  (its models)
from gcp_mm.errors import UserError
from gcp_mm.landscape import frozen, probe
from gcp_mm.landscape.split import SplitNetwork
from landscape.networks import Residual, batch, plain

NARROW = dict(depth=18, stem_channels=8, base_channels=8)
# Config of a backbone, its probe point, and a convolution of its stem and one behind it.
BACKBONES = {
    "ResNet": (NARROW, "backbone.maxpool", "conv1", "layer1.0.conv1"),
    "GCPResNet": (NARROW, "backbone.maxpool", "conv1", "layer1.0.conv1"),
    "ResNet_CIFAR": (NARROW, "backbone.relu", "conv1", "layer1.0.conv1"),
    "MobileNetV2": (
        dict(widen_factor=0.25),
        "backbone.conv1",
        "conv1.conv",
        "layer1.0.conv.0.conv",
    ),
    "ShuffleNetV2": (
        dict(widen_factor=0.5),
        "backbone.maxpool",
        "conv1.conv",
        "layers.0.0.branch1.0.conv",
    ),
}


class Classifier(nn.Module):
    """A backbone of mmpretrain and a classifier of its averaged map."""

    def __init__(self, name):
        super().__init__()
        scope = "gcp_mm" if name == "GCPResNet" else "mmpretrain"
        self.backbone = build_backbone(dict(type=f"{scope}.{name}", **BACKBONES[name][0]))
        self.fc = nn.LazyLinear(3)

    def forward(self, x):
        return self.fc(self.backbone(x)[-1].mean((2, 3)))


def count_calls(module):
    calls = []
    module.register_forward_hook(lambda *_: calls.append(1))
    return calls


@pytest.mark.parametrize("name", BACKBONES)
def test_stem_runs_once_and_the_tail_for_every_step(name):
    _, point, in_stem, in_tail = BACKBONES[name]
    images, targets = batch(number=3, size=16 if name == "ResNet_CIFAR" else 64)
    network = Classifier(name).double()
    network(images)
    randomise(network)
    stem, tail = (count_calls(network.get_submodule(f"backbone.{p}")) for p in (in_stem, in_tail))
    found = probe(network, images, targets, etas=[0.1, 1.0])
    assert found.at == point
    assert (len(stem), len(tail)) == (1, 3)
    # What the whole network gives.
    with torch.no_grad(), frozen(network):
        loss = nn.functional.cross_entropy(network(images), targets)
    assert found.loss == pytest.approx(loss.item(), rel=1e-14)


@pytest.mark.parametrize("point", ["conv", "branch", "bn"])
def test_shortcut_round_the_point_keeps_what_the_stem_gave(point):
    images, targets = batch()
    network = randomise(Residual()).double()
    found = probe(network, images, targets, at=point, etas=[0.5])

    def run(activation=None):
        def replace(module, args, output):
            nonlocal kept
            kept = output if activation is None else activation
            return kept.clone()

        kept = None
        handle = network.get_submodule(point).register_forward_hook(replace)
        with frozen(network):
            loss = nn.functional.cross_entropy(network(images), targets)
            (gradient,) = torch.autograd.grad(loss, kept) if activation is not None else (None,)
        handle.remove()
        return loss.item(), kept.detach(), gradient

    _, y, _ = run()
    base, _, g = run(y.requires_grad_())
    loss, _, there = run((y + 0.5 * g).detach().requires_grad_())
    assert found.loss == pytest.approx(base, rel=1e-13)
    assert found.losses[0] == pytest.approx(loss, rel=1e-13)
    assert found.grad_diffs[0] == pytest.approx((there - g).norm().item(), rel=1e-10)


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("relu", "'relu' runs more than once"),
        ("idle", "'idle' does not run"),
        ("pair", "'pair' returns a tuple"),
    ],
)
def test_module_that_is_no_single_place_is_refused(module, words):
    class Pair(nn.Module):
        def forward(self, x):
            return x, x

    network = Residual().double()
    network.idle, network.pair = nn.Identity(), Pair()
    if module == "pair":
        network.conv.register_forward_hook(lambda _, __, output: network.pair(output)[0])
    with pytest.raises(UserError, match=words):
        probe(network, *batch(), at=module, etas=[1.0])


def test_network_has_its_own_modules_again_after_an_exception():
    network = plain()
    before = dict(network.named_modules())
    split = SplitNetwork(network, "act", batch()[0])

    def fail():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        split.tail(fail)
    after = dict(network.named_modules())
    assert list(after) == list(before)
    assert all(after[name] is module for name, module in before.items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.modules())
