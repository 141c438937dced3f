import pytest
import torch
import torchvision
from torch import nn

from gcp_mm.models.classification import ShuffleNetV2

WIDTHS = {0.5: 1024, 1.0: 1024, 1.5: 1024, 2.0: 2048}


@pytest.mark.parametrize(("widen_factor", "channels"), WIDTHS.items())
def test_channels_of_each_width(widen_factor, channels):
    with torch.no_grad():
        (found,) = ShuffleNetV2(widen_factor=widen_factor).eval()(torch.zeros(1, 3, 64, 64))
    assert found.shape == (1, channels, 2, 2)


def spreads(network):
    """Standard deviations of the convolutions' weights, in order."""
    convs = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    return torch.stack([conv.weight.std() for conv in convs]), convs


def test_start_is_that_of_torchvision():
    """Torchvision leaves PyTorch's initialisation, as the original code does."""
    torch.manual_seed(0)
    ours = ShuffleNetV2(widen_factor=1.0)
    ours.init_weights()
    found, convs = spreads(ours)
    expected, _ = spreads(torchvision.models.shufflenet_v2_x1_0())
    large = torch.tensor([conv.weight.numel() > 3000 for conv in convs])
    assert found.shape == expected.shape and large.sum() > 30
    torch.testing.assert_close(found[large], expected[large], rtol=0.03, atol=0)
    # Uniform: nothing lies outside sqrt(1 / fan_in), and something close to it.
    for conv in convs:
        bound = conv.weight[0].numel() ** -0.5
        assert conv.weight.abs().max() <= bound
        assert conv.weight.abs().max() > 0.95 * bound or conv.weight.numel() < 500
    norms = [m for m in ours.modules() if isinstance(m, nn.BatchNorm2d)]
    assert all((norm.weight == 1).all() and not norm.bias.any() for norm in norms)


def test_start_is_drawn_anew_each_time():
    network = ShuffleNetV2()
    torch.manual_seed(0)
    network.init_weights()
    first = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    network.init_weights()
    assert not torch.equal(first["conv1.conv.weight"], network.conv1.conv.weight)
    network._is_init = False
    torch.manual_seed(0)
    network.init_weights()
    assert all(torch.equal(tensor, first[name]) for name, tensor in network.state_dict().items())


def test_own_init_cfg_comes_last():
    network = ShuffleNetV2(init_cfg=dict(type="Constant", layer="Conv2d", val=0.5))
    network.init_weights()
    assert (network.layers[0][0].branch2[0].conv.weight == 0.5).all()
