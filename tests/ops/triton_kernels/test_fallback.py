import warnings

import pytest
import torch

from gcp_mm.ops.triton_kernels import fallback as available
from gcp_mm.ops.triton_kernels import packed_product, triton_status
from gcp_mm.ops.triton_kernels.fallback import with_fallback


@pytest.fixture
def calls(monkeypatch):
    """A process in which the kernels can run on the CPU, and the log of what ran."""
    monkeypatch.setattr(available, "interpreting", lambda: True)
    monkeypatch.delenv("GCP_MM_TRITON", raising=False)
    monkeypatch.setattr(available, "_installed", lambda: True)
    monkeypatch.setattr(available, "_failures", [])
    return []


@pytest.fixture
def run(calls):
    def with_error(error=None):
        def kernel(x, factor, shift=0):
            calls.append("kernel")
            if error:
                raise error
            return factor * x + shift

        def plain(x, factor, shift=0):
            calls.append("plain")
            return factor * x + shift

        return with_fallback(kernel, plain, torch.ones(1), 2, shift=3)

    return with_error


def test_a_kernel_that_works(run, calls):
    assert run().item() == 5
    assert calls == ["kernel"]


def test_a_failure_is_told_once_and_ends_the_kernels(run, calls):
    with pytest.warns(RuntimeWarning, match="OSError: no ptxas.*GCP_MM_TRITON=0"):
        assert run(OSError("no ptxas")).item() == 5
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert run().item() == 5
    assert calls == ["kernel", "plain", "plain"]
    assert triton_status(torch.ones(1)).endswith("OSError: no ptxas")


def test_the_switch_keeps_the_kernel_from_running(run, calls, monkeypatch):
    monkeypatch.setenv("GCP_MM_TRITON", "0")
    assert run().item() == 5
    assert calls == ["plain"]


def test_full_memory_is_not_a_failure_of_triton(run, calls):
    with pytest.raises(torch.cuda.OutOfMemoryError):
        run(torch.cuda.OutOfMemoryError("full"))
    assert calls == ["kernel"]
    assert triton_status(torch.ones(1)) is None


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interruption_is_passed_on(run, error):
    with pytest.raises(error):
        run(error())


@pytest.mark.skipif(available.interpreting(), reason="the interpreter would succeed")
@pytest.mark.skipif(not available._installed(), reason="Triton is not installed")
def test_a_product_survives_a_launch_that_fails(calls):
    """Tensors on the CPU, which Triton refuses."""
    x = torch.tensor([[[1.0], [2.0]]])
    with pytest.warns(RuntimeWarning, match="a Triton kernel failed"):
        found = packed_product(x, x, torch.ones(1, 1))
    assert found.tolist() == [[1, 2, 4]]
