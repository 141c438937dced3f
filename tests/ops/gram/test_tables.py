import pytest
import torch

from gcp_mm.ops.gram.tables import (
    GROUP,
    cached_table,
    mix_positions,
    symmetric_from_triangle,
    triangle,
    unmix_positions,
)
from gcp_mm.ops.triu_vec import triu_vec


def test_tables_are_cached_table_for_each_size_and_device():
    calls = []

    @cached_table
    def table(size, device):
        calls.append((size, device.type))
        return torch.zeros(size, device=device)

    cpu, meta = torch.device("cpu"), torch.device("meta")
    assert table(3, cpu) is table(3, cpu) and table(4, cpu).shape == (4,)
    assert calls == [(3, "cpu"), (4, "cpu")]
    # One of a fake device may belong to a mode that is about to end.
    assert table(3, meta) is not table(3, meta)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("positions", [1, 15, 16, 49, 196])
def test_it_is_orthogonal_and_undone(normal, dtype, positions):
    x = normal(2, 5, positions).to(dtype)
    mixed = mix_positions(x)
    assert mixed.shape == (2, 5, -(-positions // GROUP) * GROUP)
    # The matrix itself is float32.
    torch.testing.assert_close(mixed @ mixed.mT, x @ x.mT, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(unmix_positions(mixed, positions), x, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("pattern", ["one position", "all alike", "alternating"])
def test_plain_patterns_are_spread(pattern):
    x = torch.eye(GROUP)[None]
    if pattern != "one position":
        x = torch.ones(1, 1, GROUP)
        x[..., 1::2] *= -1 if pattern == "alternating" else 1
    mixed = mix_positions(x) / x.norm(dim=-1, keepdim=True)
    assert mixed.abs().max() < 0.6
    assert (mixed.abs() > 0.05).sum(-1).min() >= 8


def test_elements_have_many_sizes():
    """Rounding errors of one size would add up instead of averaging."""
    mix = mix_positions(torch.eye(GROUP)[None])[0]
    sizes = torch.unique((mix.abs() * 1e4).round())
    assert len(sizes) > GROUP // 2


@pytest.mark.parametrize("size", [1, 2, 17])
def test_triangle_is_that_of_the_public_operator(normal, size):
    matrix = normal(3, size, size)
    assert torch.equal(triangle(matrix), triu_vec(matrix))


@pytest.mark.parametrize("size", [1, 2, 17])
def test_gradient_by_a_symmetric_matrix(normal, pulled_back, size):
    """What autograd gives for the triangle, made symmetric."""
    vector = normal(3, size * (size + 1) // 2)
    _, gradient = pulled_back(triu_vec, torch.zeros(3, size, size).double(), vector)
    assert torch.equal(symmetric_from_triangle(vector, size), (gradient + gradient.mT) / 2)


def test_empty_batch():
    assert symmetric_from_triangle(torch.zeros(0, 6), 3).shape == (0, 3, 3)
    assert triangle(torch.zeros(0, 3, 3)).shape == (0, 6)
