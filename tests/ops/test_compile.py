"""The layer is one graph for torch.compile, forward and backward."""

import shutil

import pytest
import torch

from gcp_mm.ops import GlobalCovariancePool


@pytest.fixture(autouse=True)
def fresh_compiler():
    torch.compiler.reset()
    yield
    torch.compiler.reset()


@pytest.fixture
def check(normal, pulled_back):
    def compare(backend, impl, shape, autocast=False):
        # A first step, a last one and one between: the compiler takes as long for each.
        pool = GlobalCovariancePool(num_iters=3, impl=impl)

        def under_autocast(x):
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
                return pool(x)

        x = normal(*shape, dtype=torch.float32)
        g = normal(shape[0], shape[1] * (shape[1] + 1) // 2, seed=1)
        compiled = torch.compile(under_autocast, fullgraph=True, backend=backend)
        expected = pulled_back(pool, x, g)
        found = pulled_back(compiled, x, g)
        for ours, theirs in zip(found, expected, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)

    return compare


@pytest.mark.slow
# Only 'gram_autograd' shows the compiler which of the two Gram matrices it takes.
@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize(
    ("impl", "shape"),
    [
        ("gram", (2, 9, 3, 2)),
        ("reference", (2, 9, 3, 2)),
        ("gram_autograd", (2, 9, 3, 2)),
        ("gram_autograd", (2, 6, 3, 4)),
    ],
)
def test_compiled_equals_eager(check, impl, shape, autocast):
    check("aot_eager", impl, shape, autocast)


inductor = pytest.mark.skipif(not shutil.which("g++"), reason="inductor needs a C++ compiler")


@pytest.mark.slow
@inductor
def test_inductor_equals_eager(check):
    check("inductor", "gram", (2, 9, 3, 2))


@inductor
@pytest.mark.process  # of the compiler
def test_inductor_loses_no_digit(normal, pulled_back):
    """It adds up in one chain what eager sums add up in pairs: 50176 squares here."""
    x = normal(2, 256, 14, 14, dtype=torch.float32).relu()
    # The more steps, the less of an error of the trace is left.
    pool = GlobalCovariancePool(num_iters=1, impl="gram_autograd")
    found = pulled_back(torch.compile(pool, backend="inductor"), x)
    expected = pulled_back(GlobalCovariancePool(num_iters=1, impl="reference"), x.double())
    for ours, exact in zip(found, expected, strict=True):
        assert (ours.double() - exact).norm() < 5e-7 * exact.norm()
