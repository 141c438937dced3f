"""The layer is computed in float32 at least, whatever comes in and whatever surrounds it."""

import pytest
import torch

from gcp_mm.ops import global_covariance_pool
from gcp_mm.ops.precision import to_compute_dtype

HALVES = [torch.float16, torch.bfloat16]


def pool_under_autocast(x, impl, inner):
    """Forward under autocast; the backward pass runs outside, as PyTorch asks for."""
    with torch.autocast("cpu", dtype=inner, enabled=inner is not None):
        return global_covariance_pool(x, impl=impl)


@pytest.mark.parametrize("given", [*HALVES, torch.float32, torch.float64])
def test_dtype_comes_out_as_it_went_in(normal, pulled_back, any_impl, given):
    value, gradient = pulled_back(
        lambda x: global_covariance_pool(x, impl=any_impl), normal(2, 6, 3, 4, dtype=given)
    )
    assert value.dtype == gradient.dtype == given


@pytest.mark.parametrize("given", HALVES)
@pytest.mark.parametrize("autocast", [False, True])
def test_half_precision_is_the_rounded_float32_result(
    normal, pulled_back, any_impl, given, autocast
):
    x = normal(2, 9, 3, 2).to(given)
    inner = torch.bfloat16 if autocast else None
    found = pulled_back(lambda x: pool_under_autocast(x, any_impl, inner), x)
    expected = pulled_back(lambda x: global_covariance_pool(x, impl=any_impl), x.float())
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.equal(ours, theirs.to(given))


@pytest.mark.parametrize("given", [torch.float32, torch.float64])
@pytest.mark.parametrize("inner", HALVES)
@pytest.mark.parametrize("shape", [(2, 9, 3, 2), (2, 6, 3, 4)])
def test_autocast_changes_no_bit(normal, pulled_back, any_impl, shape, given, inner):
    x = normal(*shape).to(given)
    expected = pulled_back(lambda x: global_covariance_pool(x, impl=any_impl), x)
    found = pulled_back(lambda x: pool_under_autocast(x, any_impl, inner), x)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.dtype == given
        assert torch.equal(ours, theirs)


def test_autocast_goes_on_around_the_layer(normal):
    x = normal(2, 6, 3, 4, dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        vector = global_covariance_pool(x)
        assert (vector @ vector.T).dtype == torch.bfloat16


def test_squares_do_not_overflow_float16(normal, eigen_pool, worst, any_impl):
    x = (normal(2, 6, 3, 4) * 1e3).half()
    found = global_covariance_pool(x, impl=any_impl)
    assert worst(found, eigen_pool(x.flatten(2), 5)) < 6e-4


@pytest.mark.parametrize(
    ("given", "computed"),
    [*((half, torch.float32) for half in HALVES), (torch.float32,) * 2, (torch.float64,) * 2],
)
def test_compute_dtype(given, computed):
    assert to_compute_dtype(torch.ones(2, dtype=given), "x").dtype == computed


def test_error_names_tensor_and_dtype():
    with pytest.raises(ValueError, match=r"weights must be a floating-point tensor, got torch\.u"):
        to_compute_dtype(torch.ones(2, dtype=torch.uint8), "weights")
