"""The C kernels: the compiled library, whether it can run for a tensor, and its two calls.

Half precision is converted to float32 before a call and back after it.
"""

from __future__ import annotations

import ctypes
import os
from ctypes import Structure, c_char_p, c_int, c_long, c_void_p
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from gcp_mm.ops.cpu_kernels.digest import is_whole, source_digest
from gcp_mm.ops.triu_vec import triangle_size

SOURCES = Path(__file__).with_name("csrc")
REINSTALL = "where GCC is, run `make install` in a checkout, or install gcp_mm again"
SWITCH = "GCP_MM_CPU_KERNELS"
DTYPES = (torch.float16, torch.bfloat16, torch.float32)
LARGEST_INT = 2**31 - 1


class Problem(Structure):
    """``problem`` of ``csrc/sample.h``."""

    _fields_ = [
        *((name, c_long) for name in ("batch", "channels", "positions")),
        *((name, c_int) for name in ("steps", "threads")),
    ]


class Layout(Structure):
    """``layout`` of ``csrc/normalise.h``: the strides of features (B, C, N)."""

    _fields_ = [(name, c_long) for name in ("by_sample", "by_channel", "by_position")]


def library_path() -> Path:
    """Return where ``setup.py`` puts the library, which serves every Python."""
    return Path(__file__).with_name("_kernels.so")


def open_library(path: Path, digest: str) -> ctypes.CDLL:
    """Load a library that was compiled from the sources with a digest, or raise an OSError.

    '' stands for sources that are not here. Another library lacks functions: an AttributeError.
    """
    if not path.exists():
        raise OSError("they were not compiled")
    if not is_whole(path):
        raise OSError(f"{path} is damaged: it was cut, or its code is not what was compiled")
    # Its threads are those of torch: the library leaves OpenMP's symbols to what torch has loaded.
    library = ctypes.CDLL(str(path))
    library.gcp_mm_source_digest.restype = c_char_p
    if digest and library.gcp_mm_source_digest().decode() != digest:
        raise OSError("they were compiled from other sources")
    if not library.gcp_mm_supported():
        raise OSError("this CPU lacks AVX2 or FMA")
    features = (c_void_p, Layout)
    library.gcp_mm_forward.argtypes = [Problem, *features, c_void_p]
    library.gcp_mm_backward.argtypes = [Problem, c_void_p, *features, *features]
    return library


@cache
def load_library() -> ctypes.CDLL | str:
    """Return the library of this installation, or why there is none and what to do."""
    try:
        return open_library(library_path(), source_digest(SOURCES))
    except (OSError, AttributeError) as error:
        return f"{error}; {REINSTALL}"


def cpu_kernel_status(x: Tensor) -> str | None:
    """Say why the C kernels cannot run for a tensor; None if they can."""
    if x.device.type != "cpu":
        return f"they run on the CPU, and the tensor is on {x.device}"
    if x.dtype not in DTYPES:
        return f"they compute in torch.float32, and the tensor is {x.dtype}"
    if os.environ.get(SWITCH) == "0":
        return f"switched off by {SWITCH}=0"
    library = load_library()
    return library if isinstance(library, str) else None


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


def _run(function: str, x: Tensor, *arguments: object) -> None:
    """Call a function of the library for features (B, C, N)."""
    library = load_library()
    if isinstance(library, str):
        raise RuntimeError(f"the C kernels cannot run: {library}")
    if getattr(library, function)(*arguments):
        raise MemoryError(
            f"no memory for the matrices of the covariance layer on features of shape "
            f"{tuple(x.shape)}: run with fewer threads (OMP_NUM_THREADS) or fewer channels"
        )


def cpu_forward(x: Tensor, num_iters: int) -> Tensor:
    """Compute the layer for features (B, C, N) whose ``cpu_kernel_status`` is None.

    A shape or a number of steps that does not fit is a ValueError, and too little memory for a
    sample's matrices a MemoryError.
    """
    problem, features = _problem(x, num_iters), x.float()
    vector = features.new_empty(len(x), triangle_size(x.shape[1]))
    _run("gcp_mm_forward", x, problem, *_operand(features), vector.data_ptr())
    return vector.to(x.dtype)


def cpu_backward(grad: Tensor, x: Tensor, num_iters: int) -> Tensor:
    """Compute the gradient of the features from them and that of the vectors (B, C (C + 1) / 2).

    Shape, dtype and layout are those of ``x``; errors as for :func:`cpu_forward`.
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
    operands = (vector.data_ptr(), *_operand(features), *_operand(result))
    _run("gcp_mm_backward", x, problem, *operands)
    return result.to(x.dtype)
