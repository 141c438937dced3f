"""Probes of the Python and of the packages the stack is made of.

Versions of the OpenMMLab packages are read from the imported modules: maintained forks share the
import names under other distribution names, so ``importlib.metadata`` would not find them.
"""

import platform
from importlib import import_module, metadata

from gcp_mm.doctor.check import FAIL, REINSTALL, WARN, Check, Probe, release

OPENCV_CURE = (
    "pip uninstall opencv-python opencv-python-headless; pip install opencv-python-headless"
)
PKG_RESOURCES_CURE = (
    'mmengine and mim need pkg_resources, gone in 82: pip install "setuptools>=77.0.3,<81"'
)


def _python() -> Check:
    version = platform.python_version()
    if not (3, 10) <= release(version) < (3, 14):
        cure = "use Python 3.10, 3.11 or 3.12: make install PYTHON=python3.11"
        return Check("python", version, FAIL, cure)
    if release(version) >= (3, 13):
        return Check("python", version, WARN, "the OpenMMLab stack is tested on 3.10 to 3.12 only")
    return Check("python", version)


def _any_version(name: str, module: str, cure: str = REINSTALL) -> Probe:
    """A package of which every version will do whose ``module`` can be imported."""

    def examine() -> Check:
        import_module(module)
        return Check(name, str(import_module(module.partition(".")[0]).__version__))

    return Probe(name, examine, cure)


def _torch() -> Check:
    version = str(import_module("torch").__version__)
    if release(version) < (2, 9):
        return Check("torch", version, FAIL, "gcp_mm needs torch 2.9 or newer: make install")
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
        cure = "it cannot resolve _base_='mmdet::...': pip install mmengine==0.10.7"
        return Check("mmengine", version, FAIL, cure)
    return Check("mmengine", version)


def _mmcv() -> Check:
    version = str(import_module("mmcv").__version__)
    if release(version) < (2, 0):
        cure = "mmdet 3 and mmpretrain 1 need mmcv 2: make install builds mmcv 2.1.0"
        return Check("mmcv", version, FAIL, cure)
    return Check("mmcv", version)


def _pycocotools() -> Check:
    import_module("pycocotools.mask")
    return Check("pycocotools", metadata.version("pycocotools"))


def _setuptools() -> Check:
    # Imported first: it puts distutils back, and complains if that was imported before it.
    version = str(import_module("setuptools").__version__)
    if release(version) >= (82,):
        return Check("setuptools", version, FAIL, PKG_RESOURCES_CURE)
    import_module("pkg_resources")
    return Check("setuptools", version)


def _openmim() -> Check:
    try:
        version = import_module("mim.version").__version__
    except ModuleNotFoundError as error:
        if error.name != "mim":
            raise
        cure = "the mim commands are not available: pip install openmim"
        return Check("openmim", "not installed", WARN, cure)
    click = metadata.version("click")
    # A note and no warning: nothing but `mim ... --launcher slurm` is concerned.
    note = " (launcher slurm needs click < 8.3)" if release(click) >= (8, 3) else ""
    return Check("openmim", f"{version}, click {click}{note}")


PROBES = (
    Probe("python", _python),
    Probe("torch", _torch),
    Probe("torchvision", _torchvision),
    _any_version("numpy", "numpy"),
    Probe("setuptools", _setuptools, PKG_RESOURCES_CURE),
    _any_version("opencv", "cv2", OPENCV_CURE),
    Probe("mmengine", _mmengine),
    Probe("mmcv", _mmcv, "make install builds mmcv 2.1.0"),
    # Before mmdet, which imports it too, swallows the error and leaves it half registered.
    _any_version("mmpretrain", "mmpretrain.models"),
    _any_version("mmdet", "mmdet.models"),
    Probe("pycocotools", _pycocotools),
    Probe("openmim", _openmim, blocking=False),
)
