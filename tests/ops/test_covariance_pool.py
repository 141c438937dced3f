import numpy as np
import pytest
import torch

from gcp_mm.ops import covariance_pool


@pytest.mark.parametrize("shape", [(2, 5, 11), (1, 11, 5), (3, 4, 3, 5)])
def test_equals_biased_covariance_of_numpy(normal, worst, dtype, tolerance, shape):
    x = normal(*shape, dtype=dtype)
    expected = np.stack([np.cov(sample.flatten(1).numpy(), bias=True) for sample in x])
    assert worst(covariance_pool(x), expected) < tolerance


def test_hand_computed_covariance():
    x = torch.tensor([[[1.0, 2.0, 6.0], [0.0, 3.0, 0.0]]])  # means 3 and 1
    expected = torch.tensor([[[14 / 3, -1.0], [-1.0, 2.0]]])
    torch.testing.assert_close(covariance_pool(x), expected)


def test_gradient_is_the_symmetrised_cotangent_times_centred_features(normal, worst, pulled_back):
    x, g = normal(2, 4, 7), normal(2, 4, 4, seed=1)
    centred = x - x.mean(-1, keepdim=True)
    expected = (g + g.mT) @ centred / 7
    assert worst(pulled_back(covariance_pool, x, g)[1], expected) < 1e-12


def test_numerical_gradient(normal):
    x = normal(2, 3, 4).requires_grad_()
    assert torch.autograd.gradcheck(covariance_pool, x)
    assert torch.autograd.gradgradcheck(covariance_pool, x)


@pytest.mark.parametrize("mean", [0.0, 5.0, 50.0])
def test_large_mean_costs_no_digits_in_float32(normal, worst, mean):
    x = (normal(2, 64, 196) + mean).float()
    cov = covariance_pool(x)
    assert worst(cov, covariance_pool(x.double())) < 1e-6
    assert worst(cov, cov.mT) < 1e-7


def test_constant_channels_give_exact_zeros(normal):
    x = normal(1, 64, 1, dtype=torch.float32).expand(1, 64, 196) * 3
    assert torch.equal(covariance_pool(x), torch.zeros(1, 64, 64))


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(normal, half):
    x = normal(2, 6, 9).to(half)
    cov = covariance_pool(x)
    assert cov.dtype == half
    assert torch.equal(cov, covariance_pool(x.float()).to(half))


def test_autocast_changes_no_bit(normal):
    x = normal(2, 6, 9, dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = covariance_pool(x)
    assert torch.equal(inside, covariance_pool(x))


@pytest.mark.parametrize(
    ("x", "named"),
    [
        (torch.zeros(4, 6), r"\(4, 6\)"),
        (torch.zeros(2, 3, 4, 5, 6), r"\(2, 3, 4, 5, 6\)"),
        (torch.zeros(2, 3, 0), r"at least one channel and one position.*\(2, 3, 0\)"),
        (torch.zeros(2, 0, 4), r"at least one channel and one position.*\(2, 0, 4\)"),
        (torch.zeros(2, 3, 4, dtype=torch.int64), r"floating-point.*torch\.int64"),
    ],
)
def test_error_names_the_argument(x, named):
    with pytest.raises(ValueError, match=named):
        covariance_pool(x)
