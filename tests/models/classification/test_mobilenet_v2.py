import pytest
import torch
from torch import nn

from gcp_mm.models.classification import MobileNetV2


def test_image_of_224_gives_49_positions_of_1280_channels():
    with torch.no_grad():
        (found,) = MobileNetV2().eval()(torch.zeros(1, 3, 224, 224))
    assert found.shape == (1, 1280, 7, 7)


def test_start_of_the_weights():
    """Normal fan-out of the weight's own shape, depthwise convolutions too; norms 1 and 0."""
    torch.manual_seed(0)
    network = MobileNetV2()
    network.init_weights()
    convs = [m for m in network.modules() if isinstance(m, nn.Conv2d) and m.weight.numel() > 20000]
    assert len(convs) > 20
    for conv in convs:
        expected = (2 / (conv.weight.shape[0] * conv.kernel_size[0] ** 2)) ** 0.5
        assert conv.weight.std().item() == pytest.approx(expected, rel=0.03)
    depthwise = network.get_submodule("layer7.0.conv.1.conv")
    assert depthwise.groups == 960
    assert depthwise.weight.std().item() == pytest.approx((2 / (960 * 9)) ** 0.5, rel=0.03)
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    assert all((norm.weight == 1).all() and not norm.bias.any() for norm in norms)
