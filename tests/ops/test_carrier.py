"""What is carried by float16 on a GPU, computed with float16 on the CPU."""

import pytest
import torch

from gcp_mm.ops import global_covariance_pool
from gcp_mm.ops.carrier import Carrier
from gcp_mm.ops.gram_passes import gram_backward, gram_forward

FEATURES = {
    "relu": (lambda x: x.relu(), 1e-3, 1.5e-3),
    "sparse": (lambda x: (x - 2).relu(), 1e-3, 1.5e-3),
    "mean 50": (lambda x: x.relu() + 50, 1e-3, 1.5e-3),
    "tiny": (lambda x: x.relu() * 1e-4, 1e-3, 1.5e-3),
    "one channel above the others": (
        lambda x: torch.cat([20 * x[:, :1].relu(), x[:, 1:].relu()], dim=1),
        3e-3,
        3e-3,
    ),
}


def relative(found, expected):
    return ((found.double() - expected).norm() / expected.norm()).item()


@pytest.mark.parametrize("loss_scale", [1.0, 2.0**16])
@pytest.mark.parametrize("shape", [(2, 128, 49), (2, 64, 96)], ids=["N<C", "N>C"])
@pytest.mark.parametrize("case", FEATURES.values(), ids=FEATURES)
def test_half_precision_carriers_keep_the_bounds(normal, pulled_back, case, shape, loss_scale):
    make, value_bound, gradient_bound = case
    x = make(normal(*shape, dtype=torch.float32)).half().float()
    g = normal(2, shape[1] * (shape[1] + 1) // 2, seed=1, dtype=torch.float32)
    expected = pulled_back(lambda x: global_covariance_pool(x, impl="reference"), x.double(), g)
    carrier = Carrier(torch.float16)
    out = torch.full_like(x, torch.nan)
    vector = torch.full_like(g, torch.nan)
    assert relative(gram_forward(x, 5, carrier, vector), expected[0]) < value_bound
    gradient = gram_backward(loss_scale * g, x, 5, carrier, out) / loss_scale
    assert relative(gradient, expected[1]) < gradient_bound


def test_zero_gradient_stays_zero(normal):
    x = normal(2, 8, 5, dtype=torch.float32)
    out = torch.empty_like(x)
    assert not gram_backward(torch.zeros(2, 36), x, 5, Carrier(torch.float16), out).any()


def test_infinite_gradient_is_not_hidden(normal):
    """A GradScaler looks for it."""
    x, g = normal(2, 8, 5, dtype=torch.float32), torch.ones(2, 36)
    g[0, 3] = torch.inf
    out = gram_backward(g, x, 5, Carrier(torch.float16), torch.empty_like(x))
    assert not out[0].isfinite().all() and out[1].isfinite().all()


@pytest.mark.parametrize(
    ("given", "carried"),
    [
        (torch.float16, torch.float32),
        (torch.bfloat16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ],
)
def test_on_the_cpu_nothing_is_carried_by_half_precision(given, carried):
    assert Carrier.of(torch.zeros(1, 2, 3, dtype=given)) == Carrier(carried, fused=False)
