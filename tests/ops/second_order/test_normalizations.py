"""Elementwise and scaled functions, approximate roots and the singular value's power."""

import math

import numpy as np
import pytest
import torch

from gcp_mm.ops.second_order import (
    NewtonSchulz,
    PadeRoot,
    Scaled,
    SignedPower,
    SignedPowerOfVector,
    SingularValuePower,
    TaylorRoot,
)

SINGULAR_VALUES = ["svpn_cov_one", "svpn_cross_one", "svpn_cross_alpha03", "svpn_cross_it3sv1"]
ROOTS = {"mpa_tall": PadeRoot, "mpa_spd": PadeRoot, "mtp_tall": TaylorRoot, "mtp_wide": TaylorRoot}
# Of family.md's table: eigenvalue of the normalised matrix, what each makes of it.
LIFTED = [
    (0.5, 0.7071, 0.7071),
    (0.1, 0.3167, 0.3297),
    (0.01, 0.1247, 0.1936),
    (1 / 256, 0.1047, 0.1830),
    (0.001, 0.0945, 0.1780),
    (0.0, 1 / 11, 0.1762),
]


@pytest.mark.parametrize("name", ["scalenorm_cov", "scalenorm_cross"])
def test_scaled(check_golden, name):
    check_golden(name, lambda x, golden: Scaled(float(golden["factor"]))(x))


def test_signed_power_by_hand():
    z = torch.tensor([-4.0, 0.0, 9.0], requires_grad=True)
    value = SignedPower(0.5, eps=0.0)(z)
    value.sum().backward()
    assert value.tolist() == [-2.0, 0.0, 3.0]
    assert z.grad.tolist() == pytest.approx([1 / 4, 0.0, 1 / 6])


def svpn(x, golden):
    """Apply the original's settings with its weight."""
    settings = [float(golden["alpha"]), int(golden["iter_num"]), int(golden["sv_num"])]
    part = SingularValuePower(len(golden["weight"]), *settings)
    part.weight.data = torch.tensor(golden["weight"], dtype=x.dtype)
    return part, part(x).flatten(1)


@pytest.mark.parametrize("name", SINGULAR_VALUES)
def test_singular_values(check_golden, family, worst, name):
    check_golden(name, lambda x, golden: svpn(x, golden)[1])
    golden = family(name)
    part, value = svpn(torch.tensor(golden["x"]), golden)
    value.backward(torch.tensor(golden["cotangent"]))
    assert worst(part.weight.grad, golden["grad_weight"]) < 1e-12


def test_many_steps_give_the_singular_value(normal):
    matrix = normal(1, 5, 5)
    part = SingularValuePower(5, alpha=0.5, num_iters=200).double()
    left, values, right = np.linalg.svd(matrix[0].numpy())
    term = np.outer(left[:, 0], right[0])
    rest = matrix[0].numpy() - values[0] * term
    expected = math.sqrt(values[0]) * term + rest / (math.sqrt(values[0]) + 1e-5)
    np.testing.assert_allclose(part(matrix)[0].detach(), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("num_values", [1, 2])
@pytest.mark.parametrize("positions", [3, 8])
def test_singular_values_of_a_factor(normal, pulled_back, positions, num_values):
    factor, weight = normal(2, 6, positions), normal(2, 6, 6, seed=1)
    part = SingularValuePower(6, num_iters=2, num_values=num_values).double()
    of_factor = pulled_back(part.of_factor, factor, weight)
    of_matrix = pulled_back(lambda y: part(y @ y.mT), factor, weight)
    for ours, theirs in zip(of_factor, of_matrix, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", ROOTS)
def test_published_backward_of_approximate_roots(check_golden, name):
    part = ROOTS[name](gradient="lyapunov")
    # The original's first steps lose as much as the linear system does.
    check_golden(name, lambda x, _: part(x), tolerance=1e-11 if "mpa" in name else 1e-12)


def test_derivative_of_the_approximant(family, worst, pulled_back):
    golden = family("mpa_spd")
    cotangent = torch.tensor(golden["cotangent"])
    symmetric = (cotangent + cotangent.mT) / 2
    _, gradient = pulled_back(PadeRoot(), torch.tensor(golden["x"]), symmetric)
    assert worst(gradient, golden["autograd_of_forward_symmetric_cotangent"]) < 1e-11


@pytest.mark.parametrize("part", [PadeRoot(), TaylorRoot()], ids=["pade", "taylor"])
def test_derivatives_are_those_of_finite_differences(normal, part):
    factor = normal(2, 4, 9)
    assert torch.autograd.gradcheck(part, (factor @ factor.mT).requires_grad_())


@pytest.mark.parametrize(("eigenvalue", "pade", "taylor"), LIFTED)
def test_small_eigenvalues_are_lifted(eigenvalue, pade, taylor):
    matrix = torch.diag(torch.tensor([eigenvalue, math.sqrt(1 - eigenvalue**2)]).double())[None]
    assert float(PadeRoot()(matrix)[0, 0, 0]) == pytest.approx(pade, abs=6e-5)
    assert float(TaylorRoot()(matrix)[0, 0, 0]) == pytest.approx(taylor, abs=6e-5)


@pytest.mark.parametrize("kind", [PadeRoot, TaylorRoot])
def test_published_backward_under_transforms_and_autocast(normal, kind):
    factor = normal(2, 4, 9, dtype=torch.float32)
    matrix, part = factor @ factor.mT, kind("lyapunov")
    mapped = torch.func.vmap(lambda one: part(one[None])[0])(matrix)
    torch.testing.assert_close(mapped, part(matrix))
    gradients, cotangent = [], matrix.clone()
    matrix.requires_grad_()
    for enabled in (False, True):
        root = part(matrix)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            gradients.append(torch.autograd.grad(root, matrix, cotangent)[0])
    assert torch.equal(*gradients)


@pytest.mark.parametrize("gradient", ["exact", "lyapunov"])
@pytest.mark.parametrize("kind", [PadeRoot, TaylorRoot])
def test_zero_matrix_stays_zero(kind, gradient):
    matrix = torch.zeros(2, 3, 3, requires_grad=True)
    root = kind(gradient)(matrix)
    root.sum().backward()
    assert root.count_nonzero() == 0
    assert matrix.grad.isfinite().all()


@pytest.mark.parametrize("positions", [3, 8])
def test_newton_schulz_of_a_factor_is_that_of_the_matrix(normal, pulled_back, positions):
    factor, weight = normal(2, 6, positions), normal(2, 6, 6, seed=1)
    part = NewtonSchulz(4)
    of_factor = pulled_back(part.of_factor, factor, weight)
    of_matrix = pulled_back(lambda y: part(y @ y.mT), factor, weight)
    for ours, theirs in zip(of_factor, of_matrix, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: PadeRoot("autograd"), "gradient must be 'exact' or 'lyapunov', got 'autograd'"),
        (lambda: SingularValuePower(4, num_iters=0), "num_iters must be an integer >= 1, got 0"),
        (lambda: SingularValuePower(4, num_iters=1.5), "integer >= 1, got 1.5"),
        (lambda: SingularValuePower(4)(torch.zeros(1, 5, 5)), r"\(4\) got matrices of 5 rows"),
        (lambda: SingularValuePower(4).of_factor(torch.zeros(1, 5, 2)), "matrices of 5 rows"),
        (lambda: SingularValuePower(4, num_values=0), "num_values must be an integer >= 1, got 0"),
        (lambda: SingularValuePower(4, alpha=0), "alpha must be larger than 0, got 0"),
        (lambda: SignedPower(-0.5), "alpha must be larger than 0, got -0.5"),
        (lambda: SignedPowerOfVector(eps=-1e-8), "eps must be at least 0, got -1e-08"),
        (lambda: NewtonSchulz(0), "num_iters must be an integer >= 1, got 0"),
    ],
)
def test_arguments_without_a_meaning(make, words):
    with pytest.raises(ValueError, match=words):
        make()
