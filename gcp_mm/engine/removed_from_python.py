"""Cures what newer Pythons removed for the modules of OpenMMLab that still use it.

``pkgutil.find_loader``, removed in 3.14 (https://github.com/python/cpython/pull/98520): mmengine
0.10 and mmcv 2.1 ask it whether mmcv has operators; every start of a Runner reaches that call
(https://github.com/open-mmlab/mmengine/blob/v0.10.7/mmengine/utils/dl_utils/misc.py). The functions
offer no hook, so the name ``pkgutil`` inside these two modules is given a stand-in; the standard
library itself is left alone.

``distutils``, removed in 3.12 (PEP 632): mmengine's report of the environment, with which every
Runner starts, imports it. setuptools has a copy and offers it through a ``.pth`` file, which is not
read everywhere (``pip install --target``, ``PYTHONPATH``).
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from types import ModuleType, SimpleNamespace


def find_loader(fullname: str):
    """Find a module's loader without importing the module, as ``pkgutil.find_loader`` did."""
    try:
        spec = importlib.util.find_spec(fullname)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise ImportError(f"{fullname!r} cannot be looked for: {error}") from error
    return spec.loader if spec is not None else None


def provide_find_loader(module: ModuleType) -> None:
    """Give a module that calls ``pkgutil.find_loader`` that function where Python has none."""
    if hasattr(module, "pkgutil") and not hasattr(pkgutil, "find_loader"):
        vars(module)["pkgutil"] = SimpleNamespace(find_loader=find_loader)


def provide_distutils(_: ModuleType) -> None:
    """Let setuptools put its copy of ``distutils`` in place where Python has none."""
    if importlib.util.find_spec("distutils") is None and importlib.util.find_spec("setuptools"):
        importlib.import_module("setuptools")
