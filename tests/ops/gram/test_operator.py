"""The operator as PyTorch sees it: registration, memory, group sizes, counted products."""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from gcp_mm.ops import global_covariance_pool
from gcp_mm.ops.gram import operator as gram_op
from gcp_mm.ops.gram.operator import gram_pool, gram_pool_backward, samples_at_once
from gcp_mm.ops.plain import reference_global_covariance_pool
from ops.conftest import DTYPES
from ops.devices import on_every_device

SHAPES = [(2, 9, 6), (2, 6, 9), (1, 37, 53), (1, 53, 37), (2, 5, 1), (1, 1, 4)]
# Matrices of 130 rows and more are stored in blocks.
SHAPES += [(2, 140, 130), (2, 130, 140)]
LAYOUTS = {
    "strided": lambda x: torch.stack([x, x], dim=-1)[..., 0],
    "channels last": lambda x: x.mT.contiguous().mT,
    "expanded": lambda x: x[:1].expand_as(x),
    "empty": lambda x: x[:0],
    "one position": lambda x: x[..., :1],
}


@on_every_device
@pytest.mark.parametrize("shape", [(2, 9, 6), (2, 6, 9)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_opcheck(normal, shape, dtype):
    x = normal(*shape).to(dtype)
    torch.library.opcheck(gram_pool, (x.requires_grad_(), 5))
    g = normal(shape[0], shape[1] * (shape[1] + 1) // 2).to(dtype)
    torch.library.opcheck(gram_pool_backward, (g, x.detach(), 5))


def test_few_launches_are_asked_for_by_an_argument_that_programs_before_it_do_not_have(normal):
    x, g = normal(2, 9, 6, dtype=torch.float32), normal(2, 45, dtype=torch.float32)
    torch.library.opcheck(gram_pool, (x.clone().requires_grad_(), 5, True))
    torch.library.opcheck(gram_pool_backward, (g, x, 5, True))
    assert torch.equal(torch.ops.gcp_mm.gram_pool(x, 5), gram_pool(x, 5, True))


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(2, 37, 53), (1, 53, 37)])
@pytest.mark.parametrize("view", LAYOUTS.values(), ids=LAYOUTS)
def test_opcheck_of_layouts(products, normal, shape, view):
    x = view(normal(*shape, dtype=torch.float32))
    g = normal(len(x), shape[1] * (shape[1] + 1) // 2, dtype=torch.float32)
    torch.library.opcheck(gram_pool_backward, (g, x, 5))
    torch.library.opcheck(gram_pool, (x.detach().requires_grad_(), 5))


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5, 7])
@pytest.mark.parametrize("shape", SHAPES)
def test_value_and_gradient_equal_the_reference(normal, pulled_back, products_dtype, shape, steps):
    x = normal(*shape).relu().to(products_dtype)
    g = normal(shape[0], shape[1] * (shape[1] + 1) // 2, seed=1)
    found = pulled_back(lambda x: gram_pool(x, steps), x, g)
    expected = pulled_back(lambda x: reference_global_covariance_pool(x, steps), x.double(), g)
    for ours, theirs in zip(found, expected, strict=True):
        limit = DTYPES[products_dtype] * theirs.abs().max()
        torch.testing.assert_close(ours.double(), theirs, rtol=0, atol=limit.item())


@on_every_device
def test_autograd_keeps_nothing_but_the_input(normal):
    kept = []
    x = normal(2, 9, 3, 2, dtype=torch.float32).requires_grad_()
    with saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        global_covariance_pool(x)
    assert [t.data_ptr() for t in kept] == [x.data_ptr()]


@on_every_device
@pytest.mark.parametrize("make", [lambda x: x.half(), lambda x: x.bfloat16()])
def test_half_precision_input_is_kept_as_it_is(normal, make):
    kept = []
    x = make(normal(2, 9, 3, 2)).requires_grad_()
    with saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        global_covariance_pool(x)
    assert [(t.dtype, t.numel()) for t in kept] == [(x.dtype, x.numel())]


@on_every_device
@pytest.mark.parametrize("shape", [(7, 37, 12), (7, 12, 37)])
@pytest.mark.parametrize("samples", [1, 3, 7, 100])
def test_size_of_the_groups_does_not_matter(normal, pulled_back, monkeypatch, shape, samples):
    x = normal(*shape)
    g = normal(7, shape[1] * (shape[1] + 1) // 2, seed=1)
    expected = pulled_back(lambda x: gram_pool(x, 5), x, g)
    monkeypatch.setattr(gram_op, "samples_at_once", lambda x: samples)
    found = pulled_back(lambda x: gram_pool(x, 5), x, g)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("number", [1, 2, 3, 64])
@pytest.mark.parametrize(
    "shape", [(0, 4, 9), (1, 256, 196), (31, 256, 196), (256, 256, 49), (64, 2048, 2048)]
)
def test_groups_fit_into_the_cache(threads, shape, number):
    threads(number)
    batch, channels, positions = shape
    size = 4 * (8 * min(shape[1:]) ** 2 + channels**2 + 3 * channels * positions)
    step = samples_at_once(torch.empty(1).expand(shape))
    assert step == 1 or step * size <= gram_op.CACHE_BYTES + number * size
    assert step <= max(1, batch + number - 1)
    if 1 < number <= gram_op.CACHE_BYTES // size and batch > number:
        assert step % number == 0


def test_uninitialised_memory_is_never_read(normal, pulled_back, products_dtype):
    """PyTorch fills torch.empty with NaN in this mode."""
    torch.use_deterministic_algorithms(True)
    try:
        assert torch.utils.deterministic.fill_uninitialized_memory
        for shape in SHAPES:
            x = normal(*shape, dtype=products_dtype)
            for part in pulled_back(lambda x: gram_pool(x, 5), x):
                assert part.isfinite().all()
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("shape", [(2, 9, 6), (2, 6, 9)])
def test_the_same_input_gives_the_same_bits(products, normal, pulled_back, shape):
    x = normal(*shape, dtype=torch.float32)
    first, second = (pulled_back(lambda x: gram_pool(x, 5), x) for _ in range(2))
    assert all(torch.equal(*pair) for pair in zip(first, second, strict=True))


@pytest.mark.parametrize("inner", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("shape", [(2, 9, 6), (2, 6, 9)])
def test_backward_inside_autocast_changes_no_bit(normal, pulled_back, shape, inner):
    x = normal(*shape, dtype=torch.float32)
    expected = pulled_back(global_covariance_pool, x)
    with torch.autocast("cpu", dtype=inner):
        found = pulled_back(global_covariance_pool, x)
    assert all(torch.equal(*pair) for pair in zip(found, expected, strict=True))


def test_counting_in_fake_mode_leaves_nothing_behind():
    for _ in range(2):
        with FakeTensorMode(), FlopCounterMode(display=False) as fake:
            global_covariance_pool(torch.zeros(1, 6, 4))
        with FlopCounterMode(display=False) as real:
            global_covariance_pool(torch.zeros(1, 6, 4))
        assert fake.get_total_flops() == real.get_total_flops() > 0


@pytest.mark.parametrize(("channels", "positions"), [(256, 49), (64, 196), (48, 48), (40, 7)])
@pytest.mark.parametrize("impl", ["gram", "gram_fused"])
def test_counters_of_operations_see_the_products(channels, positions, impl):
    """Per sample, by hand; products of stored blocks count as whole ones."""
    c, n = channels, positions
    m = min(c, n)
    x = torch.zeros(3, c, n, requires_grad=True)
    with FlopCounterMode(display=False) as forward:
        value = global_covariance_pool(x, impl=impl)
        x @ x.mT  # what is counted inside of a count adds nothing to it
    with FlopCounterMode(display=False) as backward:
        value.backward(torch.ones_like(value))
    around = (2 * c * n * n + c * c * n, 3 * c * n * n + c * c * n + c * n * n)
    if n >= c:
        around = (c * c * n, 2 * c * c * n)
    # A root polynomial that starts at the covariance has one product more in its derivative.
    products = (10, 10 + 16 + (1 if n >= c else 0))
    assert forward.get_total_flops() == 3 * 2 * (around[0] + products[0] * m**3 + c * c * n)
    assert backward.get_total_flops() == 3 * 2 * (around[1] + products[1] * m**3)
