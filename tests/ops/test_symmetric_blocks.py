"""Products of stored blocks against products of the whole matrices."""

from dataclasses import replace

import pytest
import torch

from gcp_mm.ops.symmetric_blocks import SPLIT, SymmetricBlocks, block_sizes

SIZES = [1, 37, SPLIT - 1, SPLIT, 196, 257]
CPU = torch.device("cpu")


@pytest.fixture(params=SIZES)
def size(request):
    return request.param


@pytest.fixture
def commuting(normal, size):
    """Polynomials of one symmetric matrix."""
    a = normal(2, size, size)
    a = (a + a.mT) / size**0.5
    return a, a @ a - 0.5 * a, 2 * a - torch.eye(size, dtype=a.dtype)


def blocks(matrix, unit=1.0):
    return replace(SymmetricBlocks.from_dense(unit * matrix), unit=unit)


def equal(found, expected):
    torch.testing.assert_close(found.dense() / found.unit, expected, rtol=1e-12, atol=1e-11)


@pytest.mark.parametrize(
    ("size", "expected"), [(127, (127,)), (128, (64, 64)), (196, (96, 100)), (256, (128, 128))]
)
def test_sizes_of_the_blocks(size, expected):
    assert block_sizes(size, CPU) == expected
    assert block_sizes(size, torch.device("meta")) == block_sizes(size, CPU, fused=True) == (size,)


def test_dense_gives_back_what_was_taken(commuting):
    equal(blocks(commuting[0]), commuting[0])


@pytest.mark.parametrize("inner", [1, 5])
def test_product_of_a_matrix_and_its_transpose(normal, size, inner):
    factor = normal(2, size, inner)
    equal(SymmetricBlocks.product(factor, factor.mT), factor @ factor.mT)


@pytest.mark.parametrize(("unit", "other"), [(1, 1), (4, 1), (1, 8), (4, 8)])
def test_operations_equal_those_of_whole_matrices(commuting, unit, other):
    a, b, c = commuting
    eye = torch.eye(a.shape[-1], dtype=a.dtype)
    ours, theirs = blocks(a, unit), blocks(b, other)
    equal(ours.times(theirs), a @ b)
    assert ours.times(theirs).unit == unit
    equal(ours.squared(), a @ a)
    equal(ours.affine(0.3, 2.0), 0.3 * a + 2 * eye)
    assert ours.affine(0.3, 2.0).unit == 1
    equal(blocks(a, unit).add_(theirs, -0.7), a - 0.7 * b)
    equal(blocks(c).add_product_(ours, theirs), c + a @ b)
    equal(blocks(c).add_product_(ours, theirs, keep=0.25), c / 4 + a @ b)


@pytest.mark.parametrize(("unit", "other"), [(1, 1), (4, 8)])
def test_anticommutator_of_matrices_that_do_not_commute(normal, size, unit, other):
    a, b = (m + m.mT for m in (normal(2, size, size), normal(2, size, size, seed=1)))
    found = blocks(a, unit).anticommutator(blocks(b, other))
    assert found.unit == other
    equal(found, a @ b + b @ a)


def test_a_sum_of_products_need_only_be_symmetric_as_a_whole(normal, size):
    a, b = (m + m.mT for m in (normal(2, size, size), normal(2, size, size, seed=1)))
    zero = blocks(torch.zeros_like(a))
    equal(zero.add_product_(blocks(a), blocks(b)).add_product_(blocks(b), blocks(a)), a @ b + b @ a)


def test_nothing_is_read_from_uninitialised_memory(commuting):
    a = blocks(commuting[0])
    poisoned = replace(a, upper=tuple(torch.full_like(b, torch.nan) for b in a.upper))
    equal(poisoned.add_product_(a, a, keep=0), commuting[0] @ commuting[0])
