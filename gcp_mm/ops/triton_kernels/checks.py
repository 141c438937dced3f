"""Checks before a launch: a kernel would read outside its tensors instead of complaining."""

from __future__ import annotations

from torch import Tensor


def check_tensor(name: str, tensor: Tensor, shape: tuple[int, ...], like: Tensor) -> None:
    """Raise a ValueError unless a tensor has a shape and is on the device of another.

    Args:
        name: What the tensor is called in the message.
        tensor: The tensor.
        shape: The shape it needs.
        like: A tensor on the right device.
    """
    if tensor.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, got {tuple(tensor.shape)}")
    if tensor.device != like.device:
        raise ValueError(f"{name} must be on {like.device}, got {tensor.device}")


def check_matrices(name: str, tensor: Tensor) -> tuple[int, int, int]:
    """Return the shape of a floating-point batch of matrices, or raise a ValueError."""
    if tensor.dim() != 3 or not tensor.is_floating_point():
        raise ValueError(
            f"{name} must be a floating-point tensor of three dimensions, "
            f"got {tuple(tensor.shape)} in {tensor.dtype}"
        )
    return tuple(tensor.shape)


def check_same_dtype(name: str, tensor: Tensor, other_name: str, other: Tensor) -> None:
    """Raise a ValueError unless two tensors have one dtype."""
    if tensor.dtype != other.dtype:
        raise ValueError(
            f"{name} and {other_name} must have one dtype, got {tensor.dtype} and {other.dtype}"
        )
