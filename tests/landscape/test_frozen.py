"""A probe leaves no trace."""

import random

import numpy as np
import pytest
import torch
from torch import nn

from gcp_mm.errors import UserError
from gcp_mm.landscape import frozen, probe
from landscape.networks import batch, plain


def snapshot(network):
    """Everything that a training depends on, as comparable values."""
    cudnn = torch.backends.cudnn
    return {
        "tensors": {name: tensor.clone() for name, tensor in network.state_dict().items()},
        "gradients": {
            name: None if p.grad is None else p.grad.clone()
            for name, p in network.named_parameters()
        },
        "required": [p.requires_grad for p in network.parameters()],
        "training": [m.training for m in network.modules()],
        "tracking": [getattr(m, "track_running_stats", None) for m in network.modules()],
        "torch": torch.get_rng_state(),
        "numpy": np.random.get_state()[1],
        "python": random.getstate(),
        "autocast": torch.is_autocast_enabled("cpu"),
        "grad mode": torch.is_grad_enabled(),
        "cudnn": (cudnn.enabled, cudnn.benchmark, cudnn.deterministic, cudnn.conv.fp32_precision),
        "products": torch.backends.cuda.matmul.fp32_precision,
    }


def assert_same(found, expected):
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for key in expected:
            assert_same(found[key], expected[key])
    elif isinstance(expected, (torch.Tensor, np.ndarray)):
        assert np.array_equal(np.asarray(found), np.asarray(expected))
    else:
        assert found == expected


class Drawing(nn.Module):
    """Draws random numbers of all three generators, and fails if it is asked to."""

    def __init__(self, error=None):
        super().__init__()
        self.error = error

    def forward(self, x):
        torch.rand(1), np.random.rand(), random.random()
        if self.error:
            raise self.error
        return x


def network(error=None):
    """A network in the middle of a training: mixed modes, a frozen layer and gradients."""
    model = plain()
    model(batch()[0]).sum().backward()
    model.bn1.eval()
    model.conv1.weight.requires_grad_(False)
    model.act = nn.Sequential(model.act, Drawing())
    model.bn2 = nn.Sequential(model.bn2, Drawing(error))
    return model


@pytest.mark.parametrize("batch_norm", ["batch", "eval"])
@pytest.mark.parametrize("amp", [False, True])
@pytest.mark.parametrize("grad_mode", [False, True])
@pytest.mark.parametrize("error", [None, RuntimeError("broken")])
def test_everything_is_as_before(batch_norm, amp, grad_mode, error):
    model, (images, targets) = network(error), batch()
    model.float()
    with torch.autocast("cpu", enabled=amp), torch.set_grad_enabled(grad_mode):
        before = snapshot(model)
        options = dict(at="act", etas=[1.0, 5.0], batch_norm=batch_norm)
        if error:
            with pytest.raises(RuntimeError, match="broken"):
                probe(model, images, targets, **options)
        else:
            found = probe(model, images, targets, **options)
        assert_same(snapshot(model), before)
    if not error:
        # Autocast does not reach the probe.
        assert found.loss == probe(model, images, targets, **options).loss


def test_everything_is_as_before_after_bad_targets():
    model, (images, targets) = network(), batch()
    before = snapshot(model)
    with pytest.raises(UserError):
        probe(model, images, targets + 9, at="act", etas=[1.0])
    assert_same(snapshot(model), before)


@pytest.mark.parametrize("batch_norm", ["batch", "eval"])
def test_inside_only_batch_norm_differs_from_evaluation(batch_norm):
    model, images = plain(), batch()[0]
    model.train()
    reference = plain().train()
    if batch_norm == "eval":
        reference.eval()
    reference.dropout.p = 0
    with frozen(model, batch_norm):
        assert not any(p.requires_grad for p in model.parameters())
        assert torch.backends.cudnn.deterministic
        assert torch.backends.cudnn.conv.fp32_precision == "ieee"
        assert torch.backends.cuda.matmul.fp32_precision == "ieee"
        found = model(images)
    assert torch.equal(found, reference(images))
