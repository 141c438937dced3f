"""The layer for float32 features on the CPU, in C.

A sample's matrices stay in the cache of the core that works on it, and of a symmetric product one
half is computed. ``csrc`` is compiled when the package is built or installed; where that could not
be done, or the CPU lacks something, :func:`cpu_kernel_status` says so and the operator goes on with
PyTorch's own products.
"""

from gcp_mm.ops.cpu_kernels.kernels import cpu_backward, cpu_forward, cpu_kernel_status

__all__ = ["cpu_backward", "cpu_forward", "cpu_kernel_status"]
