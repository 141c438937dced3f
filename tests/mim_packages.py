"""openmim or the maintained fork, read from the source of the installed one, and what it starts.

Importing mim imports pip, which a process that has imported distutils does not survive.
"""

import runpy
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import pytest


def mim_source(name: str) -> Path:
    """Return a file of the installed mim."""
    spec = find_spec("mim")
    if spec is None:
        pytest.skip("openmim is not installed")
    return Path(spec.origin).parent / name


def has_forks() -> bool:
    """Say whether the maintained forks of OpenMMLab are installed."""
    try:
        return bool(metadata.version("onedl-mmengine"))
    except metadata.PackageNotFoundError:
        return False


def mim_package(project: str) -> str:
    """Return what to write after ``mim test`` for a project, for example ``mmdetection``.

    openmim calls that ``mmdet``; the fork calls it ``onedl-mmdetection`` and refuses the shorter
    name, because two names contain it.
    """
    projects = runpy.run_path(str(mim_source("utils/default.py")))["PKG2PROJECT"]
    (name,) = (name for name, value in projects.items() if value == project)
    return name


def upstream_tool(package: str, name: str) -> str:
    """Return a tool that an OpenMMLab package installs, as ``mim run`` finds it."""
    return str(Path(find_spec(package).origin).parent / ".mim" / "tools" / name)
