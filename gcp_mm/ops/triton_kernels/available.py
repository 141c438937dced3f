"""Whether the Triton kernels can run for a tensor, and if not, why."""

from __future__ import annotations

import os
from functools import cache
from importlib.util import find_spec

import torch
from torch import Tensor

SWITCH = "GCP_MM_TRITON"
DTYPES = (torch.float16, torch.bfloat16, torch.float32)
_failures: list[str] = []


@cache
def _installed() -> bool:
    return find_spec("triton") is not None


@cache
def _capability(device: torch.device) -> tuple[int, int]:
    return torch.cuda.get_device_capability(device)


def interpreting() -> bool:
    """Say whether ``TRITON_INTERPRET`` makes Triton run kernels in Python, on any device."""
    return os.environ.get("TRITON_INTERPRET", "").lower() in ("1", "true", "on", "yes", "y")


def record_failure(reason: str) -> None:
    """Switch the kernels off for the rest of the process."""
    _failures.append(reason)


def triton_status(x: Tensor) -> str | None:
    """Say why the Triton kernels cannot run for a tensor.

    Args:
        x: The tensor that a kernel would read; its dtype and device count.

    Returns:
        None if the kernels can run, else the reason: switched off by ``GCP_MM_TRITON=0``, Triton
        is not installed, a kernel failed earlier in this process, the dtype is not float16,
        bfloat16 or float32, or the device is not an NVIDIA GPU of compute capability 8.0 or
        higher. Under ``TRITON_INTERPRET=1`` every device will do.
    """
    if os.environ.get(SWITCH) == "0":
        return f"switched off by {SWITCH}=0"
    if not _installed():
        return "Triton is not installed"
    if _failures:
        return f"a kernel failed earlier in this process: {_failures[0]}"
    if x.dtype not in DTYPES:
        return f"no kernel computes in {x.dtype}"
    if interpreting():
        return None
    if x.device.type != "cuda" or torch.version.cuda is None:
        return f"the kernels run on NVIDIA GPUs, and the tensor is on {x.device}"
    capability = _capability(x.device)
    if capability < (8, 0):
        major, minor = capability
        return f"{x.device} has compute capability {major}.{minor}, and the kernels need 8.0"
    return None
