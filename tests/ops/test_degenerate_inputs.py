"""What has no variance gives zeros, and nothing in reach of the dtype gives inf or NaN."""

import pytest
import torch

from gcp_mm.ops import global_covariance_pool

DEGENERATE = {
    "zero": lambda x: torch.zeros_like(x),
    "constant": lambda x: torch.full_like(x, 3.3),
    "constant in each channel": lambda x: 3 * x[..., :1].expand_as(x),
    "one position": lambda x: x[..., :1],
    "huge constant": lambda x: torch.full_like(x, torch.finfo(x.dtype).max / 2),
    "denormal constant": lambda x: torch.full_like(x, torch.finfo(x.dtype).tiny / 4),
}


@pytest.fixture(params=[(24, 14), (6, 40)], ids=["N<C", "N>C"])
def samples(request, normal):
    return normal(3, *request.param, dtype=torch.float32)


@pytest.fixture
def pool(any_impl):
    return lambda x: global_covariance_pool(x, impl=any_impl)


@pytest.fixture
def pool_of_steps(any_impl):
    return lambda x, steps: global_covariance_pool(x, steps, any_impl)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("make", DEGENERATE.values(), ids=DEGENERATE)
def test_no_variance_gives_exact_zeros(samples, pulled_back, pool, make, dtype):
    value, gradient = pulled_back(pool, make(samples.to(dtype)))
    assert value.dtype == gradient.dtype == dtype
    assert not value.any() and not gradient.any()


@pytest.mark.parametrize("make", DEGENERATE.values(), ids=DEGENERATE)
def test_degenerate_sample_leaves_every_bit_of_the_others(samples, pulled_back, pool, make):
    expected = pulled_back(pool, samples)
    mixed = samples.clone()
    mixed[1] = make(samples[1:2])[0].expand_as(mixed[1])
    found = pulled_back(pool, mixed)
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.equal(ours[[0, 2]], theirs[[0, 2]])
        assert not ours[1].any() and theirs[1].any()


@pytest.mark.parametrize("level", [0.0, 3.3])
def test_dead_channel(samples, eigen_pool, pulled_back, pool, worst, level):
    samples[:, 2] = level
    value, gradient = pulled_back(pool, samples)
    exact = pulled_back(pool, samples.double())
    rows, cols = torch.triu_indices(samples.shape[1], samples.shape[1])
    assert not value[:, (rows == 2) | (cols == 2)].any()
    assert worst(value, eigen_pool(samples, 5)) < 5e-6
    assert worst(gradient, exact[1]) < 5e-6


def test_mean_of_50_costs_no_accuracy(samples, pulled_back, pool, worst):
    """Float32 against float64 on the same numbers."""

    def errors(x):
        exact = pulled_back(pool, x.double())
        found = pulled_back(pool, x)
        return [worst(ours, theirs) for ours, theirs in zip(found, exact, strict=True)]

    for centred, shifted in zip(errors(samples), errors(samples + 50), strict=True):
        assert shifted < max(2 * centred, 4e-7)


@pytest.mark.parametrize("factor", [2.0**100, 2.0**-100, 1e30, 1e-30, 1e-36])
def test_magnitude_only_scales_the_output(samples, pulled_back, pool, worst, factor):
    value, gradient = pulled_back(pool, samples)
    scaled = pulled_back(pool, factor * samples)
    assert worst(scaled[0].double() / factor, value) < 2e-6
    assert worst(scaled[1], gradient) < 2e-6
    if factor in (2.0**100, 2.0**-100):
        assert torch.equal(scaled[0], factor * value) and torch.equal(scaled[1], gradient)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_largest_magnitudes_stay_finite(samples, pool, worst, dtype):
    factor = torch.finfo(dtype).max * 0.499
    large = (samples.double() / samples.abs().max() * factor).to(dtype)
    limit = {torch.float16: 1e-3, torch.bfloat16: 8e-3}.get(dtype, 5e-6)
    assert worst(pool(large).double() / factor, pool(large.double() / factor)) < limit


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(40, 12), (12, 40), (1, 5), (3, 2)])
def test_rank_one_of_the_largest_magnitudes(pulled_back, any_impl, dtype, shape):
    """The root of the trace is larger than any float; S = s s^T / |s| with s the deviations."""
    channels, positions = shape
    half = torch.finfo(dtype).max / 2
    x = torch.full((1, *shape), half, dtype=dtype)
    x[..., 1::2] *= -1
    spread = half * (x.double()[0, 0] / half).std(correction=0) / channels**0.5
    factor = 1.0 if any_impl == "gram" else 1 / half
    value, gradient = pulled_back(
        lambda x: factor * global_covariance_pool(x, impl=any_impl).double(), x
    )
    torch.testing.assert_close(value / factor, spread.expand_as(value), rtol=1e-2, atol=0.0)
    assert gradient.isfinite().all()


def test_one_channel_far_above_the_others(samples, eigen_pool, pool, worst):
    samples[:, 0] *= 1e12
    assert worst(pool(samples), eigen_pool(samples, 5)) < 5e-6


@pytest.mark.parametrize("noise", [1e-2, 1e-4, 0.0])
@pytest.mark.parametrize("shape", [(12, 40), (64, 130), (130, 140), (40, 12)])
@pytest.mark.parametrize("steps", [5, 6, 7])
def test_nearly_rank_one(normal, pulled_back, pool_of_steps, worst, shape, steps, noise):
    """Each step enlarges what rounding leaves of the other eigenvalues, 2.25 times in R."""
    channels, positions = shape
    x = normal(2, channels, 1) * normal(2, 1, positions, seed=1)
    x = (x + noise * normal(2, *shape, seed=2)).float()
    cotangent = normal(2, channels * (channels + 1) // 2, seed=3).float()
    found = pulled_back(lambda x: pool_of_steps(x, steps), x, cotangent)
    exact = pulled_back(
        lambda x: global_covariance_pool(x, steps, "reference"), x.double(), cotangent
    )
    for ours, theirs in zip(found, exact, strict=True):
        assert worst(ours, theirs) < 2e-5


def test_nan_and_infinity_are_not_hidden(samples, pulled_back, pool):
    for bad in (torch.nan, torch.inf, -torch.inf):
        mixed = samples.clone()
        mixed[1, 3, 4] = bad
        value, gradient = pulled_back(pool, mixed)
        assert value[1].isnan().all() and gradient[1].isnan().all()
        assert value[[0, 2]].isfinite().all() and gradient[[0, 2]].isfinite().all()
