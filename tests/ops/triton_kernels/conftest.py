"""The same tests check the plain twins, the interpreted kernels and the kernels on a GPU.

They run the kernels under ``TRITON_INTERPRET=1`` (see test_interpreter.py) or on a GPU, and the
plain twins otherwise. The expected numbers are always float64 on the CPU.
"""

import pytest
import torch

from gcp_mm.ops.triton_kernels import triton_status

# Relative to the largest number: rounding of the stored result, and of sums over 256 products.
ERRORS = {torch.float16: 1e-3, torch.float32: 2e-6}


@pytest.fixture(params=ERRORS, ids=["float16", "float32"])
def dtype(request):
    return request.param


@pytest.fixture
def draw(normal, device):
    """Standard normal numbers on the device, rounded to a dtype."""

    def numbers(*shape, seed=0, dtype=torch.float32):
        return normal(*shape, seed=seed).to(dtype).to(device)

    return numbers


@pytest.fixture(autouse=True)
def poisoned_memory():
    """Let ``torch.empty`` return NaN."""
    torch.use_deterministic_algorithms(True)
    assert torch.empty(1).isnan().item()
    yield
    torch.use_deterministic_algorithms(False)


@pytest.fixture(autouse=True)
def no_failed_kernel(device):
    """Fail where a kernel was meant to run and its twin ran instead."""
    probe = torch.ones(1, device=device)
    expected = triton_status(probe)
    assert not expected or device.type == "cpu", expected
    yield
    assert triton_status(probe) == expected


@pytest.fixture
def check(worst, dtype):
    """Compare a result with float64 numbers, in the dtype that it should have."""

    def compare(found, expected, dtype=dtype, error=None):
        assert found.dtype == dtype
        assert worst(found.cpu(), expected) <= (ERRORS[dtype] if error is None else error)

    return compare
