"""The float32 island: second-order statistics are not left to autocast.

The trace of a covariance overflows float16 and the Newton-Schulz factor ``(3 I - Z Y) / 2`` loses
every eigenvalue below 2^-7 in bfloat16, so the operators leave autocast and compute in float32
(float64 inputs stay in float64). Only the final result is cast back to the dtype of the input.
Before an implementation in plain operators runs, :func:`pool_conditioned` shifts and scales the
features of each sample, so that no square overflows or vanishes.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def _has_autocast(kind: str) -> bool:
    return torch.amp.is_autocast_available(kind)


# The compiler of PyTorch 2.11 cannot follow it: what torch.compiler.assume_constant_result sets.
_has_autocast.__dict__["_dynamo_marked_constant"] = True


def autocast_disabled(device: torch.device) -> AbstractContextManager[object]:
    """Return a context in which autocast is off; on a device without autocast it does nothing."""
    if _has_autocast(device.type):
        return torch.autocast(device.type, enabled=False)
    return nullcontext()


def check_floating_point(x: Tensor, name: str) -> None:
    """Raise a ValueError that calls the tensor ``name`` unless it is floating point."""
    if not x.is_floating_point():
        raise ValueError(
            f"{name} must be a floating-point tensor, got {x.dtype}; convert it with .float()"
        )


def compute_dtype(x: Tensor) -> torch.dtype:
    """Return the dtype of sums and means: float64 for float64, float32 for all others."""
    return torch.float64 if x.dtype == torch.float64 else torch.float32


def to_compute_dtype(x: Tensor, name: str) -> Tensor:
    """Cast half precision to float32, keep float32 and float64, refuse what is no such number."""
    check_floating_point(x, name)
    return x.to(compute_dtype(x))


def unit_scale(matrix: Tensor) -> Tensor:
    """Return the largest magnitude of each matrix (B, D, N) as (B, 1, 1), and 1 for a zero one.

    Divided by it, squares neither over- nor underflow. For the gradient of a homogeneous function
    it is a constant.
    """
    scale = matrix.detach().abs().amax(dim=(-2, -1), keepdim=True)
    return torch.where(scale > 0, scale, 1)


def pool_conditioned(pool: Callable[[Tensor, int], Tensor], x: Tensor, num_iters: int) -> Tensor:
    """Run an implementation outside autocast, in float32 at least, on conditioned features.

    ``x`` (B, C, N) and the vectors have any floating-point dtype. ``pool`` is given float32 or
    float64 features whose first position is zero and whose largest magnitude is 1. The layer is
    invariant to a shift of a channel and homogeneous of degree one, v(a x) = a v(x), so shift and
    scale are constants for the gradient of every order.
    """
    with autocast_disabled(x.device):
        features = to_compute_dtype(x, "x")
        shifted = features - features[..., :1].detach()
        scale = unit_scale(shifted)
        vector = scale.flatten(1) * pool(shifted / scale, num_iters)
    return vector.to(x.dtype)
