"""Calls of the C kernels. Half precision is converted to float32 before and back after."""

from __future__ import annotations

import torch
from torch import Tensor

from gcp_mm.ops.cpu_kernels.library import Layout, Problem, load_library
from gcp_mm.ops.triangle_index import triangle_size

LARGEST_INT = 2**31 - 1


def _problem(x: Tensor, num_iters: int) -> Problem:
    """Describe the work; C would not complain of what does not fit."""
    if x.dim() != 3 or 0 in x.shape[1:]:
        raise ValueError(
            "x must have shape (B, C, N) with at least one channel and one position, "
            f"got {tuple(x.shape)}"
        )
    if not 1 <= num_iters <= LARGEST_INT:
        raise ValueError(f"num_iters must be at least 1 and fit into 32 bits, got {num_iters}")
    batch, channels, positions = x.shape
    # A sample is one thread's work.
    threads = max(1, min(torch.get_num_threads(), batch))
    return Problem(batch, channels, positions, steps=num_iters, threads=threads)


def _operand(features: Tensor) -> tuple[int, Layout]:
    """Return where features of shape (B, C, N) in float32 lie."""
    return features.data_ptr(), Layout(*features.stride())


def _check(failed: int, x: Tensor) -> None:
    if failed:
        raise MemoryError(
            f"no memory for the matrices of the covariance layer on features of shape "
            f"{tuple(x.shape)}: run with fewer threads (OMP_NUM_THREADS) or fewer channels"
        )


def cpu_forward(x: Tensor, num_iters: int) -> Tensor:
    """Compute the layer.

    Args:
        x: Features of shape (B, C, N), for which ``cpu_kernel_status`` is None, in any layout.
        num_iters: Number of Newton-Schulz steps.

    Returns:
        Vectors of shape (B, C * (C + 1) / 2) in the dtype of ``x``.

    Raises:
        ValueError: If the shape of ``x`` or the number of steps does not fit.
        MemoryError: If there is no memory for a sample's matrices.
    """
    problem, features = _problem(x, num_iters), x.float()
    vector = features.new_empty(len(x), triangle_size(x.shape[1]))
    forward = load_library().gcp_mm_forward
    _check(forward(problem, *_operand(features), vector.data_ptr()), x)
    return vector.to(x.dtype)


def cpu_backward(grad: Tensor, x: Tensor, num_iters: int) -> Tensor:
    """Compute the gradient of the features from the features alone.

    Args:
        grad: Gradient of the vectors, of shape (B, C * (C + 1) / 2).
        x: As for :func:`cpu_forward`.
        num_iters: Number of Newton-Schulz steps.

    Returns:
        Gradient of the features, in shape, dtype and layout those of ``x``.

    Raises:
        ValueError: If the shape of ``x`` or ``grad``, the device of ``grad`` or the number of steps
            does not fit.
        MemoryError: If there is no memory for a sample's matrices.
    """
    problem = _problem(x, num_iters)
    expected = (x.shape[0], triangle_size(x.shape[1]))
    if grad.shape != expected or grad.device != x.device:
        raise ValueError(
            f"the gradient of the vectors must have shape {expected} and be on {x.device}, "
            f"got {tuple(grad.shape)} on {grad.device}"
        )
    features, vector = x.float(), grad.float().contiguous()
    result = torch.empty_like(x, dtype=torch.float32)
    backward = load_library().gcp_mm_backward
    _check(backward(problem, vector.data_ptr(), *_operand(features), *_operand(result)), x)
    return result.to(x.dtype)
