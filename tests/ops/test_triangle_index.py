import pytest
import torch

from gcp_mm.ops.gram.tables import symmetric_from_triangle, triangle
from gcp_mm.ops.triu_vec import triu_vec


@pytest.mark.parametrize("size", [1, 2, 17])
def test_triangle_is_that_of_the_public_operator(normal, size):
    matrix = normal(3, size, size)
    out = torch.full((3, size * (size + 1) // 2), torch.nan, dtype=matrix.dtype)
    assert torch.equal(triangle(matrix), triu_vec(matrix))
    assert triangle(matrix, out=out) is out and torch.equal(out, triu_vec(matrix))


@pytest.mark.parametrize("size", [1, 2, 17])
def test_gradient_by_a_symmetric_matrix(normal, pulled_back, size):
    """What autograd gives for the triangle, made symmetric."""
    vector = normal(3, size * (size + 1) // 2)
    _, gradient = pulled_back(triu_vec, torch.zeros(3, size, size).double(), vector)
    assert torch.equal(symmetric_from_triangle(vector, size), (gradient + gradient.mT) / 2)


def test_empty_batch():
    assert symmetric_from_triangle(torch.zeros(0, 6), 3).shape == (0, 3, 3)
    assert triangle(torch.zeros(0, 3, 3)).shape == (0, 6)
