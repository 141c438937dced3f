import pytest
import torch

from gcp_mm.models.detection import GCPDResNet


@pytest.mark.parametrize(
    "arguments", [{}, dict(deep_stem=True), dict(style="caffe"), dict(out_indices=(0, 3))], ids=str
)
@pytest.mark.parametrize("size", [(64, 64), (67, 33)], ids=str)
def test_equals_the_plain_backbone(plain_resnet, with_weights_of, images, arguments, size):
    plain = plain_resnet(18, **arguments)
    ours = with_weights_of(lambda: GCPDResNet(18, **arguments), plain)
    x = images(1, 3, *size).double()
    with torch.no_grad():
        found, expected = ours(x), plain(x)
    for ours_at, theirs_at in zip(found, expected, strict=True):
        assert torch.equal(ours_at, theirs_at)


@pytest.mark.slow
def test_equals_torchvision(torchvision_resnet, randomise, images, worst):
    theirs = randomise(torchvision_resnet(50)).double().eval()
    ours = GCPDResNet(50).double().eval()
    weights = {name: t for name, t in theirs.state_dict().items() if not name.startswith("fc.")}
    ours.load_state_dict(weights, strict=True)
    x = images(1, 3, 33, 49).double()
    with torch.no_grad():
        found = ours(x)
        theirs_at = theirs.maxpool(theirs.relu(theirs.bn1(theirs.conv1(x))))
        for ours_at, stage in zip(found, ("layer1", "layer2", "layer3", "layer4"), strict=True):
            theirs_at = theirs.get_submodule(stage)(theirs_at)
            assert worst(ours_at, theirs_at) < 1e-12


@pytest.mark.parametrize("depth", [18, 50])
def test_names_are_torchvisions(torchvision_resnet, depth):
    with torch.device("meta"):
        theirs = torchvision_resnet(depth).state_dict()
    ours = GCPDResNet(depth).state_dict()
    expected = {name: t.shape for name, t in theirs.items() if not name.startswith("fc.")}
    assert {name: t.shape for name, t in ours.items()} == expected


def test_switching_modes_returns_the_module():
    network = GCPDResNet(18, frozen_stages=1, norm_eval=True)
    assert network.train().eval().train() is network
    assert network.training and not network.bn1.training
