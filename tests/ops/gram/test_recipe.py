"""The list of products against the polynomial, by running it on numbers and on matrices."""

import numpy as np
import pytest

from gcp_mm.ops.gram.recipe import recipe

STEPS = range(1, 8)


def run(steps, k, w=None):
    """Do what the kernel does, on matrices that are nothing before they are written."""
    instructions = recipe(steps)
    identity = np.eye(len(k))
    slots, tangents = ([np.full_like(k, np.nan) for _ in range(instructions.slots)] for _ in "vt")
    slots[0], tangents[0] = k, np.zeros_like(k) if w is None else w
    for p in instructions.products:
        value = p.alpha * slots[p.left] @ slots[p.right]
        tangent = p.alpha * (tangents[p.left] @ slots[p.right] + slots[p.left] @ tangents[p.right])
        for matrices, product in ((slots, value), (tangents, tangent)):
            total = product + p.beta * matrices[p.a]
            if p.gamma:
                total += p.gamma * matrices[p.b]
            matrices[p.out] = total
            if p.delta:
                matrices[p.second] = total + p.delta * matrices[p.c]
    value = instructions.identity * identity + instructions.factor * slots[instructions.result]
    return value, instructions.factor * tangents[instructions.result]


@pytest.fixture
def spectrum():
    """Eigenvalues in [0, 1], and eigenvectors."""
    rng = np.random.default_rng(0)
    return np.array([0.0, 1e-3, 0.2, 0.7, 1.0]), np.linalg.qr(rng.standard_normal((5, 5)))[0]


@pytest.mark.parametrize("steps", STEPS)
def test_eigenvalues(spectrum, polynomial, steps):
    values, vectors = spectrum
    found, _ = run(steps, (vectors * values) @ vectors.T)
    diagonal = vectors.T @ found @ vectors
    np.testing.assert_allclose(diagonal, np.diag(np.diag(diagonal)), atol=1e-13)
    np.testing.assert_allclose(values * np.diag(diagonal), polynomial(values, steps), atol=1e-13)
    assert np.isclose(diagonal[0, 0], 1.5**steps)


@pytest.mark.parametrize("steps", STEPS)
def test_derivative(spectrum, steps):
    """A polynomial of [[K, W], [0, K]] has its derivative in the corner (Higham 2008, 3.1)."""
    values, vectors = spectrum
    k = (vectors * values) @ vectors.T
    w = np.random.default_rng(1).standard_normal((5, 5))
    w += w.T
    r = np.block([[k, w], [np.zeros_like(k), k]])
    q = np.eye(10)
    for _ in range(steps):
        t = 1.5 * np.eye(10) - 0.5 * r
        q, r = q @ t, r @ t @ t
    expected = q[:5, 5:]
    np.testing.assert_allclose(run(steps, k, w)[1], expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("steps", STEPS)
def test_no_product_writes_over_what_other_threads_still_read(steps):
    for product in recipe(steps).products:
        written = {product.out} | ({product.second} if product.delta else set())
        read = {product.left, product.right, product.a}
        read |= {product.b} if product.gamma else set()
        read |= {product.c} if product.delta else set()
        assert not written & read
        assert not product.delta or product.second != product.out


def test_as_many_products_as_the_polynomial_needs():
    assert [len(recipe(steps).products) for steps in STEPS] == [0, 2, 5, 7, 10, 12, 15]
    assert max(recipe(steps).slots for steps in STEPS) == 5
