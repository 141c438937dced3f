import pytest
import torch

from gcp_mm.ops.plain import reference_global_covariance_pool


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
