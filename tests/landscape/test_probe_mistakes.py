"""What cannot be probed is named."""

import pytest
import torch
from random_weights import randomise
from torch import nn

from gcp_mm.errors import UserError
from gcp_mm.landscape import probe
from landscape.networks import Plain, batch, plain

ETAS = [0.1, 2.0, 40.0]


class Unused(nn.Module):
    """The output of `aside` is computed and thrown away."""

    def __init__(self):
        super().__init__()
        self.aside, self.bn, self.fc = nn.Identity(), nn.BatchNorm1d(3), nn.Linear(3, 3)

    def forward(self, x):
        self.aside(x)
        return self.fc(self.bn(x))


class Exploding(Plain):
    """Overflows far from where it is."""

    def tail(self, x):
        return super().tail(x) * x.abs().max().exp()


class Root(Plain):
    """Has no derivative where an activation is 0, as behind a ReLU."""

    def tail(self, x):
        return super().tail(x.sqrt())


class LateRoot(Plain):
    """The same, but only far from where it is."""

    def tail(self, x):
        return super().tail(((1e4 - x) * (x < 1e4)).square().sqrt())


def diverged():
    network = plain()
    nn.init.constant_(network.fc.bias, torch.nan)
    return network


IMAGES, TARGETS = batch()
MISTAKES = {
    "unknown module": (plain, dict(at="cov1"), ["Plain", "'cov1'", "conv1"]),
    "no default": (plain, dict(at=None), ["no default probe point for Plain", "conv1"]),
    "no batch norm": (
        lambda: nn.Sequential(nn.Conv2d(3, 3, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        dict(at="0"),
        ["batch_norm='batch'", "Sequential", "batch_norm='eval'"],
    ),
    "no steps": (plain, dict(etas=None), ["no step sizes are published for Plain", "etas"]),
    "diverged": (diverged, {}, ["the loss is nan before any step"]),
    "diverges on the way": (
        lambda: randomise(Exploding()).double(),
        dict(etas=[0.1, 1e6, 2e6], direction="descent"),
        ["at step 2 of 3 (eta = 1e+06)"],
    ),
    "no derivative": (
        lambda: randomise(Root()).double(),
        {},
        ["not finite before any step", "'act'"],
    ),
    "no derivative on the way": (
        lambda: randomise(LateRoot()).double(),
        dict(etas=[0.1, 1e8]),
        ["the gradient is not finite at step 2 of 2", "behind 'act'"],
    ),
    "soft labels": (
        plain,
        dict(targets=torch.full((6, 3), 1 / 3)),
        ["(6, 3)", "float32", "class indices"],
    ),
    "class too large": (plain, dict(targets=TARGETS + 1), ["from 1 to 3", "3 classes (0 to 2)"]),
    "not on the way": (
        lambda: Unused().double(),
        dict(at="aside", inputs=IMAGES[:, :, 0, 0]),
        ["the loss does not depend on the output of 'aside'"],
    ),
    "a map": (
        lambda: nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)).double(),
        dict(at="0"),
        ["(6, 3, 10, 10)", "logits"],
    ),
    "direction": (plain, dict(direction="up"), ["direction='up'", "'ascent'", "'descent'"]),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistake_is_named(mistake):
    build, changes, named = MISTAKES[mistake]
    arguments = dict(inputs=IMAGES, targets=TARGETS, at="act", etas=ETAS) | changes
    with pytest.raises(UserError) as caught:
        probe(build(), **arguments)
    for part in named:
        assert part in str(caught.value)
