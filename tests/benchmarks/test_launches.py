"""The number of launches is what the documentation says, and so are their arguments."""

import json

import pytest
import torch

from gcp_mm.ops.gram import fused

pytest.importorskip("triton", reason="Triton is not installed")


def test_launches_are_those_of_the_published_count(run_warm, repo, tmp_path):
    out = tmp_path / "out.json"
    result = run_warm("benchmarks/launches.py", "--repetitions", "2", "--out", out, cwd=repo)
    assert result.returncode == 0, result.stderr
    found, published = (
        json.loads(path.read_text())["layers"]
        for path in (out, repo / "benchmarks/results/launches.json")
    )
    for impl, row in published.items():
        for direction in ("forward", "backward"):
            # Which operators of PyTorch run beside the kernels depends on its version.
            assert found[impl][direction]["triton"] == row[direction]["triton"]
    few = found["gram_fused"]
    assert few["forward"]["total"] <= 4 and few["backward"]["total"] <= 5


@pytest.mark.process
def test_a_kernel_is_started_as_triton_would(tmp_path):
    """From the second pass on the kernels that Triton has chosen are started without it."""
    from absent_gpu import AbsentGPU, absent_gpu

    starts = []

    def form(value):
        is_tensor = torch.is_tensor(value)
        return (value.shape, value.stride(), value.dtype) if is_tensor else value

    class Noting(AbsentGPU):
        def launcher_cls(self, source, metadata):
            def start(*args):
                # Grid, stream, function, metadata; three of hooks; the arguments.
                starts.append((metadata.name, [form(arg) for arg in (*args[:6], *args[9:])]))

            return start

    x = torch.rand(5, 17, 9).half()
    grad = torch.rand(5, 153)
    with absent_gpu(Noting(80), tmp_path):
        passes = []
        for given in (x, x, x.bfloat16(), torch.rand(5 * 153 + 1).half()[1:].view(5, 17, 9)):
            starts.clear()
            fused.fused_backward(given, grad, 5)
            passes.append(list(starts))
        plan = fused.make_plan(x.shape, x.stride(), x.stride(), x.device, 2, 5)
        assert fused.make_plan.cache_info().currsize == 1
    first, second, other_dtype, not_aligned = passes
    assert [name for name, _ in first] == [
        "normalise_kernel",
        "packed_symmetric_matmul_kernel",
        "polynomial_kernel",
        "gradient_kernel",
    ]
    assert first == second
    # The last is not what the first was compiled for, whose loads need an address of 16 bytes.
    assert len(plan.normalise.compiled) == 3 and len(plan.polynomial.compiled) == 1
    assert [name for name, _ in not_aligned] == [name for name, _ in other_dtype]
