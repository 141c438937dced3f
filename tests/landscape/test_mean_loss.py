import pytest
import torch
from torch import nn

from gcp_mm.errors import UserError
from gcp_mm.landscape.loss import finite_mean_loss, mean_loss


def batches(*sizes):
    torch.manual_seed(0)
    return [(torch.randn(size, 4), torch.arange(size) % 3) for size in sizes]


def test_mean_is_over_images_not_over_batches():
    network = nn.Linear(4, 3)
    inputs, targets = (torch.cat(part) for part in zip(*batches(5, 2), strict=True))
    expected = nn.functional.cross_entropy(network(inputs).double(), targets)
    found = mean_loss(network, batches(5, 2))
    assert found == pytest.approx(float(expected.detach()), rel=1e-12)


def test_weights_replace_those_of_the_model():
    network, other = nn.Linear(4, 3), nn.Linear(4, 3)
    before = network.weight.clone()
    weights = {"weight": other.weight, "bias": other.bias}
    assert mean_loss(network, batches(5), weights) == mean_loss(other, batches(5))
    assert torch.equal(network.weight, before)


def test_loss_that_is_not_finite_is_an_error():
    network = nn.Linear(4, 3)
    nn.init.constant_(network.bias, float("nan"))
    with pytest.raises(UserError, match="the loss of the network itself is nan"):
        finite_mean_loss(network, batches(5))
