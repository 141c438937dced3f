"""Probes of the Python and of the packages the stack is made of.

Versions of the OpenMMLab packages are read from the imported modules: maintained forks share the
import names under other distribution names, so ``importlib.metadata`` would not find them.
"""

import platform
import re
from importlib import import_module, metadata, util
from pathlib import Path

from gcp_mm.doctor.check import FAIL, WARN, Found, Probe, fill, release
from gcp_mm.doctor.stack import is_fork

# What the stack was tried on; `requires-python` in pyproject.toml begins at the same version.
OLDEST_PYTHON = (3, 10)
NEWEST_PYTHON = (3, 14)

OPENCV_CURE = (
    "pip uninstall opencv-python opencv-python-headless; pip install opencv-python-headless"
)
MMCV_CURE = "mmdet 3 and mmpretrain 1 need mmcv 2: pip uninstall mmcv; {reinstall}"
PKG_RESOURCES_CURE = 'pkg_resources is gone in setuptools 82: pip install "setuptools>=77.0.3,<81"'
_IMPORT_OF_PKG_RESOURCES = re.compile(r"^\s*(import|from)\s+pkg_resources\b", re.MULTILINE)


def _python() -> Found:
    version = platform.python_version()
    oldest, newest = (".".join(map(str, end)) for end in (OLDEST_PYTHON, NEWEST_PYTHON))
    if release(version)[:2] < OLDEST_PYTHON:
        # No version is named that the machine may not have: the installer looks for one that fits.
        cure = f"Python {oldest} to {newest} is needed: make install looks for one on this machine"
        return version, FAIL, cure
    if release(version)[:2] > NEWEST_PYTHON:
        return version, WARN, f"the stack is tested on {oldest} to {newest} only"
    return version


def _package(
    name: str,
    module: str,
    cure: str = "{reinstall}",
    oldest: tuple[int, ...] = (),
    too_old: str = "",
) -> Probe:
    """A package whose ``module`` can be imported, in any version from the ``oldest`` on."""

    def examine() -> Found:
        import_module(module)
        version = str(import_module(module.partition(".")[0]).__version__)
        return version if release(version) >= oldest else (version, FAIL, fill(too_old))

    return Probe(name, examine, cure)


def _torchvision() -> Found:
    version = str(import_module("torchvision").__version__)
    torch_version = str(import_module("torch").__version__)
    # Since torch 2.0 came with torchvision 0.15 the two have been released in step.
    major, minor = release(torch_version)[:2]
    if major == 2 and release(version)[:2] != (0, minor + 15):
        cure = f"torch {major}.{minor} belongs with torchvision 0.{minor + 15}: install that one"
        return version, WARN, cure
    return version


def _mmengine() -> Found:
    import_module("mmengine.runner")
    version = str(import_module("mmengine").__version__)
    if version.startswith("0.11.0rc"):
        cure = fill("it cannot resolve _base_='mmdet::...': pip install {mmengine}")
        return version, FAIL, cure
    return version


def _pycocotools() -> Found:
    import_module("pycocotools.mask")
    return metadata.version("pycocotools")


def _imports_pkg_resources(module: str) -> bool:
    """Look for the import in the source of an installed package, without importing that."""
    spec = util.find_spec(module)
    folders = (spec.submodule_search_locations or []) if spec else []
    files = (file for folder in folders for file in Path(folder).rglob("*.py"))
    return any(_IMPORT_OF_PKG_RESOURCES.search(file.read_text("utf-8", "ignore")) for file in files)


def _setuptools() -> Found:
    users = [module for module in ("mmengine", "mim") if _imports_pkg_resources(module)]
    if not users:
        try:
            return metadata.version("setuptools")
        except metadata.PackageNotFoundError:
            return "not installed, not needed"
    cure = f"{' and '.join(users)} cannot do without: {PKG_RESOURCES_CURE}"
    # Imported first: it puts distutils back, and complains if that was imported before it.
    version = str(import_module("setuptools").__version__)
    if release(version) >= (82,):
        return version, FAIL, cure
    import_module("pkg_resources")
    return version


def _openmim() -> Found:
    try:
        version = import_module("mim.version").__version__
    except ModuleNotFoundError as error:
        if error.name != "mim":
            raise
        cure = fill("the mim commands are not available: pip install {mim}")
        return "not installed", WARN, cure
    click = metadata.version("click")
    found = f"{version}, click {click}"
    newer = release(click) >= (8, 3)
    # The fork is written for the click whose unset options the original takes for values.
    if is_fork("mim"):
        cure = 'onedl-mim is written for click 8.3: pip install "click>=8.3"'
        return found if newer else (found, WARN, cure)
    # A note and no warning: nothing but `mim ... --launcher slurm` is concerned.
    note = " (launcher slurm needs click < 8.3)" if newer else ""
    return found + note


PROBES = (
    Probe("python", _python),
    _package("torch", "torch", oldest=(2, 9), too_old="gcp_mm needs torch 2.9 or newer: {install}"),
    Probe("torchvision", _torchvision),
    _package("numpy", "numpy"),
    Probe("setuptools", _setuptools, PKG_RESOURCES_CURE),
    _package("opencv", "cv2", OPENCV_CURE),
    Probe("mmengine", _mmengine),
    _package("mmcv", "mmcv", "{install}", (2, 0), MMCV_CURE),
    # Before mmdet, which imports it too, swallows the error and leaves it half registered.
    _package("mmpretrain", "mmpretrain.models"),
    _package("mmdet", "mmdet.models"),
    Probe("pycocotools", _pycocotools),
    Probe("openmim", _openmim, blocking=False),
)
