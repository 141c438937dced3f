"""What torch's counter sees of an operator, against products counted by hand."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode, register_flop_formula

from gcp_mm.ops.gram.operator import flop_formula

SHAPES = [(2, 6, 4), (3, 4, 6), (1, 5, 5), (2, 7, 1), (4, 256, 49)]


def gram_kernel(x, num_iters):
    """Compute the layer on the smaller Gram matrix, one product at a time."""
    channels, positions = x.shape[-2:]
    centred = x - x.mean(-1, keepdim=True)
    few = positions < channels
    r = centred.mT @ centred if few else centred @ centred.mT
    q = 1.5 - r / 2
    for _ in range(num_iters - 1):
        r = torch.baddbmm(r, r, r)
        r = torch.bmm(r, r)
        q = torch.baddbmm(q, q, r)
    return centred @ q @ centred.mT if few else r @ q


def backward_kernel(gradient, x, num_iters):
    """Multiply a symmetric gradient (B, C, C) by the features, `num_iters` times."""
    for _ in range(num_iters):
        x = gradient @ x
    return x


def by_hand(channels, positions, num_iters):
    """Multiply-adds of `gram_kernel` for one sample."""
    if positions < channels:
        gram = positions * positions * channels
        ends = channels * positions * positions + channels * channels * positions
        return gram + 3 * (num_iters - 1) * positions**3 + ends
    gram = channels * channels * positions
    return gram + 3 * (num_iters - 1) * channels**3 + channels**3


@pytest.fixture(scope="module")
def operators():
    """Define operators as a custom op is defined: opaque to every counter, forward and backward."""

    @torch.library.custom_op("gcp_mm_tests::pool", mutates_args=())
    def pool(x: torch.Tensor, num_iters: int) -> torch.Tensor:
        return gram_kernel(x, num_iters)

    @torch.library.custom_op("gcp_mm_tests::pool_backward", mutates_args=())
    def pool_backward(gradient: torch.Tensor, x: torch.Tensor, num_iters: int) -> torch.Tensor:
        return backward_kernel(gradient, x, num_iters)

    return torch.ops.gcp_mm_tests


def count(function):
    with FlopCounterMode(display=False) as counter:
        function()
    return counter.get_total_flops()


@pytest.mark.parametrize("num_iters", [1, 2, 5])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_formula_counts_the_products_of_the_kernel(shape, num_iters):
    batch, channels, positions = shape
    expected = 2 * batch * by_hand(channels, positions, num_iters)
    assert flop_formula(gram_kernel)(torch.Size(shape), num_iters) == expected
    assert flop_formula(gram_kernel)(torch.Size(shape), num_iters=num_iters) == expected


def test_layer_of_the_published_networks():
    # 256 channels, 14 x 14 and 7 x 7 positions, 5 steps: counted on paper.
    formula = flop_formula(gram_kernel)
    for positions, multiply_adds in ((196, 122_868_480), (49, 5_852_364)):
        assert formula(torch.Size((1, 256, positions)), 5) == 2 * multiply_adds


def test_counter_sees_a_registered_operator_alone(operators):
    x, gradient = torch.randn(3, 4, 6), torch.randn(3, 4, 4)
    calls = {
        "pool": (lambda: operators.pool(x, 5), 3 * by_hand(4, 6, 5)),
        "pool_backward": (lambda: operators.pool_backward(gradient, x, 2), 3 * 2 * 4 * 4 * 6),
    }
    assert [count(call) for call, _ in calls.values()] == [0, 0]
    register_flop_formula(operators.pool)(flop_formula(gram_kernel))
    register_flop_formula(operators.pool_backward)(flop_formula(backward_kernel))
    for name, (call, multiply_adds) in calls.items():
        assert count(call) == 2 * multiply_adds, name
    # The count inside of a count adds nothing to it.
    assert count(lambda: (operators.pool(x, 5), x @ x.mT)) == 2 * (
        3 * by_hand(4, 6, 5) + 3 * 4 * 6 * 4
    )
