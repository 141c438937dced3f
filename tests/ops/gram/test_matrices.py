"""Products of stored blocks against products of the whole matrices."""

from dataclasses import replace

import pytest
import torch

from gcp_mm.ops.gram import matrices as symmetric_blocks
from gcp_mm.ops.gram.matrices import SPLIT, SymmetricBlocks, add_products, block_sizes, cross_terms

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("size", "expected"), [(127, (127,)), (128, (64, 64)), (196, (96, 100)), (256, (128, 128))]
)
def test_sizes_of_the_blocks(size, expected):
    assert block_sizes(size, CPU) == expected
    assert block_sizes(size, torch.device("meta")) == block_sizes(size, CPU, fused=True) == (size,)


def test_sum_of_products_is_added_to_what_was_there(normal):
    a, b, c, d, e = (normal(2, 5, 5, seed=seed) for seed in range(5))
    expected = 0.5 * e + 3 * (a @ b + c @ d)
    out = torch.full_like(e, torch.nan)
    add_products(e, 0.5, [(a, b), (c, d)], 3.0, out)
    torch.testing.assert_close(out, expected)
    add_products(e, 0.5, [(a, b), (c, d)], 3.0, e)
    torch.testing.assert_close(e, expected)


SIZES = [1, 37, SPLIT - 1, SPLIT, 196, 257]


@pytest.fixture(params=SIZES)
def size(request):
    return request.param


@pytest.fixture
def commuting(normal, size):
    """Polynomials of one symmetric matrix."""
    a = normal(2, size, size)
    a = (a + a.mT) / size**0.5
    return a, a @ a - 0.5 * a, 2 * a - torch.eye(size, dtype=a.dtype)


def blocks(matrix, unit=1.0, identity=0.0):
    rest = matrix - identity * torch.eye(matrix.shape[-1], dtype=matrix.dtype)
    return replace(SymmetricBlocks.from_dense(unit * rest), unit=unit, identity=identity)


def equal(found, expected):
    torch.testing.assert_close(found.dense() / found.unit, expected, rtol=1e-12, atol=1e-11)


def test_dense_gives_back_what_was_taken(commuting):
    equal(blocks(commuting[0]), commuting[0])


@pytest.mark.parametrize("inner", [1, 5])
def test_product_of_a_matrix_and_its_transpose(normal, size, inner):
    factor = normal(2, size, inner)
    equal(SymmetricBlocks.product(factor, factor.mT), factor @ factor.mT)


def test_fused_product_is_left_to_the_kernel(normal, size, monkeypatch):
    calls = []

    def multiply(c, a, b, beta, alpha, out):
        calls.append((beta, alpha))
        return torch.baddbmm(c, a, b, beta=beta, alpha=alpha, out=out)

    monkeypatch.setattr(symmetric_blocks, "symmetric_baddbmm", multiply)
    factor = normal(2, size, 5)
    found = SymmetricBlocks.product(2 * factor, factor.mT, 2.0, fused=True)
    assert found.fused and calls == [(0, 1)]
    equal(found, factor @ factor.mT)


@pytest.fixture(params=[(0.0, 0.0), (1.5, 0.0), (0.0, -0.5), (1.5, -0.5)])
def identities(request):
    """What of two matrices is kept as a number."""
    return request.param


@pytest.mark.parametrize(("unit", "other"), [(1, 1), (4, 1), (1, 8), (4, 8)])
def test_operations_equal_those_of_whole_matrices(commuting, unit, other, identities):
    a, b, c = commuting
    eye = torch.eye(a.shape[-1], dtype=a.dtype)
    ours, theirs = blocks(a, unit, identities[0]), blocks(b, other, identities[1])
    for found, expected, identity in (
        (ours, a, identities[0]),
        (ours.times(theirs), a @ b, identities[0] * identities[1]),
        (ours.squared(), a @ a, identities[0] ** 2),
        (ours.squared(plus=-2.0), a @ a - 2 * a, identities[0] ** 2 - 2 * identities[0]),
        (ours.affine(0.3, 2.0), 0.3 * a + 2 * eye, 0.3 * identities[0] + 2),
        (ours.affine(1.0, 2.0), a + 2 * eye, identities[0] + 2),
        (ours.plus(-0.7, theirs), a - 0.7 * b, identities[0] - 0.7 * identities[1]),
    ):
        assert found.identity == pytest.approx(identity, rel=1e-15)
        equal(found, expected)
    # The parts without identities are multiplied.
    product = (a - identities[0] * eye) @ (b - identities[1] * eye)
    equal(blocks(c, 2.0, 3.0).plus_product(0.25, ours, theirs, 0.5), c / 4 + product / 2)


def test_cross_terms_leave_identities_out(commuting, identities):
    a, b, _ = commuting
    base, keep = cross_terms(blocks(a, 4.0, 5.0), identities[1], blocks(b, 2.0, 7.0), identities[0])
    eye = torch.eye(a.shape[-1], dtype=a.dtype)
    expected = identities[0] * (a - 5 * eye) + identities[1] * (b - 7 * eye)
    assert base.identity == 0
    torch.testing.assert_close(keep * base.dense() / base.unit, expected)


@pytest.mark.parametrize("identity", [0.0, 1.5])
@pytest.mark.parametrize(("unit", "other"), [(1, 1), (4, 8)])
def test_anticommutator_of_matrices_that_do_not_commute(normal, size, unit, other, identity):
    a, b = (m + m.mT for m in (normal(2, size, size), normal(2, size, size, seed=1)))
    found = blocks(a, unit, identity).anticommutator(blocks(b, other), keep=-2.0)
    assert found.unit == other
    equal(found, a @ b + b @ a - 2 * b)


def test_a_sum_of_products_need_only_be_symmetric_as_a_whole(normal, size):
    a, b = (blocks(m + m.mT) for m in (normal(2, size, size), normal(2, size, size, seed=1)))
    found = a.plus_product(0.0, a, b).plus_product(1.0, b, a, overwrite=True)
    equal(found, a.dense() @ b.dense() + b.dense() @ a.dense())


@pytest.mark.parametrize("identity", [0.0, 1.5])
def test_operands_are_not_written_to(commuting, identity):
    a, b = (blocks(matrix, identity=identity) for matrix in commuting[:2])
    plain = blocks(commuting[1])
    for result in (
        *(a.times(b), a.squared(), a.affine(2.0, 1.0), a.plus(2.0, b)),
        *(a.plus_product(0.5, a, b), a.anticommutator(plain)),
    ):
        for block in result.upper:
            block.fill_(torch.nan)
    for found, expected in zip((a, b, plain), (*commuting[:2], commuting[1]), strict=True):
        equal(found, expected)


def test_overwriting_needs_no_memory(commuting):
    a, b, c = map(blocks, commuting)
    assert c.plus_product(1.0, a, b, overwrite=True).upper is c.upper
    equal(c, commuting[2] + commuting[0] @ commuting[1])


def test_nothing_is_read_from_uninitialised_memory(commuting, monkeypatch):
    a, b = (blocks(matrix) for matrix in commuting[:2])
    monkeypatch.setattr(torch, "empty_like", lambda t: torch.full_like(t, torch.nan))
    equal(a.times(b), commuting[0] @ commuting[1])
    equal(a.squared(), commuting[0] @ commuting[0])
    equal(a.anticommutator(a), 2 * commuting[0] @ commuting[0])
    poisoned = blocks(torch.full_like(commuting[0], torch.nan))
    equal(poisoned.plus_product(0.0, a, b), commuting[0] @ commuting[1])
