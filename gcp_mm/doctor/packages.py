"""Probes of the Python and of the packages the stack is made of.

Versions of the OpenMMLab packages are read from the imported modules: maintained forks share the
import names under other distribution names, so ``importlib.metadata`` would not find them.
"""

import platform
import re
from importlib import import_module, metadata, util
from pathlib import Path

from gcp_mm.doctor.check import FAIL, WARN, Check, Probe, fill, release
from gcp_mm.doctor.stack import is_fork

# What the stack was tried on; `requires-python` in pyproject.toml begins at the same version.
OLDEST_PYTHON = (3, 10)
NEWEST_PYTHON = (3, 14)

OPENCV_CURE = (
    "pip uninstall opencv-python opencv-python-headless; pip install opencv-python-headless"
)
PKG_RESOURCES_CURE = 'pkg_resources is gone in setuptools 82: pip install "setuptools>=77.0.3,<81"'
_IMPORT_OF_PKG_RESOURCES = re.compile(r"^\s*(import|from)\s+pkg_resources\b", re.MULTILINE)


def _python() -> Check:
    version = platform.python_version()
    oldest, newest = (".".join(map(str, end)) for end in (OLDEST_PYTHON, NEWEST_PYTHON))
    if release(version)[:2] < OLDEST_PYTHON:
        # No version is named that the machine may not have: the installer looks for one that fits.
        cure = f"Python {oldest} to {newest} is needed: make install looks for one on this machine"
        return Check("python", version, FAIL, cure)
    if release(version)[:2] > NEWEST_PYTHON:
        return Check("python", version, WARN, f"the stack is tested on {oldest} to {newest} only")
    return Check("python", version)


def _any_version(name: str, module: str, cure: str = "{reinstall}") -> Probe:
    """A package of which every version will do whose ``module`` can be imported."""

    def examine() -> Check:
        import_module(module)
        return Check(name, str(import_module(module.partition(".")[0]).__version__))

    return Probe(name, examine, cure)


def _torch() -> Check:
    version = str(import_module("torch").__version__)
    if release(version) < (2, 9):
        return Check("torch", version, FAIL, fill("gcp_mm needs torch 2.9 or newer: {install}"))
    return Check("torch", version)


def _torchvision() -> Check:
    version = str(import_module("torchvision").__version__)
    torch_version = str(import_module("torch").__version__)
    # Since torch 2.0 came with torchvision 0.15 the two have been released in step.
    major, minor = release(torch_version)[:2]
    if major == 2 and release(version)[:2] != (0, minor + 15):
        cure = f"torch {major}.{minor} belongs with torchvision 0.{minor + 15}: install that one"
        return Check("torchvision", version, WARN, cure)
    return Check("torchvision", version)


def _mmengine() -> Check:
    import_module("mmengine.runner")
    version = str(import_module("mmengine").__version__)
    if version.startswith("0.11.0rc"):
        cure = fill("it cannot resolve _base_='mmdet::...': pip install {mmengine}")
        return Check("mmengine", version, FAIL, cure)
    return Check("mmengine", version)


def _mmcv() -> Check:
    version = str(import_module("mmcv").__version__)
    if release(version) < (2, 0):
        cure = fill("mmdet 3 and mmpretrain 1 need mmcv 2: pip uninstall mmcv; {reinstall}")
        return Check("mmcv", version, FAIL, cure)
    return Check("mmcv", version)


def _pycocotools() -> Check:
    import_module("pycocotools.mask")
    return Check("pycocotools", metadata.version("pycocotools"))


def _imports_pkg_resources(module: str) -> bool:
    """Look for the import in the source of an installed package, without importing that."""
    spec = util.find_spec(module)
    folders = (spec.submodule_search_locations or []) if spec else []
    files = (file for folder in folders for file in Path(folder).rglob("*.py"))
    return any(_IMPORT_OF_PKG_RESOURCES.search(file.read_text("utf-8", "ignore")) for file in files)


def _setuptools() -> Check:
    users = [module for module in ("mmengine", "mim") if _imports_pkg_resources(module)]
    if not users:
        try:
            return Check("setuptools", metadata.version("setuptools"))
        except metadata.PackageNotFoundError:
            return Check("setuptools", "not installed, not needed")
    cure = f"{' and '.join(users)} cannot do without: {PKG_RESOURCES_CURE}"
    # Imported first: it puts distutils back, and complains if that was imported before it.
    version = str(import_module("setuptools").__version__)
    if release(version) >= (82,):
        return Check("setuptools", version, FAIL, cure)
    import_module("pkg_resources")
    return Check("setuptools", version)


def _openmim() -> Check:
    try:
        version = import_module("mim.version").__version__
    except ModuleNotFoundError as error:
        if error.name != "mim":
            raise
        cure = fill("the mim commands are not available: pip install {mim}")
        return Check("openmim", "not installed", WARN, cure)
    click = metadata.version("click")
    found = f"{version}, click {click}"
    newer = release(click) >= (8, 3)
    # The fork is written for the click whose unset options the original takes for values.
    if is_fork("mim"):
        cure = 'onedl-mim is written for click 8.3: pip install "click>=8.3"'
        return Check("openmim", found) if newer else Check("openmim", found, WARN, cure)
    # A note and no warning: nothing but `mim ... --launcher slurm` is concerned.
    note = " (launcher slurm needs click < 8.3)" if newer else ""
    return Check("openmim", found + note)


PROBES = (
    Probe("python", _python),
    Probe("torch", _torch),
    Probe("torchvision", _torchvision),
    _any_version("numpy", "numpy"),
    Probe("setuptools", _setuptools, PKG_RESOURCES_CURE),
    _any_version("opencv", "cv2", OPENCV_CURE),
    Probe("mmengine", _mmengine),
    Probe("mmcv", _mmcv, "{install}"),
    # Before mmdet, which imports it too, swallows the error and leaves it half registered.
    _any_version("mmpretrain", "mmpretrain.models"),
    _any_version("mmdet", "mmdet.models"),
    Probe("pycocotools", _pycocotools),
    Probe("openmim", _openmim, blocking=False),
)
