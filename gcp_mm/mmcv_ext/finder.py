"""Answers ``import mmcv._ext`` with torchvision's operators where mmcv has no compiled ones.

mmcv-lite is mmcv without its extension module ``mmcv._ext``, whose build needs a C++ compiler, and
for a GPU the CUDA toolkit. Other programs import ``mmcv.ops`` before they import this project
(``mim test mmdet``, mmdet's own inferencer), so an installation puts a copy of this file beside the
package, as ``_gcp_mm_mmcv_finder``, and ``gcp_mm_mmcv_ext.pth``, which imports that copy whenever
Python starts; ``import gcp_mm`` installs the finder too, for installations whose ``.pth`` files are
not read (``pip install --target``, ``PYTHONPATH``). Hence only ``sys`` is imported here.

The finder comes last in ``sys.meta_path``, so that compiled operators are found before it. It is
asked only after ``mmcv`` itself was imported: without mmcv, ``import mmcv`` fails as ever.
"""

import sys

MODULE = "mmcv._ext"


class TorchvisionOperatorsFinder:
    """A finder of ``sys.meta_path`` that knows one name, ``mmcv._ext``."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        """Return the spec of ``gcp_mm/mmcv_ext/operators.py`` for ``mmcv._ext``, else None."""
        if name != MODULE:
            return None
        from importlib.machinery import PathFinder
        from importlib.util import spec_from_file_location

        package = PathFinder.find_spec("gcp_mm")
        # Without an origin it is a namespace: the project itself was uninstalled.
        if package is None or not package.origin:
            return None
        file = package.submodule_search_locations[0] + "/mmcv_ext/operators.py"
        return spec_from_file_location(name, file)


def install():
    """Append the finder to ``sys.meta_path``, unless one is there already."""
    # By name: the copy beside the package and this file are two modules.
    if not any(
        getattr(finder, "__name__", "") == TorchvisionOperatorsFinder.__name__
        for finder in sys.meta_path
    ):
        sys.meta_path.append(TorchvisionOperatorsFinder)


install()
