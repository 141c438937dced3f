"""NumPy's arrays and numbers out of a checkpoint, built without NumPy's own unpickling.

NumPy sets a dtype to whatever a pickle says of it: fields outside of an element, or objects where
the bytes of the file become addresses, and Python dies when the array is read. Stand-ins under the
names that pickles use take plain numbers alone, and :func:`plain` puts NumPy's own in their place.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pickle import UnpicklingError
from typing import Any

import numpy as np
from mmengine.logging import HistoryBuffer

# bool, integers, and real and complex floating-point numbers.
_CODE = re.compile(r"[<>=|]?(b1|[iu][1248]|f[248]|c8|c16)")


class PlainDtype:
    """Stands in for ``numpy.dtype``: numbers, and nothing made of several parts.

    Attributes:
        value: NumPy's dtype.
    """

    def __init__(self, code: Any, align: Any = False, copy: Any = False) -> None:
        """Take a code such as ``f8``; the other arguments mean nothing for numbers."""
        if not isinstance(code, str) or not _CODE.fullmatch(code):
            raise UnpicklingError(f"numpy.dtype({code!r}) is not allowed in a checkpoint")
        self.value = np.dtype(code)

    def __setstate__(self, state: Any) -> None:
        """Take the byte order out of what NumPy pickles of a dtype; the rest has to be empty."""
        if (
            not isinstance(state, tuple)
            or state[2:5] != (None, None, None)
            or state[1] not in ("<", ">", "=", "|")
        ):
            raise UnpicklingError("a numpy.dtype with fields or parts is not allowed")
        self.value = self.value.newbyteorder(state[1])


class PlainArray(np.ndarray):
    """Stands in for ``numpy.ndarray``, empty until its content is set."""

    def __new__(cls, *arguments: Any) -> PlainArray:
        """Make an empty array: what a file wants to be made without its content is refused."""
        if arguments:
            raise UnpicklingError(f"numpy.ndarray{arguments!r} is not allowed in a checkpoint")
        return np.ndarray.__new__(cls, (0,))

    def __setstate__(self, state: Any) -> None:
        """Set shape and content after checking that they go together."""
        if not isinstance(state, tuple) or len(state) != 5:
            raise UnpicklingError("a numpy.ndarray of another form")
        _, shape, dtype, fortran, content = state
        if (
            not isinstance(dtype, PlainDtype)
            or not isinstance(shape, tuple)
            or len(shape) > 32
            or not all(type(size) is int and size >= 0 for size in shape)
            or not isinstance(content, bytes)
            or math.prod(shape) * dtype.value.itemsize != len(content)
        ):
            raise UnpicklingError("a numpy.ndarray whose shape, dtype and content do not fit")
        super().__setstate__((1, shape, dtype.value, bool(fortran), content))


def _reconstruct(kind: Any, shape: Any, code: Any) -> PlainArray:
    """Stand in for ``numpy._core.multiarray._reconstruct``, the beginning of every array."""
    if kind is not PlainArray or shape != (0,):
        raise UnpicklingError(f"an array of {kind!r} and {shape!r} is not allowed")
    return PlainArray()


def _scalar(dtype: Any, content: Any = None) -> np.generic:
    """Stand in for ``numpy._core.multiarray.scalar``, a single number."""
    if (
        not isinstance(dtype, PlainDtype)
        or not isinstance(content, bytes)
        or len(content) != dtype.value.itemsize
    ):
        raise UnpicklingError("a number of NumPy whose dtype and content do not fit")
    return np.frombuffer(content, dtype.value)[0]


def stand_ins() -> list[tuple[Callable, str]]:
    """List the stand-ins and the names they have in a pickle, as ``safe_globals`` takes them."""
    found = [(PlainDtype, "numpy.dtype"), (PlainArray, "numpy.ndarray")]
    # NumPy 1 and 2.
    for module in ("numpy.core.multiarray", "numpy._core.multiarray"):
        found += [(_reconstruct, f"{module}._reconstruct"), (_scalar, f"{module}.scalar")]
    return found


def plain(value: Any, seen: dict[int, Any] | None = None) -> Any:
    """Put NumPy's arrays and dtypes in the place of the stand-ins, in nested containers.

    Args:
        value: What was loaded; dicts, lists and history buffers are changed in place.
        seen: What was met already, by id: containers can be shared, or hold themselves.

    Returns:
        The same with NumPy's own types.
    """
    seen = {} if seen is None else seen
    if isinstance(value, PlainArray):
        return value.view(np.ndarray)
    if isinstance(value, PlainDtype):
        return value.value
    if not isinstance(value, dict | list | tuple | HistoryBuffer):
        return value
    if id(value) not in seen:
        seen[id(value)] = value
        if isinstance(value, dict):
            for key, item in value.items():
                value[key] = plain(item, seen)
        elif isinstance(value, list):
            value[:] = [plain(item, seen) for item in value]
        elif isinstance(value, HistoryBuffer):
            plain(vars(value), seen)
        elif type(value) is tuple:
            seen[id(value)] = tuple(plain(item, seen) for item in value)
    return seen[id(value)]
