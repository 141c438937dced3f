"""What the passes of few launches have to do with streams and graphs, which only a GPU has."""

import pytest
import torch

from gcp_mm.ops.gram import fused
from ops.devices import at_once, captured, no_synchronisation

pytestmark = pytest.mark.parametrize(
    "device", [pytest.param("cuda", marks=pytest.mark.gpu)], indirect=True
)
SHAPES = [(4, 24, 12), (300, 256, 49), (300, 256, 196)]
"""The last two have more samples than programs run at a time."""


@pytest.fixture
def passes(draw):
    def make(shape, seed=0):
        x = draw(*shape, seed=seed).relu().half()
        g = draw(shape[0], shape[1] * (shape[1] + 1) // 2, seed=seed + 1)
        return x, lambda: (fused.fused_forward(x, 5), fused.fused_backward(x, g, 5))

    return make


def same(found, expected):
    return all(torch.equal(*pair) for pair in zip(found, expected, strict=True))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_run_gives_the_same_bits(passes, device, shape):
    """What a barrier too few would change from time to time."""
    _, both = passes(shape)
    expected = both()
    assert all(part.isfinite().all() for part in expected)
    with no_synchronisation(device):
        found = [both() for _ in range(20)]
    assert all(same(one, expected) for one in found)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_graph_is_replayed_on_other_numbers(passes, device, shape):
    x, both = passes(shape)
    replay = captured(both, device)
    x.copy_(passes(shape, seed=7)[0])
    assert same(replay(), both())


@pytest.mark.parametrize("shape", SHAPES[:2], ids=str)
def test_streams_do_not_disturb_each_other(passes, device, shape):
    functions = [passes(shape, seed)[1] for seed in (0, 10, 20)]
    expected = [function() for function in functions]
    found = at_once(functions, device)
    assert all(same(*pair) for pair in zip(found, expected, strict=True))
