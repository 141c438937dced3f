"""What comes out of a checkpoint stays data: nothing in it is called, and no text in it is run.

A pickle may name what :func:`allowed_globals` lists and nothing else. NumPy sets a dtype to
whatever a pickle says of it: fields outside of an element, or objects where the bytes of the file
become addresses, and Python dies when the array is read. So NumPy's names lead to stand-ins that
take plain numbers alone, and :func:`plain` puts NumPy's own in their place.

mmengine 0.10 runs texts as Python: ``meta['config']`` (``Runner.resume``) and, where an inferencer
is given weights alone, ``message_hub['runtime_info']['cfg']`` or ``meta['cfg']`` go to
``Config.fromstring``
(https://github.com/open-mmlab/mmengine/blob/v0.10.7/mmengine/runner/runner.py,
https://github.com/open-mmlab/mmengine/blob/v0.10.7/mmengine/infer/infer.py).
:func:`without_code` leaves them out at every door. A file of its own: what installs the loaders is
imported while the module of the loaders may not be complete.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

from gcp_mm.checkpoints.config_text import read_config_text
from gcp_mm.checkpoints.coverage import wrapper_prefix
from gcp_mm.checkpoints.form import check_form
from gcp_mm.errors import UserError
from gcp_mm.first_process import log

_HISTORY_STATISTICS = ("min", "max", "mean", "current")
# bool, integers, and real and complex floating-point numbers.
_CODE = re.compile(r"[<>=|]?(b1|[iu][1248]|f[248]|c8|c16)")


class PlainDtype:
    """Stands in for ``numpy.dtype``: numbers, and nothing made of several parts."""

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
        state = (1, shape, dtype.value, bool(fortran), content)
        super().__setstate__(state)


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


def _getattr(owner: Any, name: str) -> Any:
    """Stand in for ``getattr``: HistoryBuffer refers to its statistics by name."""
    if owner is HistoryBuffer and name in _HISTORY_STATISTICS:
        return getattr(HistoryBuffer, name)
    raise UnpicklingError(f"getattr({owner!r}, {name!r}) is not allowed in a checkpoint")


def _bytes(*arguments: Any) -> bytes:
    """Stand in for ``bytes``, which a pickle calls for an empty one and nothing else."""
    if arguments:
        raise UnpicklingError("bytes(...) is not allowed in a checkpoint")
    return b""


def allowed_globals() -> list[Callable | tuple[Callable, str]]:
    """List what a training checkpoint holds besides tensors, as ``safe_globals`` takes it."""
    # NumPy 1 and 2.
    modules = ("numpy.core.multiarray", "numpy._core.multiarray")
    return [
        HistoryBuffer,
        (_getattr, "builtins.getattr"),
        (_bytes, "builtins.bytes"),
        (PlainDtype, "numpy.dtype"),
        (PlainArray, "numpy.ndarray"),
        *((_reconstruct, f"{module}._reconstruct") for module in modules),
        *((_scalar, f"{module}.scalar") for module in modules),
    ]


def plain(value: Any, seen: dict[int, Any] | None = None) -> Any:
    """Put NumPy's arrays and dtypes in the place of the stand-ins, in nested containers."""
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


class _WithoutText(dict):
    """A part of a checkpoint; who asks for the text that was left out reads what to do."""

    def __init__(self, content: dict, advice: dict[str, str]) -> None:
        super().__init__(content)
        self._advice = advice

    def __missing__(self, key: Any) -> Any:
        if key in self._advice:
            raise UserError(self._advice[key])
        raise KeyError(key)

    def __reduce__(self) -> tuple:
        """Copy and pickle as a plain dict, so that no other file needs this class."""
        return dict, (dict(self),)


def without_code(load: Callable) -> Callable:
    """Wrap a loader: leave out the texts that mmengine runs as Python.

    A training that is resumed has its own config, and writes that into its next checkpoint.
    """

    @functools.wraps(load)
    def loader(filename: str, map_location: Any = None) -> Any:
        loaded = load(filename, map_location)
        # A dict or a function can name the meta device, too.
        plain_device = map_location is None or isinstance(map_location, str | torch.device)
        check_form(loaded, filename, not plain_device or str(map_location) == "meta")
        loaded = _leave_out(loaded, filename) if "state_dict" in loaded else loaded
        return _without_wrappers(loaded, filename)

    return loader


def _without_wrappers(loaded: dict, filename: str) -> dict:
    """Take the prefixes of wrappers off the names; mmengine takes off one ``module.`` alone."""
    weights = loaded.get("state_dict", loaded)
    prefix = wrapper_prefix(weights)
    if prefix in ("", "module."):
        return loaded
    log(f"{filename}: the names of the weights are taken without {prefix!r}")
    weights = {name.removeprefix(prefix): tensor for name, tensor in weights.items()}
    if "state_dict" not in loaded:
        return weights
    loaded["state_dict"] = weights
    return loaded


def _leave_out(loaded: dict, filename: str) -> dict:
    """Take ``config`` and ``cfg`` out of a checkpoint, and say so where they are asked for."""
    give = f"give the config as well: DetInferencer(model='config.py', weights={filename!r})"
    loaded, meta = dict(loaded), loaded.get("meta")
    if meta is not None:
        loaded["meta"] = {k: v for k, v in meta.items() if k not in ("config", "cfg")}
        if settings := read_config_text(meta.get("cfg")):
            # As data, for those that compare it.
            loaded["meta"]["settings"] = settings
    hub = loaded.get("message_hub")
    if hub is None:
        return _WithoutText(
            loaded,
            {
                "message_hub": f"checkpoint {filename!r} has no message_hub: it holds weights, and "
                f"neither a training to continue nor a config to build a network from; {give}"
            },
        )
    info = hub.get("runtime_info", {})
    if not isinstance(info, dict):
        return loaded
    text = f"checkpoint {filename!r}: the config in it is text that could do anything, and is not"
    advice = {"cfg": f"{text} run; {give}"}
    info = {key: value for key, value in info.items() if key != "cfg"}
    loaded["message_hub"] = {**hub, "runtime_info": _WithoutText(info, advice)}
    return loaded
