"""The kernels compile for GPUs that are not there, into the instructions they were written for."""

import re
import subprocess

import pytest
import torch

from gcp_mm.ops.gram import fused
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
        kernels.clear()
        launch(*arguments)
        compiled.kernels = {kernel.metadata.name: kernel for kernel in kernels}
        return kernels[-1]

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


def launch_fused_forward(dtype, positions):
    fused.fused_forward(torch.empty(2, CHANNELS, positions, dtype=dtype), 5)


def launch_fused_backward(dtype, positions):
    grad = torch.empty(2, CHANNELS * (CHANNELS + 1) // 2, dtype=dtype)
    fused.fused_backward(torch.empty(2, CHANNELS, positions, dtype=dtype), grad, 5)


def bytes_on_the_stack(cubin, folder):
    """Local memory of a thread, where what does not fit into registers goes."""
    path = folder / "kernel.cubin"
    path.write_bytes(cubin)
    command = [triton.knobs.nvidia.cuobjdump.path, "--dump-resource-usage", path]
    usage = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return sum(map(int, re.search(r"STACK:(\d+) .*LOCAL:(\d+)", usage).groups()))


# benchmarks/registers.py compiles for the others, too.
@pytest.mark.parametrize(
    ("launch", "capability", "instruction"),
    [
        (launch_fused_forward, 80, "mma.sync"),
        (launch_fused_backward, 90, "wgmma.mma_async"),
        (launch_fused_forward, 100, "tcgen05.mma"),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_programs_that_wait_for_themselves(compile_for, tmp_path, launch, capability, instruction):
    """What the head of fused_kernels.py says of loads and barriers is what the compiler made."""
    compile_for(launch, capability, torch.bfloat16, 196)
    assert len(compile_for.kernels) == (3 if launch is launch_fused_forward else 4)
    for kernel in compile_for.kernels.values():
        assert kernel.metadata.shared <= SHARED_MEMORY
        assert bytes_on_the_stack(kernel.asm["cubin"], tmp_path) == 0, kernel.metadata.name
    kernel = compile_for.kernels["polynomial_kernel"]
    ptx, ttgir = kernel.asm["ptx"], kernel.asm["ttgir"]
    assert instruction in ptx
    # Neither the read-only cache nor the bulk copies keep to bar.sync.
    assert "bar.sync" in ptx
    assert not re.search(r"ld\.global\S*\.nc|cp\.async\.bulk|ldu\.", ptx)
    # After K, after a product, after a sample; and no loop that has one was made into a pipeline.
    assert len(re.findall(r"(?:ttg|gpu)\.barrier", ttgir)) == 3
    assert copy_widths(ptx) == {16}


@pytest.mark.parametrize("positions", [1, 16])
def test_numbers_that_triton_takes_for_constants(compile_for, positions):
    """One position, one group of positions: Triton compiles an argument of 1 into the kernel."""
    compile_for(launch_fused_backward, 80, torch.float16, positions)
    assert len(compile_for.kernels) == 4
