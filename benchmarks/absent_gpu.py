"""A GPU that is not there: Triton compiles kernels for it, and starting one only counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import torch
import triton

from gcp_mm.ops.gram import arithmetic, fused
from gcp_mm.ops.gram.arithmetic import Carrier
from gcp_mm.ops.triton_kernels import fallback

SHARED_MEMORY = {80: 163, 86: 99, 89: 99, 90: 227, 100: 227}
"""KiB that a program may have, by compute capability (CUDA C++ programming guide)."""


class AbsentGPU:
    """Stands in for Triton's CUDA driver; ``started`` counts the launches of each kernel.

    Args:
        capability: Compute capability, as 90.
    """

    def __init__(self, capability: int) -> None:
        self.capability = capability
        self.started: Counter[str] = Counter()
        self.utils = self

    def get_current_target(self) -> Any:
        """Return what to compile for."""
        return triton.backends.compiler.GPUTarget("cuda", self.capability, 32)

    def get_current_device(self) -> int:
        """Return a number under which Triton keeps the kernels of this device."""
        return self.capability

    def get_current_stream(self, device: int) -> int:
        """Return the default stream."""
        return 0

    def get_device_properties(self, device: int) -> dict[str, int]:
        """Return what is compared with the needs of a kernel."""
        return {"max_shared_mem": SHARED_MEMORY[self.capability] * 1024}

    def load_binary(self, name: str, *args: Any) -> tuple[Any, Any, int, int, int]:
        """Return module, function, registers, spills and most threads of a kernel."""
        return name, name, 0, 0, 1024

    def launcher_cls(self, source: Any, metadata: Any) -> Any:
        """Return what Triton calls with grid, stream, function and arguments."""
        name = metadata.name

        def start(*args: Any) -> None:
            self.started[name] += 1

        return start


@contextmanager
def absent_gpu(gpu: AbsentGPU, cache: Path) -> Iterator[None]:
    """Let tensors on the CPU in half precision be pooled as on a GPU, without the kernels' results.

    Args:
        gpu: What takes the place of the driver.
        cache: Folder for compiled kernels.
    """
    carrier = classmethod(lambda cls, x, num_iters: cls(torch.float16, fused=True))
    with ExitStack() as stack:
        stack.enter_context(mock.patch.dict("os.environ", TRITON_CACHE_DIR=str(cache)))
        stack.enter_context(mock.patch.object(triton.runtime.driver, "_active", gpu))
        for module in (fallback, arithmetic, fused):
            stack.enter_context(mock.patch.object(module, "triton_status", lambda x: None))
        stack.enter_context(mock.patch.object(Carrier, "of", carrier))
        # Plans keep kernels that are compiled for one GPU.
        fused.make_plan.cache_clear()
        stack.callback(fused.make_plan.cache_clear)
        yield
