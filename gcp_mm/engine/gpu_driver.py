"""A GPU driver that torch cannot use: found before a run starts on the CPU without a word.

Importing this module imports neither torch nor OpenMMLab.
"""

from __future__ import annotations

import ctypes
import os
import warnings
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path

from gcp_mm.errors import UserError

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
    cuda = import_module("torch").cuda
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return cuda.device_count() if cuda.is_available() else 0


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


def _reason_of_torch() -> str | None:
    """Return why torch starts no GPU, in its own words."""
    cuda, errors = import_module("torch").cuda, []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        cuda.is_available()
        try:
            cuda.init()
        except (RuntimeError, AssertionError) as error:
            errors.append(str(error))
    messages = [text.strip() for text in (*(str(item.message) for item in caught), *errors)]
    # The compiler's file and line at the end of a warning say nothing to a user.
    messages = [text.partition(" (Triggered internally")[0] for text in messages if text]
    return " ".join(messages[0].split()) if messages else None


def _explain() -> str:
    """Return what is wrong between torch and the driver, and the cure."""
    built_for = import_module("torch").version.cuda
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
