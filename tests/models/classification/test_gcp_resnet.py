from functools import partial

import pytest
import torch
from torch import nn

from gcp_mm.models.classification import GCPResNet

# Parameters at 256 and 128 channels before the covariance; tensors of the state dict.
SIZES = {
    18: (44_205_096, 19_499_304, 128),
    34: (54_313_256, 29_607_464, 224),
    50: (56_929_832, 32_027_432, 326),
    101: (75_921_960, 51_019_560, 632),
}


@pytest.mark.parametrize("depth", SIZES)
def test_size_of_the_classifier(classifier, monkeypatch, depth):
    # mmpretrain's ResNet reads numbers out of a linspace, which the meta device cannot give.
    monkeypatch.setattr(torch, "linspace", partial(torch.linspace, device="cpu"))
    with torch.device("meta"):
        wide, narrow = (classifier(depth=depth, width=width) for width in (256, 128))
    parameters = [sum(p.numel() for p in network.parameters()) for network in (wide, narrow)]
    assert (*parameters, len(wide.state_dict())) == SIZES[depth]


@pytest.mark.parametrize(
    ("depth", "size", "expected"), [(18, 64, 4), (18, 49, 4), (34, 48, 3), (50, 48, 3)]
)
def test_equals_torchvision_with_stride_one_at_the_end(
    torchvision_resnet, randomise, images, worst, depth, size, expected
):
    theirs = randomise(torchvision_resnet(depth, last_stride=1)).double().eval()
    ours = GCPResNet(depth).double().eval()
    weights = {name: t for name, t in theirs.state_dict().items() if not name.startswith("fc.")}
    ours.load_state_dict(weights, strict=True)
    theirs.avgpool, theirs.fc = nn.Identity(), nn.Identity()

    x = images(2, 3, size, size).double()
    with torch.no_grad():
        (found,) = ours(x)
        channels = found.shape[1]
        wanted = theirs(x).view(2, channels, expected, expected)
    assert worst(found, wanted) < 1e-12


def test_image_of_224_gives_196_positions():
    with torch.no_grad():
        (found,) = GCPResNet(18).eval()(torch.zeros(1, 3, 224, 224))
    assert found.shape == (1, 512, 14, 14)


@pytest.mark.parametrize(("depth", "last"), [(18, "bn2"), (50, "bn3")])
@pytest.mark.parametrize(("arguments", "start"), [({}, 1.0), (dict(zero_init_residual=True), 0.0)])
def test_start_of_the_last_norm_of_each_branch(depth, last, arguments, start):
    backbone = GCPResNet(depth, **arguments)
    backbone.init_weights()
    norms = [m for name, m in backbone.named_modules() if name.endswith(f".{last}")]
    assert len(norms) == {18: 8, 50: 16}[depth]
    assert all((norm.weight == start).all() and not norm.bias.any() for norm in norms)


def test_start_of_the_convolutions():
    """Normal fan-out, as in the original: variance 2 / (kernel area * outputs)."""
    torch.manual_seed(0)
    backbone = GCPResNet(18)
    backbone.init_weights()
    for name in ("layer4.0.conv1", "layer4.1.conv2", "layer3.0.downsample.0"):
        conv = backbone.get_submodule(name)
        expected = (2 / (conv.out_channels * conv.kernel_size[0] ** 2)) ** 0.5
        assert conv.weight.std().item() == pytest.approx(expected, rel=0.01)
        assert conv.weight.mean().item() == pytest.approx(0, abs=0.01 * expected)


def test_strides_are_an_argument():
    with torch.no_grad():
        (found,) = GCPResNet(18, strides=(1, 2, 2, 2)).eval()(torch.zeros(1, 3, 64, 64))
    assert found.shape == (1, 512, 2, 2)


def test_switching_modes_returns_the_module():
    backbone = GCPResNet(18, frozen_stages=1, norm_eval=True)
    assert backbone.train() is backbone and backbone.eval() is backbone
    assert not backbone.train().bn1.training and backbone.layer4.training
    frozen = {name for name, p in backbone.named_parameters() if not p.requires_grad}
    assert frozen and all(name.startswith(("conv1.", "bn1.", "layer1.")) for name in frozen)
