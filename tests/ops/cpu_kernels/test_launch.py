"""The C kernels against the published formulas in float64, at sizes that cut tiles and blocks."""

import pytest
import torch

from gcp_mm.ops.cpu_kernels import cpu_backward, cpu_forward, launch
from gcp_mm.ops.reference import reference_global_covariance_pool

# Tiles have 6 x 16 elements, or 6 x 8; sums have up to 64 terms.
SIZES = [1, 2, 5, 6, 7, 8, 9, 15, 16, 17, 23, 24, 25, 48, 63, 64, 65, 130]


def both(x, grad, steps=5):
    return cpu_forward(x, steps), cpu_backward(grad, x, steps)


def exact(x, grad, steps=5):
    x = x.double().requires_grad_()
    value = reference_global_covariance_pool(x, steps)
    return value.detach(), torch.autograd.grad(value, x, grad.double())[0]


@pytest.fixture
def draw(normal):
    def features(batch, channels, positions):
        x = normal(batch, channels, positions, dtype=torch.float32).relu() + 0.1
        grad = normal(batch, channels * (channels + 1) // 2, seed=1, dtype=torch.float32)
        return x, grad

    return features


def assert_near(found, expected, value=1e-6, gradient=2e-6):
    for ours, theirs, bound in zip(found, expected, (value, gradient), strict=True):
        assert ours.shape == theirs.shape
        norm = theirs.norm()
        assert (ours.double() - theirs).norm() <= bound * norm + 1e-12


@pytest.mark.parametrize("channels", SIZES)
@pytest.mark.parametrize("positions", [1, 6, 16, 17, 49, 65])
def test_sizes(draw, channels, positions):
    x, grad = draw(2, channels, positions)
    assert_near(both(x, grad), exact(x, grad))


@pytest.mark.parametrize("positions", SIZES)
def test_fewer_positions_than_channels(draw, positions):
    x, grad = draw(1, 131, positions)
    assert_near(both(x, grad), exact(x, grad))


@pytest.mark.parametrize("shape", [(2, 256, 196), (1, 128, 196), (1, 300, 290), (1, 70, 1024)])
def test_sizes_of_networks(draw, shape):
    x, grad = draw(*shape)
    assert_near(both(x, grad), exact(x, grad))


@pytest.mark.parametrize("steps", range(1, 9))
@pytest.mark.parametrize("shape", [(2, 20, 13), (2, 13, 20)])
def test_steps(draw, shape, steps):
    x, grad = draw(*shape)
    assert_near(both(x, grad, steps), exact(x, grad, steps))


LAYOUTS = {
    "channels last": lambda x: x.mT.contiguous().mT,
    "every second": lambda x: torch.stack([x, x], dim=-1)[..., 0],
    "expanded": lambda x: x[:1].expand_as(x),
    "positions expanded": lambda x: x[..., :1].expand_as(x),
    "slice": lambda x: torch.cat([x, x], dim=1)[:, 3 : 3 + x.shape[1]],
    "gradient expanded": lambda x: x,
}


@pytest.mark.parametrize("view", LAYOUTS.values(), ids=LAYOUTS)
def test_layout_changes_no_bit(draw, view):
    x, grad = draw(3, 20, 13)
    grad = grad[:1].expand_as(grad)
    x = view(x)
    found, expected = both(x, grad), both(x.contiguous(), grad.contiguous())
    assert all(torch.equal(*pair) for pair in zip(found, expected, strict=True))
    assert found[1].stride() == torch.empty_like(x).stride()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_rounded_once(draw, dtype):
    x, grad = (t.to(dtype) for t in draw(2, 20, 13))
    found, expected = both(x, grad), both(x.float(), grad.float())
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.dtype == dtype and torch.equal(ours, theirs.to(dtype))


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("number", [1, 2, 3, 64])
def test_neither_threads_nor_neighbours_change_a_bit(draw, threads, number):
    x, grad = draw(7, 20, 13)
    threads(number)
    together = both(x, grad)
    for i in range(7):
        alone = both(x[i : i + 1], grad[i : i + 1])
        assert all(torch.equal(a[0], t[i]) for a, t in zip(alone, together, strict=True))


def test_empty_batch(draw):
    x, grad = draw(0, 4, 3)
    value, gradient = both(x, grad)
    assert value.shape == (0, 10) and gradient.shape == (0, 4, 3)


@pytest.mark.parametrize("shape", [(3, 17, 11), (3, 11, 17)])
def test_nothing_beside_the_results_is_written(draw, shape):
    x, grad = draw(*shape)
    library = launch.load_library()
    problem = launch._problem(x, 5)
    layout = launch.Layout(*x.stride())
    expected = both(x, grad)
    for result, call in (
        (expected[0], lambda to: library.gcp_mm_forward(problem, x.data_ptr(), layout, to)),
        (
            expected[1],
            lambda to: library.gcp_mm_backward(
                problem, grad.data_ptr(), x.data_ptr(), layout, to, layout
            ),
        ),
    ):
        room = torch.full((result.numel() + 256,), 7.0)
        inside = room[128:-128]
        assert call(inside.data_ptr()) == 0
        assert torch.equal(inside.view_as(result), result)
        assert (room[:128] == 7).all() and (room[-128:] == 7).all()


def test_no_memory_is_told(draw, monkeypatch):
    class Full:
        gcp_mm_forward = gcp_mm_backward = staticmethod(lambda *arguments: 1)

    monkeypatch.setattr(launch, "load_library", Full)
    x, grad = draw(2, 5, 3)
    with pytest.raises(MemoryError, match=r"features of shape \(2, 5, 3\): run with fewer threads"):
        cpu_forward(x, 5)
    with pytest.raises(MemoryError, match="covariance layer"):
        cpu_backward(grad, x, 5)
