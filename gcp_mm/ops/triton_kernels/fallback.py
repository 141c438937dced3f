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
"""Why kernels are switched off for the rest of the process."""

fused_failures: list[str] = []
"""The same of those in :mod:`gcp_mm.ops.gram.fused`, without which the others go on."""


@cache
def _installed() -> bool:
    return find_spec("triton") is not None


@cache
def _capability(device: torch.device) -> tuple[int, int]:
    return torch.cuda.get_device_capability(device)


def interpreting() -> bool:
    """Say whether ``TRITON_INTERPRET`` makes Triton run kernels in Python, on any device."""
    return os.environ.get("TRITON_INTERPRET", "").lower() in ("1", "true", "on", "yes", "y")


def triton_status(x: Tensor) -> str | None:
    """Say why the Triton kernels cannot run for a tensor; None if they can.

    Without Triton's interpreter they need an NVIDIA GPU of compute capability 8.0 or higher.
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
    failures: list[str] | None = None,
    instead: str = "plain PyTorch operators run instead of all Triton kernels",
    **kwargs: object,
) -> Tensor:
    """Run a kernel, or its plain twin where Triton cannot run for ``x``, or fails.

    A failure to compile or launch is noted in ``failures``, by default those of all kernels, and
    switches the kernels of that list off for the rest of the process, since the next call would
    spend as long on failing again. Nothing has been written to the output by then. ``instead`` says
    for the warning what runs from then on. Full memory is passed on: the twin would not mend it.
    """
    failures = _failures if failures is None else failures
    if failures or triton_status(x) is not None:
        return plain_call(x, *args, **kwargs)
    try:
        return kernel_call(x, *args, **kwargs)
    except torch.cuda.OutOfMemoryError:
        raise
    # Compiler, assembler, driver and launcher raise classes of their own, which differ by version.
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".strip()
        failures.append(reason)
        warnings.warn(
            f"a Triton kernel failed ({reason}); from now on {instead}. {SWITCH}=0 runs plain "
            "PyTorch operators from the start.",
            RuntimeWarning,
            stacklevel=3,
        )
    return plain_call(x, *args, **kwargs)
