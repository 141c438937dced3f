"""Functions of matrices against closed forms, by hand and by scipy."""

import math

import pytest
import scipy.linalg
import torch

from gcp_mm.ops.second_order import MatrixLogarithm, MatrixPower, TaylorRoot
from gcp_mm.ops.second_order.spectral import spectral_function, spectral_function_of_factor

FUNCTIONS = [("power", 0.5), ("power", 0.3), ("power", 2.0), ("log", 1e-2)]


@pytest.fixture(params=FUNCTIONS, ids=[f"{name} {argument}" for name, argument in FUNCTIONS])
def function(request):
    return request.param


@pytest.fixture
def orthogonal(normal):
    return torch.linalg.qr(normal(6, 6)).Q


def test_root_of_two_by_two_by_hand(pulled_back):
    """The root of ((a, b), (b, c)) is (M + s I) / t with s = sqrt(det), t = sqrt(trace + 2 s)."""
    matrix = torch.tensor([[[5.0, 2.0], [2.0, 3.0]]], dtype=torch.float64)

    def by_hand(m):
        s = (m[:, 0, 0] * m[:, 1, 1] - m[:, 0, 1] * m[:, 1, 0]).sqrt()
        t = (m[:, 0, 0] + m[:, 1, 1] + 2 * s).sqrt()
        return (m + s[:, None, None] * torch.eye(2, dtype=m.dtype)) / t[:, None, None]

    weight = torch.tensor([[[1.0, -2.0], [-2.0, 0.5]]], dtype=torch.float64)
    value, gradient = pulled_back(MatrixPower(0.5), matrix, weight)
    expected, expected_gradient = pulled_back(by_hand, matrix, weight)
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(gradient, expected_gradient)


def test_values_are_those_of_scipy(normal):
    factor = normal(1, 5, 9)
    matrix = factor @ factor.mT
    powers = scipy.linalg.fractional_matrix_power(matrix[0].numpy(), 0.3)
    torch.testing.assert_close(MatrixPower(0.3)(matrix)[0], torch.from_numpy(powers))
    shifted = matrix[0].numpy() + 1e-3 * torch.eye(5).double().numpy()
    logarithm = torch.from_numpy(scipy.linalg.logm(shifted))
    torch.testing.assert_close(MatrixLogarithm(1e-3)(matrix)[0], logarithm)


@pytest.mark.parametrize("positions", [4, 9])
def test_derivatives_are_those_of_finite_differences(function, normal, positions):
    factor = normal(2, 6, positions).requires_grad_()
    assert torch.autograd.gradcheck(lambda y: spectral_function_of_factor(y, *function), factor)


def test_derivative_of_a_matrix(function, normal):
    factor = normal(2, 4, 9)

    def of_symmetric(matrix):
        return spectral_function((matrix + matrix.mT) / 2, *function)

    assert torch.autograd.gradcheck(of_symmetric, (factor @ factor.mT).requires_grad_())


@pytest.mark.parametrize("positions", [3, 8])
def test_factor_and_matrix_agree(function, normal, pulled_back, positions):
    """Also in the gradient, which for a root is that of the matrices of the same rank."""
    factor, weight = normal(2, 8, positions), normal(2, 8, 8, seed=1)
    of_factor = pulled_back(lambda y: spectral_function_of_factor(y, *function), factor, weight)
    of_matrix = pulled_back(lambda y: spectral_function(y @ y.mT, *function), factor, weight)
    for ours, theirs in zip(of_factor, of_matrix, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("gap", [0.0, 1e-15, 1e-10, 1e-5])
def test_close_eigenvalues(function, orthogonal, normal, pulled_back, gap):
    """The gradient of close eigenvalues is, within the gap, that of equal ones: a multiple."""
    name, argument = function
    values = 2.0 + gap * torch.arange(6, dtype=torch.float64)
    matrix = (orthogonal * values @ orthogonal.T)[None]
    weight = normal(1, 6, 6)
    weight = weight + weight.mT
    slope = argument * 2.0 ** (argument - 1) if name == "power" else 1 / (2.0 + argument)
    _, gradient = pulled_back(lambda m: spectral_function(m, *function), matrix, weight)
    torch.testing.assert_close(gradient, slope * weight, rtol=10 * gap + 1e-12, atol=1e-12)


WIDE, TALL = (256, 49), (96, 400)
# Features whose products lose their small eigenvalues in float32.
SPECTRA = {
    "normal": lambda x: x,
    "a mean of 50": lambda x: x + 50,
    "channels of all scales": lambda x: x * torch.logspace(0, -3, x.shape[1])[:, None].double(),
    "positions that decay": lambda x: x * torch.logspace(0, -2, x.shape[2]).double(),
}


@pytest.mark.parametrize("spectrum", SPECTRA.values(), ids=SPECTRA)
@pytest.mark.parametrize("shape", [WIDE, TALL], ids=["N < C", "N > C"])
@pytest.mark.parametrize("part", [MatrixPower(0.5), MatrixLogarithm(1e-3)], ids=["root", "log"])
def test_float32_loses_no_more_than_its_rounding(normal, pulled_back, worst, part, shape, spectrum):
    x, weight = spectrum(normal(1, *shape)).float(), normal(1, shape[0], shape[0], seed=1)
    reference = pulled_back(part.of_factor, x.double(), weight)
    found = pulled_back(part.of_factor, x, weight)
    assert worst(found[0], reference[0]) < 1e-6
    assert worst(found[1], reference[1]) < 1e-6


@pytest.mark.parametrize("part", [MatrixPower(0.5), MatrixLogarithm(1e-3)], ids=["root", "log"])
@pytest.mark.parametrize("shape", [(5, 3), (4, 9)], ids=["N < C", "N > C"])
def test_backward_leaves_autocast(normal, part, shape):
    x = normal(2, *shape, dtype=torch.float32).requires_grad_()
    weight = normal(2, shape[0], shape[0], seed=1, dtype=torch.float32)
    gradients = []
    for enabled in (False, True):
        y = part.of_factor(x)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            gradients.append(torch.autograd.grad(y, x, weight)[0])
    assert torch.equal(*gradients)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("shape", [(5, 3), (4, 9)], ids=["N < C", "N > C"])
def test_what_is_not_finite_stays_in_its_sample(normal, pulled_back, shape, bad):
    x, weight = normal(2, *shape), normal(2, shape[0], shape[0], seed=1)
    expected = pulled_back(MatrixPower(0.5).of_factor, x, weight)
    x[0, 1, 2] = bad
    for found, intact in zip(
        pulled_back(MatrixPower(0.5).of_factor, x, weight), expected, strict=True
    ):
        assert not found[0].isfinite().any()
        torch.testing.assert_close(found[1], intact[1])


ONCE = {
    "root": MatrixPower(0.5),
    "logarithm": MatrixLogarithm(1e-3),
    "published gradient": TaylorRoot("lyapunov"),
}


@pytest.mark.parametrize("part", ONCE.values(), ids=ONCE)
@pytest.mark.parametrize("positions", [3, 9])
@pytest.mark.parametrize("weighted", [False, True])
def test_second_derivatives_are_refused(normal, part, positions, weighted):
    """Not computed without a term: also where the loss is linear in what the part returns."""
    y = normal(2, 5, positions).requires_grad_()

    def loss(y):
        value = part.of_factor(y)
        return value.square().sum() if weighted else value.sum()

    (gradient,) = torch.autograd.grad(loss(y), y, create_graph=True)
    assert torch.equal(gradient, torch.autograd.grad(loss(y), y)[0])
    with pytest.raises(NotImplementedError, match=r"no second derivative here.*'newton_schulz'"):
        torch.autograd.grad(gradient.square().sum(), y)
    with pytest.raises(NotImplementedError, match="no second derivative"):
        torch.func.grad(lambda y: torch.func.grad(loss)(y).square().sum())(y.detach())


def test_first_power_is_the_identity_on_null_eigenvalues(pulled_back):
    """And a negative eigenvalue, which no second-order matrix has, is null."""
    matrix = torch.diag(torch.tensor([1.0, 0.0, -4.0], dtype=torch.float64))[None]
    weight = torch.ones(1, 3, 3, dtype=torch.float64)
    value, gradient = pulled_back(MatrixPower(1.0), matrix, weight)
    torch.testing.assert_close(value[0], torch.diag(torch.tensor([1.0, 0.0, 0.0]).double()))
    torch.testing.assert_close(gradient, weight)


def test_logarithm_between_null_eigenvalues(pulled_back):
    """Has the derivative at zero, 1 / eps, also off the diagonal."""
    matrix = torch.diag(torch.tensor([2.0, 0.0, 0.0]))
    _, gradient = pulled_back(MatrixLogarithm(0.5), matrix)
    mixed = math.log(2.5 / 0.5) / 2.0
    expected = torch.tensor([[1 / 2.5, mixed, mixed], [mixed, 2.0, 2.0], [mixed, 2.0, 2.0]])
    torch.testing.assert_close(gradient, expected)


def test_null_eigenvalues(normal):
    factor = normal(1, 4, 1)
    norm = float(factor.square().sum())
    root = MatrixPower(0.5).of_factor(factor)[0]
    torch.testing.assert_close(root, (factor @ factor.mT)[0] / math.sqrt(norm))
    values = torch.linalg.eigvalsh(MatrixLogarithm(1e-3).of_factor(factor)[0])
    expected = [math.log(1e-3)] * 3 + [math.log(norm + 1e-3)]
    torch.testing.assert_close(values, torch.tensor(expected, dtype=torch.float64))


def test_powers_are_homogeneous(normal, pulled_back):
    """Features of 1e-25 and 1e25, whose squares leave float32, lose nothing."""
    x, weight = normal(1, 5, 3, dtype=torch.float32), normal(1, 5, 5, seed=1)
    value, gradient = pulled_back(MatrixPower(0.5).of_factor, x, weight)
    for scale in (1e-25, 1e25):
        scaled = pulled_back(MatrixPower(0.5).of_factor, scale * x, weight)
        torch.testing.assert_close(scaled[0] / scale, value, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(scaled[1], gradient, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: MatrixPower(0), "alpha must be larger than 0, got 0"),
        (lambda: MatrixPower(float("nan")), "alpha must be larger than 0, got nan"),
        (lambda: MatrixLogarithm(0), "eps must be larger than 0, got 0"),
    ],
)
def test_arguments_without_a_meaning(make, words):
    with pytest.raises(ValueError, match=words):
        make()
