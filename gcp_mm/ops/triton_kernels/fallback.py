"""Whether the Triton kernels can run for a tensor, and what happens when one fails.

A kernel that fails is replaced by its plain twin, with one warning.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
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


def with_fallback(
    kernel_call: Callable[..., Tensor],
    plain_call: Callable[..., Tensor],
    x: Tensor,
    *args: object,
    **kwargs: object,
) -> Tensor:
    """Run a kernel, or its plain twin where Triton cannot run or fails.

    A failure to compile or launch switches all kernels off for the rest of the process, since the
    next call would spend as long on failing again. Nothing has been written to the output by then.
    """
    if triton_status(x) is not None:
        return plain_call(x, *args, **kwargs)
    try:
        return kernel_call(x, *args, **kwargs)
    except torch.cuda.OutOfMemoryError:
        raise
    # Compiler, assembler, driver and launcher raise classes of their own, which differ by version.
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".strip()
        record_failure(reason)
        warnings.warn(
            f"a Triton kernel failed ({reason}); from now on plain PyTorch operators run instead "
            f"of all Triton kernels. {SWITCH}=0 chooses them from the start.",
            RuntimeWarning,
            stacklevel=3,
        )
    return plain_call(x, *args, **kwargs)
