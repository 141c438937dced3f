"""Whether the C kernels can run for a tensor, and if not, why."""

from __future__ import annotations

import os

import torch
from torch import Tensor

from gcp_mm.ops.cpu_kernels.library import load_library

SWITCH = "GCP_MM_CPU_KERNELS"
DTYPES = (torch.float16, torch.bfloat16, torch.float32)


def cpu_kernel_status(x: Tensor) -> str | None:
    """Say why the C kernels cannot run for a tensor.

    Args:
        x: The features; their dtype and device count.

    Returns:
        None if the kernels can run, else the reason: the tensor is not on the CPU, it is float64,
        switched off by ``GCP_MM_CPU_KERNELS=0``, or the library cannot be used.
    """
    if x.device.type != "cpu":
        return f"they run on the CPU, and the tensor is on {x.device}"
    if x.dtype not in DTYPES:
        return f"they compute in torch.float32, and the tensor is {x.dtype}"
    if os.environ.get(SWITCH) == "0":
        return f"switched off by {SWITCH}=0"
    library = load_library()
    return library if isinstance(library, str) else None
