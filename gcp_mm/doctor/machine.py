"""Probes of the operators, the layer's kernels, the devices and the compilers."""

import os
import shutil
import sys
import sysconfig
from importlib import import_module, machinery, util
from pathlib import Path

from gcp_mm.doctor.check import FAIL, WARN, Found, Probe, failure, fill
from gcp_mm.doctor.stack import install_command
from gcp_mm.engine import torch_backends

# What a package manager of Debian or Ubuntu installs for Triton.
C_COMPILER_CURE = "Triton compiles with it on a GPU: apt-get install gcc python3-dev, or set CC"


def _operators_module() -> Found:
    """Say which ``mmcv._ext`` answers here, and whether it answers in other programs."""
    import_module("mmcv")
    # gcp_mm was imported to get here, and offers torchvision's where none are compiled.
    module = import_module("mmcv._ext")
    loader = getattr(module.__spec__, "loader", None)
    if isinstance(loader, machinery.ExtensionFileLoader):
        cuda = module.get_compiling_cuda_version()
        kind = "CPU only" if cuda == "not available" else f"CUDA {cuda}"
        return f"compiled mmcv ({kind})"
    if Path(str(module.__file__)).parent.name != "mmcv_ext":
        return f"from {module.__file__}"
    found = "torchvision's"
    if "_gcp_mm_mmcv_finder" not in sys.modules:
        cure = f"mim test and mmdet's own tools find none; install gcp_mm: {install_command()}"
        return f"{found}, but only after gcp_mm is imported", WARN, cure
    return found


def _call_operators(device: str) -> None:
    """Call two operators of mmcv on inputs whose result is plain to see."""
    torch = import_module("torch")
    ops = import_module("mmcv.ops")
    boxes = torch.tensor([[0.0, 0.0, 8.0, 8.0], [0.0, 0.0, 8.0, 7.0], [20.0, 20.0, 28.0, 28.0]])
    scores = torch.tensor([0.9, 0.8, 0.7])
    _, kept = ops.nms(boxes.to(device), scores.to(device), 0.5)
    if kept.tolist() != [0, 2]:
        raise RuntimeError(f"nms kept {kept.tolist()} instead of [0, 2]")
    constant = torch.full((1, 1, 8, 8), 3.0, device=device, requires_grad=True)
    region = torch.tensor([[0.0, 1.0, 1.0, 6.0, 6.0]], device=device)
    pooled = ops.RoIAlign(output_size=2)(constant, region)
    if not torch.allclose(pooled, torch.full_like(pooled, 3.0)):
        raise RuntimeError("RoIAlign of a constant map is not that constant")
    pooled.sum().backward()
    # Each of the four means spreads a gradient of one.
    total = constant.grad.sum().item()
    if abs(total - 4) > 1e-3:
        raise RuntimeError(f"the gradient of RoIAlign sums to {total} instead of 4")


def _cpu_operators() -> Found:
    _call_operators("cpu")
    return "nms and RoIAlign work"


def _gpu_operators() -> Found:
    gpus = torch_backends.count_gpus()
    for gpu in range(gpus):
        try:
            _call_operators(f"cuda:{gpu}")
        except Exception as error:
            # What the operators say of a device and its kernels; all else is a broken stack.
            return failure(error, "{reinstall}", f"cuda:{gpu}: ")
    if not gpus:
        return "not tried: no GPU"
    where = "the GPU" if gpus == 1 else f"each of {gpus} GPUs"
    return f"nms and RoIAlign work on {where}"


def _cpu_kernels() -> Found:
    library = import_module("gcp_mm.ops.cpu_kernels.kernels").load_library()
    if isinstance(library, str):
        # No FAIL: PyTorch's products give the same numbers, later.
        return "PyTorch's products, slower than the C kernels", WARN, library
    return "C kernels"


def _devices() -> Found:
    torch = import_module("torch")
    found = f"{torch.get_num_threads()} CPU threads"
    gpus = torch_backends.count_gpus()
    if gpus:
        names = [torch.cuda.get_device_name(index) for index in range(gpus)]
        return ", ".join([found, *names])
    if not torch_backends.has_driver():
        return f"{found}, no GPU"
    if torch_backends.asks_for_cpu():
        return f"{found}, GPUs hidden by CUDA_VISIBLE_DEVICES"
    # A FAIL: everything would run on the CPU, for days, without a word.
    found += ", a GPU driver that torch cannot use"
    built_for = torch.version.cuda
    if built_for is None:
        cure = "this is a CPU-only torch: {install} TORCH=default, or TORCH=cu126 for older drivers"
        return found, FAIL, fill(cure)
    supported = torch_backends.driver_cuda_version()
    if supported:
        found += f" (it supports CUDA {supported})"
    cure = f"torch was built for CUDA {built_for}: update the driver (nvidia-smi shows it), or "
    cure += fill("{install} TORCH=cu126; CUDA_VISIBLE_DEVICES= chooses the CPU")
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible:
        cure = f"CUDA_VISIBLE_DEVICES={visible} may name no GPU of this machine; {cure}"
    return found, FAIL, cure


def _compiler() -> Found:
    """Nothing that is installed needs one; Triton and ``compile=True`` do, at run time."""
    in_c = next(filter(shutil.which, torch_backends.compilers("CC", "gcc", "clang")), "")
    in_cpp = next(filter(shutil.which, torch_backends.compilers("CXX", "g++")), "")
    found = ", ".join(filter(None, (in_c, in_cpp))) or "none, and none is needed"
    if not in_cpp:
        found += " (compile=True needs g++)"
    if torch_backends.count_gpus() and util.find_spec("triton"):
        header = Path(sysconfig.get_path("include"), "Python.h")
        if not in_c:
            return "no C compiler: plain operators on the GPU", WARN, C_COMPILER_CURE
        if not header.is_file():
            return f"{found}, no {header}", WARN, C_COMPILER_CURE
    return found


PROBES = (
    Probe("mmcv operators", _operators_module),
    Probe("mmcv ops, CPU", _cpu_operators),
    Probe("mmcv ops, GPU", _gpu_operators),
    Probe("GCP layer, CPU", _cpu_kernels, blocking=False),
    Probe("devices", _devices),
    Probe("compilers", _compiler, blocking=False),
)
