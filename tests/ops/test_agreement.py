"""Every implementation against the published formulas in float64, on the same features.

Of each sample the norm of the difference counts, over that of the exact value or gradient. What is
computed in the precision of TensorFloat-32 or float16 has wider bounds; on the CPU neither occurs,
and half precision is what the result is rounded to.
"""

from hashlib import sha256
from typing import NamedTuple

import pytest
import torch

from gcp_mm.ops import GlobalCovariancePool, global_covariance_pool
from gcp_mm.ops.dispatch import OPERATOR
from ops.conftest import IMPLEMENTATIONS
from ops.devices import on_every_device, with_implementations


class Bounds(NamedTuple):
    """Largest errors of value and gradient on ordinary features, and of both on hard ones."""

    value: float
    gradient: float
    hard: float


class Precision(NamedTuple):
    """The dtype of the features, PyTorch's switch, and bounds for 'gram' and for the others."""

    dtype: torch.dtype
    tf32: bool
    gram: Bounds
    plain: Bounds


PRECISIONS = {
    "float64": Precision(torch.float64, False, *2 * (Bounds(1e-12, 1e-11, 1e-9),)),
    "float32": Precision(torch.float32, False, Bounds(1e-6, 2e-6, 2e-5), Bounds(5e-6, 5e-6, 1e-4)),
    "tf32": Precision(torch.float32, True, Bounds(1e-3, 1.5e-3, 3e-3), Bounds(5e-3, 5e-3, 5e-2)),
    "float16": Precision(torch.float16, False, *2 * (Bounds(1e-3, 1.5e-3, 4e-3),)),
    # The vector itself is rounded by 1.7e-3.
    "bfloat16": Precision(torch.bfloat16, False, *2 * (Bounds(3e-3, 3e-3, 6e-3),)),
}
SHAPES = {
    "N < C": (2, 48, 4, 5),
    "N > C": (2, 24, 7, 9),
    "odd N < C": (3, 37, 3, 7),
    "odd N > C": (3, 19, 5, 13),
    "14 x 14": (1, 256, 14, 14),
    "7 x 7": (1, 256, 7, 7),
}


def one_position(x):
    x = x.relu()
    x[..., 0] *= 20
    return x


def one_channel(x):
    x = x.relu()
    x[:, 0] *= 50
    return x


HARD = {
    "dominant": one_channel,
    "sparse": lambda x: (x - 2).relu(),
    "mean 50": lambda x: x.relu() + 50,
    "tiny": lambda x: 1e-4 * x.relu(),
    "rank one": lambda x: x[:, :, :1].abs() * x[:, :1].abs(),
    "one position": one_position,
    "constant sample": lambda x: torch.cat([x[:1], x[:1, :1, :1].expand_as(x[:1])]),
}


def error(found, exact):
    """Return the norm of the difference over that of the exact tensor, of the worst sample."""
    found, exact = found.cpu().double().flatten(1), exact.cpu().flatten(1)
    size = exact.norm(dim=1)
    distance = (found - exact).norm(dim=1)
    # A sample without variance is zero, and has to be exactly that.
    return torch.where(size == 0, torch.where(distance == 0, 0.0, torch.inf), distance / size).max()


@pytest.fixture(params=PRECISIONS)
def precision(request, allow_tf32):
    found = PRECISIONS[request.param]
    allow_tf32(found.tf32)
    return found


@pytest.fixture(scope="module")
def exact_results(pulled_back):
    """Return a function that gives the exact value and gradient, computed once for all."""
    made = {}

    def get(x, g, steps):
        x, g = x.cpu().double().contiguous(), g.cpu()
        numbers = x.numpy().tobytes() + g.double().numpy().tobytes()
        key = x.shape, steps, sha256(numbers).digest()
        if key not in made:
            made[key] = pulled_back(lambda x: global_covariance_pool(x, steps, "reference"), x, g)
        return made[key]

    return get


@pytest.fixture
def errors(normal, pulled_back, exact_results):
    """Errors of value and gradient; the exact ones are those of the rounded features."""

    def compare(impl, x, steps=5):
        g = normal(len(x), x.shape[1] * (x.shape[1] + 1) // 2, seed=1).to(x.dtype)
        found = pulled_back(lambda x: global_covariance_pool(x, steps, impl), x, g)
        assert all(part.dtype == x.dtype for part in found)
        return [error(*pair) for pair in zip(found, exact_results(x, g, steps), strict=True)]

    return compare


@with_implementations(*IMPLEMENTATIONS)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_ordinary_features(normal, errors, precision, impl, shape):
    x = normal(*shape).relu().to(precision.dtype)
    bounds = precision.gram if impl in OPERATOR else precision.plain
    for layout in (torch.contiguous_format, torch.channels_last):
        value, gradient = errors(impl, x.contiguous(memory_format=layout))
        assert value <= bounds.value and gradient <= bounds.gradient, layout


@with_implementations(*IMPLEMENTATIONS)
@pytest.mark.parametrize("case", HARD.values(), ids=HARD)
def test_hard_features(normal, errors, precision, impl, case):
    bounds = precision.gram if impl in OPERATOR else precision.plain
    for shape in (SHAPES["N < C"], SHAPES["N > C"]):
        x = case(normal(*shape)).to(precision.dtype)
        assert max(errors(impl, x)) <= bounds.hard, shape


@with_implementations("gram")
@pytest.mark.parametrize("steps", [1, 2, 3, 7, 8])
def test_other_numbers_of_steps(normal, errors, precision, impl, steps):
    """Half precision is carried by float16 up to seven of them."""
    for shape in (SHAPES["N < C"], SHAPES["N > C"]):
        x = normal(*shape).relu().to(precision.dtype)
        assert max(errors(impl, x, steps)) <= precision.gram.hard, shape


@on_every_device
def test_second_derivatives(normal, precision):
    """Of the operator by plain operators; PyTorch's switch holds for them too."""

    def product(x, impl):
        x = x.detach().requires_grad_()
        weight, direction = (normal(*shape, seed=1).to(x) for shape in ((2, 1176), x.shape))
        loss = (global_covariance_pool(x, impl=impl).square() * weight).sum()
        (gradient,) = torch.autograd.grad(loss, x, create_graph=True)
        return torch.autograd.grad((gradient * direction).sum(), x)[0]

    x = normal(*SHAPES["N < C"]).relu().to(precision.dtype)
    exact = product(x.double(), "reference")
    assert error(product(x, "gram"), exact) <= 10 * precision.plain.hard


@on_every_device
@pytest.mark.parametrize("dim", [0, 2])
def test_vmap(normal, pulled_back, precision, dim):
    """Over a dimension anywhere; the operator runs once for all."""
    x = normal(3, *SHAPES["N < C"]).relu().to(precision.dtype)
    g = normal(3, 2, 1176, seed=1)
    expected = pulled_back(lambda x: global_covariance_pool(x.flatten(0, 1)), x, g.flatten(0, 1))
    mapped = torch.vmap(global_covariance_pool, in_dims=dim)
    value, gradient = pulled_back(lambda x: mapped(x.movedim(0, dim)), x, g)
    assert torch.equal(value.flatten(0, 1), expected[0])
    assert torch.equal(gradient, expected[1])


@with_implementations("gram")
@pytest.mark.parametrize("shape", [(4, 256, 7, 7), (3, 24, 7, 9)], ids=["N < C", "N > C"])
def test_the_same_input_gives_the_same_bits(normal, pulled_back, precision, impl, shape):
    pool = GlobalCovariancePool(impl=impl)
    x = normal(*shape).relu().to(precision.dtype)
    first = pulled_back(pool, x)
    for _ in range(3):
        again = pulled_back(pool, x)
        assert all(torch.equal(*pair) for pair in zip(again, first, strict=True))


@with_implementations("gram")
@pytest.mark.parametrize("shape", [SHAPES["odd N < C"], SHAPES["odd N > C"]], ids=str)
def test_uninitialised_memory_is_never_read(normal, pulled_back, precision, impl, shape):
    """PyTorch fills torch.empty with NaN in this mode."""
    x = normal(*shape).relu().to(precision.dtype)
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        assert torch.empty(1, device=x.device).isnan()
        for part in pulled_back(GlobalCovariancePool(impl=impl), x):
            assert part.isfinite().all()
    finally:
        torch.use_deterministic_algorithms(False)
