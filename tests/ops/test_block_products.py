import pytest
import torch

from gcp_mm.ops.gram.matrices import add_products, block_sizes

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
