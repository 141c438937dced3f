"""The compiled library: where it lies, how it is called, and why it cannot be."""

from __future__ import annotations

import ctypes
from ctypes import Structure, c_char_p, c_int, c_long, c_void_p
from functools import cache
from pathlib import Path

from gcp_mm.ops.cpu_kernels.digest import is_whole, source_digest

SOURCES = Path(__file__).with_name("csrc")
REINSTALL = "where GCC is, run `make install` in a checkout, or install gcp_mm again"


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
    """Load a library.

    Args:
        path: The file.
        digest: Digest of the sources that it should be compiled from; '' if they are not here.

    Returns:
        The library, with the types of its functions.

    Raises:
        OSError: If it is not there or damaged, cannot be loaded, was compiled from other sources,
            or the CPU lacks an instruction that it uses.
        AttributeError: If it is another library.
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
