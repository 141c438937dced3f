"""Mixed precision on the CPU."""

import pytest
import torch
from mmengine.registry import OPTIM_WRAPPERS
from torch import nn

from gcp_mm.errors import UserError
from gcp_mm.ops import GlobalCovariancePool


def build(model, **changes):
    cfg = dict(
        type="gcp_mm.CPUAmpOptimWrapper", optimizer=torch.optim.SGD(model.parameters(), lr=0.5)
    )
    return OPTIM_WRAPPERS.build({**cfg, **changes})


def test_convolution_is_bfloat16_and_the_pooling_layer_float32():
    model = nn.Conv2d(3, 4, 1)
    wrapper, pool = build(model), GlobalCovariancePool()
    images = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    with wrapper.optim_context(model):
        features = model(images)
        pooled = pool(features)
    assert features.dtype == torch.bfloat16
    # The layer rounds its result to the dtype of its input, and nothing before that.
    assert torch.equal(pooled, pool(features.float()).to(pooled.dtype))
    assert not torch.is_autocast_enabled("cpu")
    assert features.grad_fn is not None
    assert model.weight.dtype == torch.float32


def test_accumulates_as_mmengine_does():
    model = nn.Linear(2, 1, bias=False)
    nn.init.constant_(model.weight, 1.0)
    wrapper = build(model, accumulative_counts=2)
    for step, expected in enumerate(([1.0, 1.0], [0.5, 0.0])):
        with wrapper.optim_context(model):
            loss = model(torch.tensor([[1.0, 2.0]])).sum()
        assert loss.dtype == torch.bfloat16
        wrapper.update_params(loss.float())
        assert model.weight.tolist() == [expected], step


def test_other_dtype_is_refused():
    model = nn.Linear(2, 1)
    build(model, dtype="bfloat16")
    build(model, dtype=torch.bfloat16)
    with pytest.raises(UserError, match="CPUAmpOptimWrapper has no dtype=float16"):
        build(model, dtype="float16")


def test_takes_the_state_of_a_run_on_a_gpu():
    model = nn.Linear(2, 1)
    wrapper = build(model, optimizer=torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9))
    model(torch.ones(1, 2)).sum().backward()
    wrapper.step()
    state = wrapper.state_dict()
    assert "loss_scaler" not in state
    other = build(model, optimizer=torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9))
    other.load_state_dict({**state, "loss_scaler": {"scale": 65536.0}})
    assert other.get_lr()["lr"] == [0.5]
    assert all(
        torch.equal(entry["momentum_buffer"], torch.ones_like(entry["momentum_buffer"]))
        for entry in other.optimizer.state.values()
    )
