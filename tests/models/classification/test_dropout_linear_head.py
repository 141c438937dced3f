import pytest
import torch
from torch import nn

from gcp_mm.models.classification import DropoutLinearClsHead


def test_evaluation_is_the_linear_layer(images, worst):
    head = DropoutLinearClsHead(5, 7).double().eval()
    x = images(3, 7).double()
    found = head((images(3, 2), x))
    assert worst(found, x @ head.fc.weight.T + head.fc.bias) < 1e-14
    assert list(head.state_dict()) == ["fc.weight", "fc.bias"]


@pytest.mark.parametrize("rate", [0.0, 0.2, 0.5])
def test_training_drops_and_rescales_the_input(rate):
    """With W = I the logits are the inputs, either 0 or divided by 1 - rate."""
    torch.manual_seed(0)
    arguments = {} if rate == 0.2 else dict(dropout_rate=rate)
    head = DropoutLinearClsHead(2000, 2000, **arguments).train()
    nn.init.eye_(head.fc.weight)
    nn.init.zeros_(head.fc.bias)
    found = head((torch.ones(1, 2000),))
    kept = found != 0
    assert torch.allclose(found[kept], torch.tensor(1 / (1 - rate)))
    assert kept.float().mean().item() == pytest.approx(1 - rate, abs=0.04)
