"""The polynomial against its eigenvalues, its derivative against that of autograd."""

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from gcp_mm.ops.gram import matrices as symmetric_blocks
from gcp_mm.ops.gram.matrices import SymmetricBlocks
from gcp_mm.ops.gram.polynomial import DualBlocks, root_polynomial

STEPS = [1, 2, 3, 4, 5, 6, 7]


@pytest.fixture(params=[1, 9, 150])
def gram(normal, request):
    factor = normal(2, request.param, 12)
    gram = factor @ factor.mT
    return gram / gram.diagonal(dim1=-2, dim2=-1).sum(-1)[:, None, None]


@pytest.fixture
def direction(normal, gram):
    w = normal(*gram.shape, seed=1)
    return w + w.mT


@pytest.mark.parametrize("times_gram", [False, True])
@pytest.mark.parametrize("steps", STEPS)
def test_value_has_the_eigenvalues_of_the_published_recurrence(
    gram, polynomial, worst, steps, times_gram
):
    found = root_polynomial(SymmetricBlocks.from_dense(gram), steps, times_gram=times_gram).dense()
    found = found if times_gram else gram @ found
    for sample, matrix in zip(found, gram, strict=True):
        values, vectors = np.linalg.eigh(matrix)
        assert worst(sample, (vectors * polynomial(values, steps)) @ vectors.T) < 1e-12


@pytest.mark.parametrize("times_gram", [False, True])
@pytest.mark.parametrize("steps", STEPS)
def test_derivative_equals_that_of_autograd(gram, direction, worst, steps, times_gram):
    def value(k):
        """The published recurrence: Y, and Z with Y = K Z."""
        y, z, eye = k, torch.eye(k.shape[-1], dtype=k.dtype), torch.eye(k.shape[-1], dtype=k.dtype)
        for _ in range(steps):
            t = (3 * eye - z @ y) / 2
            y, z = y @ t, t @ z
        return y if times_gram else z

    expected, tangent = torch.autograd.functional.jvp(value, gram, direction)
    dual = DualBlocks(*(SymmetricBlocks.from_dense(m) for m in (gram, direction)))
    found = root_polynomial(dual, steps, times_gram=times_gram)
    assert worst(found.value.dense(), expected) < 1e-12
    assert worst(found.tangent.dense(), tangent) < 1e-12


@pytest.mark.parametrize("times_gram", [False, True])
def test_derivative_is_self_adjoint(normal, gram, direction, times_gram):
    """<V, D q[W]> = <D q[V], W>: why forward mode serves as the backward pass."""
    other = normal(*gram.shape, seed=2)
    other = other + other.mT

    def derivative(w):
        dual = DualBlocks(*(SymmetricBlocks.from_dense(m) for m in (gram, w)))
        return root_polynomial(dual, 5, times_gram=times_gram).tangent.dense()

    left, right = (other * derivative(direction)).sum(), (derivative(other) * direction).sum()
    scale = other.norm() * derivative(direction).norm()
    torch.testing.assert_close(left / scale, right / scale, rtol=0, atol=1e-15)


@pytest.mark.parametrize("unit", [2.0**-3, 2.0**8])
@pytest.mark.parametrize("times_gram", [False, True])
def test_unit_of_the_storage_changes_no_bit(gram, direction, times_gram, unit):
    """A power of two only moves exponents."""

    def evaluate(scale):
        value = SymmetricBlocks(SymmetricBlocks.from_dense(scale * gram).upper, scale)
        dual = DualBlocks(value, SymmetricBlocks.from_dense(direction))
        return root_polynomial(dual, 5, times_gram=times_gram)

    expected, found = evaluate(1.0), evaluate(unit)
    assert found.value.unit == unit and found.value.identity == expected.value.identity
    assert torch.equal(found.value.stored / unit, expected.value.stored)
    assert torch.equal(found.tangent.dense(), expected.tangent.dense())


@pytest.mark.parametrize("dual", [False, True])
@pytest.mark.parametrize("times_gram", [False, True])
def test_symmetric_products_of_fused_matrices_are_left_to_the_kernel(monkeypatch, dual, times_gram):
    sizes = []

    def multiply(c, a, b, beta, alpha, out):
        sizes.append(a.shape)
        return torch.baddbmm(c, a, b, beta=beta, alpha=alpha, out=out)

    monkeypatch.setattr(symmetric_blocks, "symmetric_baddbmm", multiply)
    gram = SymmetricBlocks.from_dense(torch.eye(150)[None], fused=True)
    argument = DualBlocks(gram, gram) if dual else gram
    result = root_polynomial(argument, 5, times_gram=times_gram)
    # Of the derivative all but those of squares, whose one product is not symmetric.
    squares = 3 if times_gram else 4
    assert sizes == [(1, 150, 150)] * (10 + dual * 2 * (10 - squares))
    for matrices in (result.value, result.tangent) if dual else (result,):
        assert matrices.fused


def products(size, dual, times_gram):
    gram = SymmetricBlocks.from_dense(torch.eye(size)[None])
    argument = DualBlocks(gram, gram) if dual else gram
    with FlopCounterMode(display=False) as counter:
        root_polynomial(argument, 5, times_gram=times_gram)
    return counter.get_total_flops() / (2 * size**3)


@pytest.mark.parametrize(
    ("size", "dual", "times_gram", "expected"),
    [
        (16, False, False, 10),
        (16, False, True, 10),
        (16, True, False, 10 + 16),
        (128, False, False, 10 * 0.75),
        (128, True, False, 10 * 0.75 + 13),
    ],
)
def test_number_of_products(size, dual, times_gram, expected):
    """12 and 24 as printed in the paper; a symmetric product of 2 x 2 blocks counts 3/4."""
    assert products(size, dual, times_gram) == expected
