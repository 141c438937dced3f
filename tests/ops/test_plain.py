import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from gcp_mm.ops.plain import gram_autograd_global_covariance_pool as pool
from gcp_mm.ops.plain import newton_schulz_polynomial, reference_global_covariance_pool

STEPS = [1, 2, 3, 5, 7]


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize(
    "shape", [(2, 37, 53), (2, 53, 37), (1, 5, 9), (1, 9, 5), (2, 8, 8), (2, 2, 1), (2, 1, 6)]
)
def test_value_and_gradient_equal_the_reference(
    normal, pulled_back, dtype, tolerance, shape, steps
):
    x = normal(*shape).relu().to(dtype)
    g = normal(shape[0], shape[1] * (shape[1] + 1) // 2, seed=1)
    found = pulled_back(lambda x: pool(x, steps), x, g)
    expected = pulled_back(lambda x: reference_global_covariance_pool(x, steps), x.double(), g)
    for ours, theirs in zip(found, expected, strict=True):
        limit = tolerance * theirs.abs().max()
        torch.testing.assert_close(ours.double(), theirs, rtol=0, atol=limit.item())


@pytest.mark.parametrize("shape", [(0, 4, 9), (0, 9, 4)])
def test_empty_batch(normal, pulled_back, shape):
    value, gradient = pulled_back(lambda x: pool(x, 5), normal(*shape))
    assert value.shape == (0, shape[1] * (shape[1] + 1) // 2)
    assert gradient.shape == shape


@pytest.mark.parametrize("steps", STEPS)
def test_polynomial_times_its_argument(normal, polynomial, worst, steps):
    """K q(K) has the eigenvalues p_n(l)."""
    factor = normal(7, 10)
    gram = factor @ factor.T
    gram /= gram.trace()
    values, vectors = np.linalg.eigh(gram)
    expected = (vectors * polynomial(values, steps)) @ vectors.T
    assert worst((gram[None] @ newton_schulz_polynomial(gram[None], steps))[0], expected) < 1e-13


@pytest.mark.parametrize("positions", [7, 49])
def test_iterations_run_on_the_smaller_matrix(normal, positions):
    """Multiply-adds of C = 64: three products for each factor after the first, and two or three."""
    x = normal(1, 64, positions)
    small, large = min(positions, 64), max(positions, 64)
    with FlopCounterMode(display=False) as counter:
        pool(x, 5)
    iterations = 4 * 3 * small**3
    around = small * small * large + small * small * 64 + small * 64 * 64
    assert counter.get_total_flops() == 2 * (iterations + around)


def test_more_positions_than_channels_use_the_covariance(normal):
    with FlopCounterMode(display=False) as counter:
        pool(normal(1, 16, 100), 5)
    assert counter.get_total_flops() == 2 * (4 * 3 * 16**3 + 16 * 16 * 100 + 16**3)


@pytest.mark.parametrize("shape", [(2, 3, 5), (2, 5, 3), (1, 4, 4)])
@pytest.mark.parametrize("steps", [1, 5])
def test_numerical_gradient(normal, shape, steps):
    x = normal(*shape).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: pool(x, steps), x)
    assert torch.autograd.gradgradcheck(lambda x: pool(x, steps), x)


@pytest.mark.parametrize("steps", [1, 2, 3, 5, 7])
@pytest.mark.parametrize("shape", [(2, 6, 13), (2, 13, 6)])
def test_equals_polynomial_of_the_eigenvalues(normal, eigen_pool, worst, shape, steps):
    x = normal(*shape)
    assert worst(reference_global_covariance_pool(x, steps), eigen_pool(x, steps)) < 1e-12


def test_three_positions_of_an_identity_computed_by_hand():
    # X = I has C = (I - J / 3) / 3 with trace 2/3 and twice the eigenvalue 1/2 of C / trace, and
    # p_1(1/2) = 5/8. Hence S = sqrt(2/3) 5/8 (I - J / 3), J being the matrix of ones.
    vector = reference_global_covariance_pool(torch.eye(3, dtype=torch.float64)[None], 1)
    unit = (2 / 3) ** 0.5 * 5 / 8 / 3
    expected = [2 * unit, -unit, -unit, 2 * unit, -unit, 2 * unit]
    assert vector[0].tolist() == pytest.approx(expected, rel=1e-14)
