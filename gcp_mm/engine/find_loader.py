"""Cures ``pkgutil.find_loader``, which Python 3.14 removed, for the modules that call it.

mmengine 0.10 and mmcv 2.1 ask it whether mmcv has operators; every start of a Runner reaches that
call (https://github.com/open-mmlab/mmengine/blob/v0.10.7/mmengine/utils/dl_utils/misc.py). The
functions offer no hook, so the name ``pkgutil`` inside these two modules is given a stand-in; the
standard library itself is left alone. What removed it: https://github.com/python/cpython/pull/98520.
"""

from __future__ import annotations

import importlib.util
import pkgutil
from types import ModuleType, SimpleNamespace


def find_loader(fullname: str):
    """Find a module's loader without importing the module, as ``pkgutil.find_loader`` did.

    Args:
        fullname: Dotted name; the packages above it are imported.

    Returns:
        The loader, or None if there is no such module.

    Raises:
        ImportError: If a package above it cannot be searched.
    """
    try:
        spec = importlib.util.find_spec(fullname)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise ImportError(f"{fullname!r} cannot be looked for: {error}") from error
    return spec.loader if spec is not None else None


def provide_find_loader(module: ModuleType) -> None:
    """Give a module that calls ``pkgutil.find_loader`` that function where Python has none.

    Args:
        module: The module; its global ``pkgutil`` is replaced, if it has one.
    """
    if hasattr(module, "pkgutil") and not hasattr(pkgutil, "find_loader"):
        module.pkgutil = SimpleNamespace(find_loader=find_loader)
