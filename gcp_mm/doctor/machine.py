"""Probes of the compiled operators, the devices and the compiler."""

import os
import shutil
import subprocess
from importlib import import_module
from pathlib import Path

from gcp_mm.doctor.check import WARN, Check, Probe

CUDA_OPS_CURE = (
    "detection runs on the CPU only; with the CUDA toolkit (nvcc): FORCE_CUDA=1 make install"
)
# Where a driver shows itself, on plain Linux and under WSL.
DRIVER_FILES = ("/dev/nvidiactl", "/dev/dxg")


def _call_operators(device: str) -> None:
    """Call two compiled operators of mmcv on inputs whose result is plain to see."""
    torch = import_module("torch")
    ops = import_module("mmcv.ops")
    boxes = torch.tensor([[0.0, 0.0, 8.0, 8.0], [0.0, 0.0, 8.0, 7.0], [20.0, 20.0, 28.0, 28.0]])
    scores = torch.tensor([0.9, 0.8, 0.7])
    _, kept = ops.nms(boxes.to(device), scores.to(device), 0.5)
    if kept.tolist() != [0, 2]:
        raise RuntimeError(f"nms kept {kept.tolist()} instead of [0, 2]")
    constant = torch.full((1, 1, 8, 8), 3.0, device=device)
    region = torch.tensor([[0.0, 1.0, 1.0, 6.0, 6.0]], device=device)
    pooled = ops.RoIAlign(output_size=2)(constant, region)
    if not torch.allclose(pooled, torch.full_like(pooled, 3.0)):
        raise RuntimeError("RoIAlign of a constant map is not that constant")


def _cpu_operators() -> Check:
    _call_operators("cpu")
    return Check("mmcv ops, CPU", "nms and RoIAlign work")


def _gpu_operators() -> Check:
    name = "mmcv ops, GPU"
    if not import_module("torch").cuda.is_available():
        return Check(name, "not tried: no GPU")
    try:
        _call_operators("cuda")
    except RuntimeError as error:
        # No FAIL: classification, and detection on the CPU, work all the same.
        return Check(name, f"not usable: {str(error).strip().splitlines()[0]}", WARN, CUDA_OPS_CURE)
    return Check(name, "nms and RoIAlign work")


def _cpu_kernels() -> Check:
    name = "GCP layer, CPU"
    library = import_module("gcp_mm.ops.cpu_kernels.library").load_library()
    if isinstance(library, str):
        # No FAIL: PyTorch's products give the same numbers, later.
        return Check(name, "slower, without the C kernels", WARN, library)
    return Check(name, "C kernels")


def _devices() -> Check:
    torch = import_module("torch")
    found = f"{torch.get_num_threads()} CPU threads"
    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
        return Check("devices", ", ".join([found, *names]))
    if not any(Path(file).exists() for file in DRIVER_FILES):
        return Check("devices", f"{found}, no GPU")
    found += ", a GPU driver that torch cannot use"
    if torch.version.cuda is None:
        return Check("devices", found, WARN, "this is a CPU-only torch: make install")
    cure = f"torch was built for CUDA {torch.version.cuda}: update the driver; run nvidia-smi"
    return Check("devices", found, WARN, cure)


def _compiler() -> Check:
    name = "C++ compiler"
    for command in (os.environ.get("CXX", "").split(), ["c++"], ["g++"]):
        if command and shutil.which(command[0]):
            answer = subprocess.run(
                [*command, "--version"], capture_output=True, text=True, timeout=20, check=True
            )
            return Check(name, answer.stdout.partition("\n")[0])
    cure = "needed to build mmcv, and by Triton on a GPU: apt-get install g++"
    return Check(name, "none", WARN, cure)


PROBES = (
    Probe("mmcv ops, CPU", _cpu_operators),
    Probe("mmcv ops, GPU", _gpu_operators, blocking=False),
    Probe("GCP layer, CPU", _cpu_kernels, blocking=False),
    Probe("devices", _devices, blocking=False),
    Probe("C++ compiler", _compiler, "set CXX to a working C++ compiler", blocking=False),
)
