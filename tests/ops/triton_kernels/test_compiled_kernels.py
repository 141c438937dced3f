"""The kernels compile for GPUs that are not there, into the instructions they were written for."""

import re

import pytest
import torch

from gcp_mm.ops.triton_kernels import (
    fallback,
    packed_product,
    packed_symmetric_matmul,
    symmetric_baddbmm,
)
from gcp_mm.ops.triton_kernels.fallback import interpreting

triton = pytest.importorskip("triton", reason="Triton is not installed")
pytestmark = [
    pytest.mark.process,  # of the assembler
    pytest.mark.skipif(interpreting(), reason="the interpreter compiles nothing"),
    pytest.mark.filterwarnings("error:a Triton kernel failed"),
]

# 163 KiB on compute capability 8.0 and 227 on 9.0, but 99 on 8.6 and 8.9.
SHARED_MEMORY = 99 * 1024
CHANNELS = 256


def launch_symmetric_baddbmm(dtype, positions):
    c, a, b = (torch.empty(2, positions, positions, dtype=dtype) for _ in range(3))
    symmetric_baddbmm(c, a, b, 1.5, -0.5)


def launch_gram(dtype, positions):
    x = torch.empty(2, CHANNELS, positions, dtype=dtype)
    symmetric_baddbmm(torch.empty(2, positions, positions, dtype=dtype), x.mT, x, 0, 1)


def launch_gram_over_positions(dtype, positions):
    """With fewer channels than positions, and channels_last."""
    x = torch.empty(2, positions, 64, dtype=dtype).mT
    symmetric_baddbmm(torch.empty(2, 64, 64, dtype=dtype), x, x.mT, 0, 1)


def launch_packed_product(dtype, positions):
    left = torch.empty(2, CHANNELS, positions, dtype=dtype)
    packed_product(left, left, torch.empty(2, 1), dtype=torch.float32)


def launch_packed_symmetric_matmul(dtype, positions):
    packed = torch.empty(2, CHANNELS * (CHANNELS + 1) // 2, dtype=torch.bfloat16)
    right = torch.empty(2, CHANNELS, positions, dtype=dtype)
    packed_symmetric_matmul(packed, right, torch.empty(2, 1))


LAUNCHES = [
    launch_symmetric_baddbmm,
    launch_gram,
    launch_gram_over_positions,
    launch_packed_product,
    launch_packed_symmetric_matmul,
]


class AbsentGPU:
    """Stands in for Triton's CUDA driver as far as compilation asks it."""

    def __init__(self, capability):
        self.capability = capability

    def get_current_target(self):
        return triton.backends.compiler.GPUTarget("cuda", self.capability, 32)

    def get_current_device(self):
        """Triton keeps the compiled kernels of each device apart."""
        return self.capability

    def get_current_stream(self, device):
        return 0


@pytest.fixture
def compile_for(monkeypatch, tmp_path):
    """All of a launch on a GPU of some compute capability but the launch; gives the kernel."""
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(fallback, "triton_status", lambda x: None)
    monkeypatch.setattr(fallback, "_failures", [])
    kernels = []
    run = triton.JITFunction.run

    def compile_only(self, *args, grid, warmup, **kwargs):
        kernels.append(run(self, *args, grid=grid, warmup=True, **kwargs))

    monkeypatch.setattr(triton.JITFunction, "run", compile_only)

    def compiled(launch, capability, *arguments):
        monkeypatch.setattr(triton.runtime.driver, "_active", AbsentGPU(capability))
        launch(*arguments)
        return kernels.pop()

    return compiled


def copy_widths(ptx):
    """Bytes of each asynchronous copy into shared memory."""
    return {int(width, 0) for width in re.findall(r"cp\.async\.c\w\.\S+ [^,]*, [^,]*, (\w+)", ptx)}


@pytest.mark.parametrize(
    ("capability", "dtype", "instruction"),
    [
        (90, torch.float16, "wgmma.mma_async"),
        (80, torch.float16, "mma.sync"),
        (90, torch.float32, "fma.rn.f32"),
    ],
    ids=["sm_90-float16", "sm_80-float16", "sm_90-float32"],
)
@pytest.mark.parametrize("launch", LAUNCHES, ids=lambda launch: launch.__name__[7:])
def test_compiles(compile_for, launch, capability, dtype, instruction):
    kernel = compile_for(launch, capability, dtype, 196)
    assert f".target sm_{capability}" in kernel.asm["ptx"]
    assert instruction in kernel.asm["ptx"]
    assert ("mma" in kernel.asm["ptx"]) == (dtype == torch.float16)
    assert kernel.metadata.shared <= SHARED_MEMORY
    assert kernel.asm["cubin"].startswith(b"\x7fELF")


@pytest.mark.parametrize("setting", [True, False])
def test_tensorfloat32_only_where_pytorch_uses_it(compile_for, allow_tf32, setting):
    allow_tf32(setting)
    ptx = compile_for(launch_symmetric_baddbmm, 80, torch.float32, 196).asm["ptx"]
    assert ("tf32" in ptx) == setting


@pytest.mark.parametrize(("size", "width"), [(196, 8), (208, 16)])
def test_several_elements_are_copied_at_once(compile_for, size, width):
    """196 = 4 * 49 numbers in a row: four float16 at once, eight after padding to 208."""
    kernel = compile_for(launch_symmetric_baddbmm, 90, torch.float16, size)
    assert copy_widths(kernel.asm["ptx"]) == {width}
