"""A kernel that fails is replaced by its plain twin, with one warning."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from gcp_mm.ops.triton_kernels.available import SWITCH, record_failure, triton_status


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

    Args:
        kernel_call: Launches the kernel.
        plain_call: The same computation in PyTorch operators, with the same signature.
        x: First argument of both; decides whether Triton can run.
        *args: Further arguments of both.
        **kwargs: Keyword arguments of both.

    Returns:
        What the call that ran returns.

    Raises:
        torch.cuda.OutOfMemoryError: If the GPU's memory is full, which the twin would not mend.
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
