"""Cures for what modules of OpenMMLab import, made when they have been imported themselves.

What newer Pythons removed and OpenMMLab still uses:

``pkgutil.find_loader``, removed in 3.14 (https://github.com/python/cpython/pull/98520): mmengine
0.10 and mmcv 2.1 ask it whether mmcv has operators; every start of a Runner reaches that call
(https://github.com/open-mmlab/mmengine/blob/v0.10.7/mmengine/utils/dl_utils/misc.py). The functions
offer no hook, so the name ``pkgutil`` inside these two modules is given a stand-in; the standard
library itself is left alone.

``distutils``, removed in 3.12 (PEP 632): mmengine's report of the environment, with which every
Runner starts, imports it. setuptools has a copy and offers it through a ``.pth`` file, which is not
read everywhere (``pip install --target``, ``PYTHONPATH``).

And seaborn, which importing mmdet imports where it is installed, and with it pandas and
``scipy.stats``: mmdet/utils/mot_error_visualize.py does so for one drawing of tracks
(https://github.com/open-mmlab/mmdetection/blob/v3.3.0/mmdet/utils/mot_error_visualize.py). It
takes a fifth of the time of importing mmdet (1.0 of 5.0 s of CPU, median of five pairs), and
mmdet's own analyze_logs needs it to be installed. So the first import of it gives the module
unread, which Python reads when something is taken from it (``importlib.util.LazyLoader``). Where it
is absent, nothing changes.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
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


_SEABORN = "seaborn"


class UnreadSeabornFinder(MetaPathFinder):
    """A finder of ``sys.meta_path`` that knows one name, and answers once."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec that the other finders have, with a loader that waits."""
        if fullname != _SEABORN:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            spec.loader = importlib.util.LazyLoader(spec.loader)
        return spec


def read_seaborn_when_used(_: ModuleType) -> None:
    """Prepare the import of seaborn that is to come, when mmdet itself has been imported."""
    if _SEABORN not in sys.modules:
        sys.meta_path.insert(0, UnreadSeabornFinder())
