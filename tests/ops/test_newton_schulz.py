import numpy as np
import pytest
import torch

from gcp_mm.ops import newton_schulz_sqrt

STEPS = [1, 2, 3, 5, 7]
# Eigenvalue and what five steps make of it, as printed with the method.
FIVE_STEPS = [
    (1, 1),
    (0.5, 0.70711),
    (0.1, 0.31542),
    (0.05, 0.21616),
    (0.01, 0.06587),
    (1 / 256, 0.02800),
    (0.001, 0.00748),
    (0.0001, 0.00076),
]


@pytest.fixture
def covariance(normal):
    """Three 6 x 6 covariances of rank 6."""
    factor = normal(3, 6, 9)
    return factor @ factor.mT / 9


@pytest.mark.parametrize("steps", STEPS)
def test_equals_polynomial_of_the_eigenvalues(covariance, eigen_root, worst, dtype, steps):
    expected = np.stack([eigen_root(matrix, steps) for matrix in covariance.to(dtype)])
    tolerance = {torch.float32: 1e-6, torch.float64: 1e-13}[dtype]
    assert worst(newton_schulz_sqrt(covariance.to(dtype), steps), expected) < tolerance


@pytest.mark.parametrize(("eigenvalue", "expected"), FIVE_STEPS)
def test_five_steps_are_truncated_as_published(eigenvalue, expected):
    matrix = torch.diag(torch.tensor([eigenvalue, 1 - eigenvalue], dtype=torch.float64))
    for root in (newton_schulz_sqrt(matrix), newton_schulz_sqrt(matrix, num_iters=5)):
        assert root[0, 0].item() == pytest.approx(expected, abs=5.1e-6)


def test_small_eigenvalues_grow_by_three_halves_in_each_step():
    matrix = torch.diag(torch.tensor([1e-9, 1 - 1e-9], dtype=torch.float64))
    growth = [newton_schulz_sqrt(matrix, n)[0, 0].item() / 1e-9 for n in STEPS]
    assert growth == pytest.approx([1.5**n for n in STEPS], rel=1e-6)


def test_one_step_computed_by_hand():
    # Trace 4; A = [[2, 1], [1, 2]] / 4; Y = 1.5 A - 0.5 A^2; S = 2 Y.
    root = newton_schulz_sqrt(torch.tensor([[2.0, 1.0], [1.0, 2.0]]), num_iters=1)
    torch.testing.assert_close(root, torch.tensor([[1.1875, 0.5], [0.5, 1.1875]]))


def test_many_steps_give_the_square_root(covariance, worst):
    root = newton_schulz_sqrt(covariance, num_iters=25)
    assert worst(root @ root, covariance) < 1e-12


@pytest.mark.parametrize("steps", STEPS)
def test_asymmetric_gradient_equals_divided_differences(
    covariance, normal, polynomial, pulled_back, worst, steps
):
    """The derivative of a matrix function in the eigenbasis, not its transpose."""
    g = normal(6, 6, seed=1)
    gradient = pulled_back(lambda m: newton_schulz_sqrt(m, steps), covariance[0], g)[1]

    matrix = covariance[0].numpy()
    trace = np.trace(matrix)
    values, vectors = np.linalg.eigh(matrix / trace)
    p = polynomial(values, steps)
    slope = (polynomial(values + 1e-6, steps) - polynomial(values - 1e-6, steps)) / 2e-6
    quotients = np.subtract.outer(p, p) / (np.subtract.outer(values, values) + np.eye(6))
    quotients += np.diag(slope)
    inner = vectors.T @ g.numpy() @ vectors
    by_a = np.sqrt(trace) * vectors @ (quotients * inner) @ vectors.T
    by_trace = np.trace(inner @ np.diag(p)) / (2 * np.sqrt(trace))
    by_trace -= (by_a * matrix).sum() / trace**2
    assert worst(gradient, by_a / trace + by_trace * np.eye(6)) < 1e-8


@pytest.mark.parametrize("steps", [1, 3, 5])
def test_numerical_gradient(covariance, steps):
    """Every element is moved alone, so incoming gradients are asymmetric."""
    matrices = covariance[:2, :3, :3].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda m: newton_schulz_sqrt(m, steps), matrices)
    assert torch.autograd.gradgradcheck(lambda m: newton_schulz_sqrt(m, steps), matrices)


def test_leading_dimensions_are_a_batch(covariance):
    stacked = newton_schulz_sqrt(covariance.expand(2, 3, 6, 6))
    for index, matrix in enumerate(covariance):
        torch.testing.assert_close(stacked[1, index], newton_schulz_sqrt(matrix))


@pytest.mark.parametrize("scale", [0.0, -1e-4, -1e3, 1e-310])
def test_matrix_without_a_positive_trace_gives_zeros(covariance, pulled_back, scale):
    matrices = torch.stack([scale * torch.eye(6, dtype=torch.float64), covariance[0]])
    root, gradient = pulled_back(newton_schulz_sqrt, matrices)
    assert not root[0].any() and not gradient[0].any()
    alone, gradient_alone = pulled_back(newton_schulz_sqrt, covariance[:1])
    torch.testing.assert_close(root[1:], alone)
    torch.testing.assert_close(gradient[1:], gradient_alone)


def test_nan_is_not_hidden(covariance):
    covariance[1, 2, 2] = torch.nan
    root = newton_schulz_sqrt(covariance)
    assert root[1].isnan().all() and root[[0, 2]].isfinite().all()


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(covariance, half):
    root = newton_schulz_sqrt(covariance.to(half))
    assert root.dtype == half
    assert torch.equal(root, newton_schulz_sqrt(covariance.to(half).float()).to(half))


def test_autocast_changes_no_bit(covariance):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = newton_schulz_sqrt(covariance.float())
    assert torch.equal(inside, newton_schulz_sqrt(covariance.float()))


@pytest.mark.parametrize(
    ("shape", "named"), [((2, 3, 4), r"\(2, 3, 4\)"), ((3,), r"\(3,\)"), ((), r"\(\)")]
)
def test_error_names_the_shape(shape, named):
    with pytest.raises(ValueError, match=named):
        newton_schulz_sqrt(torch.zeros(shape))


@pytest.mark.parametrize("steps", [0, -1, True, 2.5, "5", None])
def test_error_names_the_number_of_steps(steps):
    with pytest.raises(ValueError, match=f"num_iters must be an integer >= 1, got {steps!r}"):
        newton_schulz_sqrt(torch.eye(2), num_iters=steps)


def test_integers_are_refused():
    with pytest.raises(ValueError, match=r"cov must be a floating-point.*torch\.int64"):
        newton_schulz_sqrt(torch.eye(2, dtype=torch.int64))
