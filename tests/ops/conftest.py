"""Inputs and independent answers for the layer."""

import numpy as np
import pytest
import torch

from gcp_mm.ops.triton_kernels import triton_status
from gcp_mm.ops.triton_kernels.fallback import interpreting

if interpreting():
    from ops.triton_kernels.quick_interpreter import quicken

    quicken()

DTYPES = {torch.float32: 5e-6, torch.float64: 1e-10}


@pytest.fixture(params=DTYPES, ids=["float32", "float64"])
def dtype(request):
    return request.param


@pytest.fixture
def tolerance(dtype):
    return DTYPES[dtype]


@pytest.fixture(params=["1", "0"], ids=["C kernels", "PyTorch's products"])
def products(request, monkeypatch):
    """Run the operator in C where it can, and then in PyTorch."""
    monkeypatch.setenv("GCP_MM_CPU_KERNELS", request.param)


@pytest.fixture(params=["float32 in C", "float32", "float64"])
def products_dtype(request, monkeypatch):
    """Run the operator in every way that it has on a CPU; gives the dtype of its features."""
    name, in_c, _ = request.param.partition(" in C")
    monkeypatch.setenv("GCP_MM_CPU_KERNELS", "1" if in_c else "0")
    return getattr(torch, name)


IMPLEMENTATIONS = ["gram", "gram_autograd", "reference"]


@pytest.fixture(params=IMPLEMENTATIONS)
def impl(request):
    """For what the C kernels have no part in: float64, meta tensors, graphs."""
    return request.param


@pytest.fixture(params=["gram without C", *IMPLEMENTATIONS])
def any_impl(request, monkeypatch):
    name, without, _ = request.param.partition(" without C")
    monkeypatch.setenv("GCP_MM_CPU_KERNELS", "0" if without else "1")
    return name


@pytest.fixture
def device(request):
    """The CPU, or what `devices.on_every_device` says; there a kernel that fails fails the test."""
    found = torch.device(getattr(request, "param", "cpu"))
    yield found
    if found.type == "cuda":
        assert triton_status(torch.ones(1, device=found)) is None


@pytest.fixture
def normal(device):
    """Standard normal numbers that do not depend on the order of the tests, on the device."""

    def draw(*shape, seed=0, dtype=torch.float64):
        numbers = np.random.default_rng(seed).standard_normal(shape)
        return torch.from_numpy(numbers).to(device, dtype)

    return draw


@pytest.fixture
def threads():
    """Set the number of PyTorch's threads."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.fixture
def allow_tf32():
    """Set PyTorch's switch, which monkeypatch cannot restore: it is not in the object's dict."""
    matmul = torch.backends.cuda.matmul
    before = matmul.allow_tf32
    yield lambda value: setattr(matmul, "allow_tf32", value)
    matmul.allow_tf32 = before


@pytest.fixture(scope="session")
def pulled_back():
    """Value of a function and gradient of <cotangent, value>."""

    def evaluate(function, x, cotangent=None):
        x = x.detach().clone().requires_grad_()
        value = function(x)
        cotangent = torch.ones_like(value) if cotangent is None else cotangent
        (gradient,) = torch.autograd.grad(value, x, cotangent.to(value.dtype))
        return value.detach(), gradient

    return evaluate


@pytest.fixture(scope="session")
def polynomial():
    """p_n(l): what n Newton-Schulz steps make of an eigenvalue l, in numpy."""

    def evaluate(values, steps):
        y, z = np.asarray(values, dtype="float64"), 1.0
        for _ in range(steps):
            t = (3 - z * y) / 2
            y, z = y * t, t * z
        return y

    return evaluate


@pytest.fixture(scope="session")
def eigen_root(polynomial):
    """The square root of n steps from the eigendecomposition of one covariance, in float64."""

    def root(cov, steps):
        trace = np.trace(cov)
        values, vectors = np.linalg.eigh(np.asarray(cov, dtype="float64") / trace)
        return np.sqrt(trace) * (vectors * polynomial(values, steps)) @ vectors.T

    return root


@pytest.fixture(scope="session")
def eigen_pool(eigen_root):
    """The whole layer from ``numpy.cov`` and eigenvalues, for features (B, C, N)."""

    def pool(x, steps):
        samples = np.asarray(x.detach().cpu(), dtype="float64")
        upper = np.triu_indices(samples.shape[1])
        return np.stack([eigen_root(np.cov(sample, bias=True), steps)[upper] for sample in samples])

    return pool
