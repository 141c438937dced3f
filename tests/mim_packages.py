"""Names under which the installed mim knows the projects of OpenMMLab.

openmim calls mmdetection ``mmdet``, the maintained fork calls it ``onedl-mmdetection`` and refuses
the shorter name, because it begins two names.
"""

import pytest


def mim_package(project: str) -> str:
    """Return what to write after ``mim test`` for a project, for example ``mmdetection``."""
    projects = pytest.importorskip("mim.utils.default").PKG2PROJECT
    (name,) = (name for name, value in projects.items() if value == project)
    return name
