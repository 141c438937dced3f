"""Products of the layer as Triton kernels, each with a plain PyTorch twin.

Every function runs its kernel where :func:`triton_status` says it can and the plain twin elsewhere,
so it can be called on any device. None records a gradient: they are the building blocks of a
custom operator that has a backward of its own.

Importing this package does not import Triton; ``kernels`` is imported when one runs.
"""

from gcp_mm.ops.triton_kernels.fallback import triton_status
from gcp_mm.ops.triton_kernels.products import (
    packed_product,
    packed_symmetric_matmul,
    symmetric_baddbmm,
)

__all__ = [
    "packed_product",
    "packed_symmetric_matmul",
    "symmetric_baddbmm",
    "triton_status",
]
