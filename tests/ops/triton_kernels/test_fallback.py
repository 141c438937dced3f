import warnings
from types import SimpleNamespace

import pytest
import torch

from gcp_mm.ops.gram import fused
from gcp_mm.ops.triton_kernels import fallback, packed_product, triton_status
from gcp_mm.ops.triton_kernels.fallback import with_fallback


@pytest.fixture
def calls(monkeypatch):
    """A process in which the kernels can run on the CPU, and the log of what ran."""
    monkeypatch.setattr(fallback, "interpreting", lambda: True)
    monkeypatch.delenv("GCP_MM_TRITON", raising=False)
    monkeypatch.setattr(fallback, "_installed", lambda: True)
    monkeypatch.setattr(fallback, "_failures", [])
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


def test_fused_kernels_fail_alone(calls, monkeypatch):
    """They have run on no GPU yet: those of 'gram' go on without them."""
    failures = []
    monkeypatch.setattr(fused, "fused_failures", failures)
    x = torch.ones(1, 3, 2, dtype=torch.float16)
    assert fused.fused_status(x, 5) is None

    def broken(x):
        calls.append("fused")
        raise RuntimeError("misaligned")

    def run():
        return with_fallback(broken, lambda x: 2 * x, x, failures=failures, instead="twins run")

    with pytest.warns(RuntimeWarning, match="misaligned.*; from now on twins run"):
        assert torch.equal(run(), 2 * x)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(run(), 2 * x)
    assert calls == ["fused"]
    assert fused.fused_status(x, 5).endswith("RuntimeError: misaligned")
    assert triton_status(x) is None


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


@pytest.mark.skipif(fallback.interpreting(), reason="the interpreter would succeed")
@pytest.mark.skipif(not fallback._installed(), reason="Triton is not installed")
def test_a_product_survives_a_launch_that_fails(calls):
    """Tensors on the CPU, which Triton refuses."""
    x = torch.tensor([[[1.0], [2.0]]])
    with pytest.warns(RuntimeWarning, match="a Triton kernel failed"):
        found = packed_product(x, x, torch.ones(1, 1))
    assert found.tolist() == [[1, 2, 4]]


@pytest.fixture
def gpu(monkeypatch):
    """What triton_status looks at, on an H100 in a process where nothing has happened yet."""
    monkeypatch.delenv("GCP_MM_TRITON", raising=False)
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    monkeypatch.setattr(fallback, "_failures", [])
    monkeypatch.setattr(fallback, "_installed", lambda: True)
    monkeypatch.setattr(fallback, "_capability", lambda device: (9, 0))
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    return SimpleNamespace(dtype=torch.float16, device=torch.device("cuda:0"))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("capability", [(8, 0), (8, 6), (10, 0)])
def test_usable(gpu, monkeypatch, dtype, capability):
    monkeypatch.setattr(fallback, "_capability", lambda device: capability)
    gpu.dtype = dtype
    assert triton_status(gpu) is None


def test_usable_on_the_cpu_in_the_interpreter(gpu, monkeypatch):
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    assert triton_status(torch.ones(1)) is None
    assert "float64" in triton_status(torch.ones(1).double())


def test_switch(gpu, monkeypatch):
    monkeypatch.setenv("GCP_MM_TRITON", "0")
    assert triton_status(gpu) == "switched off by GCP_MM_TRITON=0"
    monkeypatch.setenv("GCP_MM_TRITON", "1")
    assert triton_status(gpu) is None


@pytest.mark.parametrize(
    ("where", "name", "value", "reason"),
    [
        (fallback, "_installed", lambda: False, "Triton is not installed"),
        (fallback, "_capability", lambda device: (7, 5), "cuda:0 has compute capability 7.5"),
        (torch.version, "cuda", None, "the kernels run on NVIDIA GPUs"),
    ],
    ids=["not installed", "old", "not NVIDIA"],
)
def test_reason(gpu, monkeypatch, where, name, value, reason):
    monkeypatch.setattr(where, name, value)
    assert triton_status(gpu).startswith(reason)


@pytest.mark.parametrize("place", ["cpu", "meta"])
def test_other_devices(gpu, place):
    assert triton_status(torch.empty(1, device=place)).endswith(f"the tensor is on {place}")


@pytest.mark.parametrize("dtype", [torch.float64, torch.int32])
def test_other_dtypes(gpu, dtype):
    gpu.dtype = dtype
    assert triton_status(gpu) == f"no kernel computes in {dtype}"
