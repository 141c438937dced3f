"""DropCov's channels: weights, rate and mask against the original, and the edges it fell off."""

import math

import numpy as np
import pytest
import torch

from gcp_mm.ops import AdaptiveChannelDropout, SecondOrderPool, second_order_pool

GOLDEN = ["dropcov_train_tall", "dropcov_train_rho0"]
# Two processes with the parts of a batch write the rate that each has.
PROCESSES = """
import os
import sys
import torch
import torch.distributed as dist
from gcp_mm.ops import AdaptiveChannelDropout

numbers, store, *files = sys.argv[1:]
rank = int(os.fork() == 0)
dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
x, weight = torch.load(numbers)
module = AdaptiveChannelDropout(x.shape[1]).double()
module.conv.weight.data = weight
half = x[:2] if rank == 0 else x[2:]
weights = module.channel_weights(half)
rate = module.rate(weights.detach(), half * (1 + weights.detach()[..., None]))
torch.save(rate, files[rank])
dist.destroy_process_group()
if rank == 0:
    os.wait()
"""


@pytest.fixture
def module(family):
    """Return the module with a golden file's weight, and the file."""

    def build(name, dtype=torch.float64):
        golden = family(name)
        module = AdaptiveChannelDropout(golden["x"].shape[1])
        module.conv.weight.data = torch.tensor(golden["eca_weight"]).view(1, 1, 3)
        return module.to(dtype), golden

    return build


@pytest.mark.parametrize("name", GOLDEN)
def test_weights_and_rate(module, worst, name):
    module, golden = module(name)
    x = torch.tensor(golden["x"]).flatten(2)
    weights = module.channel_weights(x)
    reweighted = x * (1 + weights[..., None])
    assert worst(weights, golden["channel_weight"]) < 1e-12
    assert worst(reweighted, golden["x_reweighted"].reshape(x.shape)) < 1e-12
    rho = module.rate(weights.detach(), reweighted.detach())
    assert float(rho) == pytest.approx(np.clip(golden["rho_raw"], 0, 1), abs=1e-12)


@pytest.mark.parametrize("name", GOLDEN)
def test_training_with_the_mask_of_the_original(module, check_golden, monkeypatch, name):
    made, golden = module(name)
    kept = torch.tensor(golden["mask"] > 0)
    monkeypatch.setattr(torch, "rand", lambda *shape, dtype, device: kept.to(dtype))
    # The original has the rate in float32, whatever the features are.
    rate = torch.tensor(golden["rho"].astype("float64"))
    monkeypatch.setattr(made, "rate", lambda *_: rate)

    def pool(x, _):
        return second_order_pool(made.to(x.dtype)(x), normalization="none")

    check_golden(name, pool)


@pytest.mark.parametrize("name", GOLDEN)
def test_gradient_of_the_convolution(module, monkeypatch, worst, name):
    module, golden = module(name)
    mask = torch.tensor(golden["mask"] > 0).double()
    monkeypatch.setattr(torch, "rand", lambda *shape, dtype, device: mask)
    x = torch.tensor(golden["x"])
    second_order_pool(module(x), normalization="none").backward(torch.tensor(golden["cotangent"]))
    assert worst(module.conv.weight.grad, golden["grad_eca_weight"]) < 1e-6


def test_expectation_of_the_covariance(normal, monkeypatch):
    """Off the diagonal that of the features, on it 1 / (1 - rho) times as much."""
    rho = 0.4
    module = AdaptiveChannelDropout(4).double()
    module.conv.weight.data.zero_()  # the same weight for every channel
    monkeypatch.setattr(module, "rate", lambda *_: torch.tensor(rho, dtype=torch.float64))
    x = normal(1, 4, 9).expand(40000, -1, -1)
    torch.manual_seed(0)
    found = second_order_pool(module(x), normalization="none", vectorization="full")
    expected = torch.from_numpy(np.cov((1.25 * x[0]).numpy(), bias=True))
    expected = expected + rho / (1 - rho) * expected.diag().diag()
    error = found.std(dim=0) / math.sqrt(len(x))
    assert ((found.mean(dim=0) - expected.flatten()).abs() < 5 * error + 1e-12).all()


@pytest.mark.parametrize("rho", [0.0, 1.0])
def test_rates_of_zero_and_one(normal, monkeypatch, rho):
    module = AdaptiveChannelDropout(5)
    monkeypatch.setattr(module, "rate", lambda *_: torch.tensor(rho))
    x = normal(2, 5, 3, 3, dtype=torch.float32).requires_grad_()
    y = module(x)
    y.sum().backward()
    expected = x * (1 + module.channel_weights(x.flatten(2))[..., None, None])
    torch.testing.assert_close(y, expected if rho == 0 else torch.zeros_like(x))
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_constant_maps(dtype):
    """They leave the rate to the other samples; where all are constant nothing is dropped."""
    torch.manual_seed(0)
    module = AdaptiveChannelDropout(8)
    x = torch.rand(3, 8, 4, 4)
    weights = torch.rand(3, 8)
    with_constant = torch.cat([x, torch.full((1, 8, 4, 4), 5.0)]).flatten(2)
    rate = module.rate(torch.cat([weights, weights[:1]]), with_constant)
    assert rate == module.rate(weights, x.flatten(2))
    constant = torch.full((2, 8, 4, 4), 3.0, dtype=dtype, requires_grad=True)
    y = module(constant)
    y.float().sum().backward()
    assert y.dtype == dtype
    assert y.count_nonzero() == y.numel()
    assert constant.grad.isfinite().all()


def test_evaluation_is_the_covariance_alone(normal):
    x = normal(2, 6, 3, 3, dtype=torch.float32)
    assert AdaptiveChannelDropout(6).eval()(x) is x
    pool = SecondOrderPool.of_method("dropcov", 6).eval()
    assert torch.equal(pool(x), second_order_pool(x, normalization="none"))


@pytest.mark.slow
def test_rate_stays_on_the_device(normal):
    """A tensor without data has no number to wait for."""
    module = AdaptiveChannelDropout(6).to("meta")
    assert module(torch.empty(2, 6, 3, 3, device="meta")).shape == (2, 6, 3, 3)
    torch.compiler.reset()
    module = AdaptiveChannelDropout(6)
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager")
    x = normal(2, 6, 3, 3, dtype=torch.float32)
    torch.manual_seed(0)
    expected = module(x)
    torch.manual_seed(0)
    torch.testing.assert_close(compiled(x), expected)
    torch.compiler.reset()


def test_two_processes_have_the_rate_of_the_whole_batch(run_warm, module, tmp_path):
    made, golden = module("dropcov_train_tall")
    x = torch.tensor(golden["x"]).flatten(2)
    torch.save((x, made.conv.weight.data), tmp_path / "numbers.pt")
    files = [tmp_path / f"{rank}.pt" for rank in (0, 1)]
    process = run_warm("-c", PROCESSES, tmp_path / "numbers.pt", tmp_path / "store", *files)
    assert process.returncode == 0, process.stderr
    found = [float(torch.load(file)) for file in files]
    assert found == pytest.approx([float(golden["rho_raw"])] * 2, rel=1e-12)
    # Which is not the mean of what each would have had.
    weights = made.channel_weights(x).detach()
    reweighted = x * (1 + weights[..., None])
    alone = [
        float(made.rate(weights[part], reweighted[part])) for part in (slice(2), slice(2, None))
    ]
    assert sum(alone) / 2 != pytest.approx(float(golden["rho_raw"]), rel=1e-3)


def test_other_channels_have_another_rate():
    with pytest.raises(ValueError, match=r"AdaptiveChannelDropout\(4\) got features of shape"):
        AdaptiveChannelDropout(4)(torch.zeros(2, 8, 3, 3))


def test_half_precision_keeps_the_reweighting(normal, monkeypatch, worst):
    """Which is about its last bit: the pooling goes on in float32."""
    pool = SecondOrderPool.of_method("dropcov", 64)
    monkeypatch.setattr(pool.channel_dropout, "rate", lambda *_: torch.tensor(0.0))
    x = normal(2, 64, 4, 4).relu().bfloat16()
    expected = pool.double()(x.double())
    assert worst(pool.float()(x), expected) < 2**-8  # that of the vector alone


def test_a_single_channel_has_no_correlation():
    for channels in (1, 8.5):
        with pytest.raises(ValueError, match=f"channels must be an integer >= 2, got {channels}"):
            AdaptiveChannelDropout(channels)
