"""What a run asks of torch's backends: a GPU that works, equal numbers, and a compiler.

A GPU driver that torch cannot use is found before a run starts on the CPU without a word.
Importing this module imports neither torch nor OpenMMLab.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
import sysconfig
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from gcp_mm.errors import UserError, first_line

if TYPE_CHECKING:
    import torch
    from mmengine.config import Config

# Where a driver shows itself, on plain Linux and under WSL.
DRIVER_FILES = ("/dev/nvidiactl", "/dev/dxg")
_DRIVER_LIBRARY = "libcuda.so.1"


def has_driver(files: Iterable[str] = DRIVER_FILES, library: str = _DRIVER_LIBRARY) -> bool:
    """Say whether a driver of an NVIDIA GPU shows itself.

    WSL has its file for the GPU of any maker; there the driver's library counts too.
    """
    return any(
        Path(file).exists() and (Path(file).name != "dxg" or _loads(library)) for file in files
    )


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def asks_for_cpu() -> bool:
    """Say whether ``CUDA_VISIBLE_DEVICES`` hides every GPU: it is set and empty, or starts with -1.

    What follows a -1 is hidden too, as CUDA reads the variable. ``NoDevFiles`` is what SLURM writes
    for a job that was granted no GPU.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return visible is not None and visible.partition(",")[0].strip() in ("", "-1", "NoDevFiles")


def count_gpus() -> int:
    """Return the number of GPUs that torch can use.

    ``torch.cuda.device_count`` alone asks the driver's management library, which also counts the
    GPUs of a driver that is too old for this torch.
    """
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.cuda.device_count() if torch.cuda.is_available() else 0


def driver_cuda_version(library: str = _DRIVER_LIBRARY) -> str | None:
    """Return the newest CUDA version that the driver supports, or None if it does not say."""
    number = ctypes.c_int()
    try:
        # Works without a GPU, and starts none.
        if ctypes.CDLL(library).cuDriverGetVersion(ctypes.byref(number)):
            return None
    except (OSError, AttributeError):
        return None
    return f"{number.value // 1000}.{number.value % 1000 // 10}"


def _reason_of_torch() -> str:
    """Return why torch starts no GPU, in its own words; empty if it says nothing."""
    import torch

    errors = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.is_available()
        try:
            torch.cuda.init()
        except (RuntimeError, AssertionError) as error:
            errors.append(str(error))
    texts = [" ".join(text.split()) for text in (*(str(item.message) for item in caught), *errors)]
    # The compiler's file and line at the end of a warning say nothing to a user.
    return next(filter(None, texts), "").partition(" (Triggered internally")[0]


def _explain() -> str:
    """Return what is wrong between torch and the driver, and the cure."""
    import torch

    built_for = torch.version.cuda
    if built_for is None:
        return (
            "this torch is built without CUDA. Install one with it: make install, or make install "
            "TORCH=cu126 for a driver that is older than CUDA 13"
        )
    supported = driver_cuda_version()
    newest = f", the driver supports up to CUDA {supported}" if supported else ""
    parts = [f"torch was built for CUDA {built_for}{newest}"]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        parts.append(f"CUDA_VISIBLE_DEVICES={visible} may name no GPU of this machine")
    reason = _reason_of_torch()
    if reason:
        parts.append(f"torch says: {reason.rstrip('.')}")
    return (
        f"{'; '.join(parts)}. See whether nvidia-smi lists the GPU; update the driver, or install "
        "a torch for older drivers: make install TORCH=cu126"
    )


def check_gpu_driver(files: Iterable[str] = DRIVER_FILES) -> None:
    """Refuse a machine whose GPU driver is there, but whose GPUs torch cannot use."""
    if asks_for_cpu() or not has_driver(files) or count_gpus():
        return
    raise UserError(
        f"there is a GPU driver, but torch can use no GPU: {_explain()}. To run on the CPU, set "
        "CUDA_VISIBLE_DEVICES= (to nothing)"
    )


@contextmanager
def reproducible_kernels(tf32: bool = False) -> Iterator[None]:
    """Take deterministic convolutions, chosen without timing them, and one precision for all.

    Afterwards each switch has the value that it had. (A precision that was inherited from a more
    general one is then set by itself: PyTorch does not tell the two apart.) Through the newer
    ``fp32_precision``, because the older ``allow_tf32`` and ``torch.backends.cudnn.flags`` raise in
    a program that has used it; inside, they may. With ``tf32``, products, convolutions and
    recurrent layers of float32 use TensorFloat-32.
    """
    from torch.backends import cuda, cudnn

    operators = (cuda.matmul, *(getattr(cudnn, name) for name in ("conv", "rnn")))
    wanted = [
        # Another algorithm in another process would round differently.
        (cudnn, "benchmark", False),
        (cudnn, "deterministic", True),
        *((operator, "fp32_precision", "tf32" if tf32 else "ieee") for operator in operators),
    ]
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in wanted]
    try:
        for owner, name, value in wanted:
            setattr(owner, name, value)
        yield
    finally:
        for owner, name, value in before:
            setattr(owner, name, value)


def find_device(name: str | None) -> torch.device:
    """Return the device that ``--device`` names, which has to be there; by default a GPU, if any.

    Of several processes each has its own current GPU.
    """
    import torch

    if name is None:
        check_gpu_driver()
        if not torch.cuda.is_available():
            return torch.device("cpu")
        return torch.device("cuda", torch.cuda.current_device())
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:  # an unknown one, or one that is absent
        raise UserError(f"--device {name}: {first_line(error)}") from error


def compilers(variable: str, *usual: str) -> tuple[str, ...]:
    """Return the commands that are a compiler: what a variable names, or else the usual ones."""
    return tuple(os.environ.get(variable, "").split()[:1]) or usual


_WITHOUT = "or train without it (--cfg-options compile=False)"


def _missing(device: str) -> str | None:
    """Return what TorchInductor would fail for on a device, with the package that has it."""
    if device == "cpu":
        (command,) = compilers("CXX", "g++")
        if shutil.which(command) is None:
            return f"a C++ compiler, and {command!r} is not found: apt-get install g++, or set CXX"
    else:
        # Triton writes the code that starts its kernels in C.
        commands = compilers("CC", "gcc", "clang")
        if not any(map(shutil.which, commands)):
            return (
                f"a C compiler, and {' or '.join(commands)} is not found: apt-get install gcc, or "
                "set CC"
            )
    header = Path(sysconfig.get_path("include"), "Python.h")
    if not header.is_file():
        version = "{}.{}".format(*sys.version_info)
        cure = (
            f"apt-get install python{version}-dev"
            if header.is_relative_to("/usr/include")
            else "install this Python again with its headers"
        )
        return f"the headers of Python, and {header} does not exist: {cure}"
    return None


def check_compile(cfg: Config, device: str | None = None) -> None:
    """Check that the machine can do what ``compile`` of a config asks for."""
    options = cfg.get("compile", False)
    # mmengine compiles for an empty dict too.
    backend = options.get("backend", "inductor") if isinstance(options, dict) else "inductor"
    if options in (None, False) or backend != "inductor":
        return
    from mmengine.device import get_device

    missing = _missing(device or get_device())
    if missing:
        raise UserError(f"compile={options} of the config needs {missing}, {_WITHOUT}")
