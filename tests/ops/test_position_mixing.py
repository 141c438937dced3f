import pytest
import torch

from gcp_mm.ops.gram.tables import GROUP, mix_positions, unmix_positions


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
