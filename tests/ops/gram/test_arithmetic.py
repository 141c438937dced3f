"""What is carried by float16 on a GPU, computed with float16 on the CPU."""

import pytest
import torch

from gcp_mm.ops import global_covariance_pool
from gcp_mm.ops.gram import arithmetic as carrier_module
from gcp_mm.ops.gram import matrices
from gcp_mm.ops.gram.arithmetic import HALVES, Carrier
from gcp_mm.ops.gram.passes import gram_backward, gram_forward

multiply_and_add = torch.baddbmm


def in_float32(c, a, b, *, beta=1, alpha=1, out=None):
    if c.dtype != torch.float16:
        return multiply_and_add(c, a, b, beta=beta, alpha=alpha, out=out)
    exact = multiply_and_add(c.float(), a.float(), b.float(), beta=beta, alpha=alpha)
    return exact.half() if out is None else out.copy_(exact)


@pytest.fixture(autouse=True)
def quick_halves(monkeypatch):
    """Round once, after adding up in float32, as PyTorch does on a CPU in ten times the time."""
    monkeypatch.setattr(torch, "baddbmm", in_float32)
    monkeypatch.setattr(matrices.add_products, "__defaults__", (in_float32,))


FEATURES = {
    "relu": (lambda x: x.relu(), 1e-3, 1.5e-3),
    "sparse": (lambda x: (x - 2).relu(), 1e-3, 1.5e-3),
    "mean 50": (lambda x: x.relu() + 50, 1e-3, 1.5e-3),
    "tiny": (lambda x: x.relu() * 1e-4, 1e-3, 1.5e-3),
    "one channel 20 times above": (lambda x: lift_a_channel(x.relu(), 20), 1e-3, 1.5e-3),
    "one channel 50 times above": (lambda x: lift_a_channel(x.relu(), 50), 1e-3, 1.5e-3),
    "one channel 1000 times above": (lambda x: lift_a_channel(x.relu(), 1000), 1e-3, 3e-3),
    "rank one": (lambda x: x[:, :, :1].relu() * x[:, :1].relu(), 3e-3, 3e-3),
}


def lift_a_channel(x, factor):
    return torch.cat([factor * x[:, :1], x[:, 1:]], dim=1)


def relative(found, expected):
    return ((found.double() - expected).norm() / expected.norm()).item()


@pytest.mark.parametrize(
    "shape", [(2, 128, 49), (1, 256, 196), (2, 64, 96)], ids=["7 x 7", "14 x 14", "N>C"]
)
@pytest.mark.parametrize("case", FEATURES.values(), ids=FEATURES)
def test_half_precision_carriers_keep_the_bounds(normal, pulled_back, case, shape):
    """Also where plain twins stand in for fused products, and under every loss scale."""
    make, value_bound, gradient_bound = case
    x = make(normal(*shape, dtype=torch.float32)).half().float()
    g = normal(shape[0], shape[1] * (shape[1] + 1) // 2, seed=1, dtype=torch.float32)
    expected = pulled_back(lambda x: global_covariance_pool(x, impl="reference"), x.double(), g)
    # Who multiplies does not see the scale, which is divided out before: a pair of each suffices.
    for fused, loss_scales in ((False, (1.0, 1e25)), (True, (2.0**16, 1e-25))):
        carrier = Carrier(torch.float16, fused)
        vector = torch.full_like(g, torch.nan)
        assert relative(gram_forward(x, 5, carrier, vector), expected[0]) < value_bound
        for loss_scale in loss_scales:
            out = torch.full_like(x, torch.nan)
            gradient = gram_backward(loss_scale * g, x, 5, carrier, out) / loss_scale
            assert relative(gradient, expected[1]) < gradient_bound, (fused, loss_scale)


@pytest.mark.parametrize("shape", [(1, 128, 49), (1, 256, 196)], ids=["7 x 7", "14 x 14"])
@pytest.mark.parametrize("number", [1, 3, 16])
@pytest.mark.parametrize(("strength", "gradient_bound"), [(5, 3e-3), (20, 3e-3), (torch.inf, 4e-3)])
def test_positions_above_the_others(normal, pulled_back, shape, number, strength, gradient_bound):
    """Alike, so that with infinite strength the covariance is of rank one."""
    x = normal(*shape, dtype=torch.float32).relu() / strength
    x[..., :number] = normal(*shape[:2], 1, seed=2, dtype=torch.float32).abs()
    x = x.half().float()
    g = normal(shape[0], shape[1] * (shape[1] + 1) // 2, seed=1, dtype=torch.float32)
    expected = pulled_back(lambda x: global_covariance_pool(x, impl="reference"), x.double(), g)
    carrier = Carrier(torch.float16)
    assert relative(gram_forward(x, 5, carrier, torch.full_like(g, torch.nan)), expected[0]) < 1e-3
    gradient = gram_backward(g, x, 5, carrier, torch.full_like(x, torch.nan))
    assert relative(gradient, expected[1]) < gradient_bound


# Kernels take matrices of more than 64 rows in several blocks; the interpreter takes a while for
# each of them.
@pytest.mark.parametrize(
    ("shape", "steps"), [((2, 37, 53), 5), ((2, 53, 37), 3), ((1, 20, 1), 5), ((1, 90, 70), 2)]
)
def test_fused_products_give_the_same(normal, pulled_back, shape, steps):
    """Triton kernels, or their plain twins, on positions that are padded to a multiple of 16."""
    x = normal(*shape, dtype=torch.float32)
    g = normal(shape[0], shape[1] * (shape[1] + 1) // 2, seed=1, dtype=torch.float32)
    value, gradient = pulled_back(
        lambda x: global_covariance_pool(x, steps, impl="reference"), x, g
    )
    carrier = Carrier(torch.float32, fused=True)
    vector, out = torch.full_like(g, torch.nan), torch.full_like(x, torch.nan)
    gram_forward(x, steps, carrier, vector)
    gram_backward(g, x, steps, carrier, out)
    torch.testing.assert_close(vector, value, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(out, gradient, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("given", HALVES)
@pytest.mark.parametrize(("steps", "carried"), [(7, torch.float16), (8, torch.float32)])
def test_half_precision_on_a_gpu_is_carried_by_float16(monkeypatch, given, steps, carried):
    """For few steps: with more of them the elements of q(K) leave its range."""

    class OnGPU:
        dtype, device = given, torch.device("cuda", 0)

    monkeypatch.setattr(carrier_module, "triton_status", lambda x: None)
    assert Carrier.of(OnGPU(), steps) == Carrier(carried, fused=True)


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
def test_on_the_cpu_nothing_is_carried_by_half_precision(monkeypatch, given, carried):
    monkeypatch.setattr(carrier_module, "triton_status", lambda x: "no GPU")
    assert Carrier.of(torch.zeros(1, 2, 3, dtype=given), 5) == Carrier(carried, fused=False)
