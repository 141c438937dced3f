"""Probes of combinations that are known to break the stack."""

import importlib
import os
from importlib import import_module, metadata, util
from pathlib import Path

from gcp_mm.doctor.check import FAIL, WARN, Check, Probe, release

# mmengine imports these to register their optimizers and survives nothing but an ImportError.
OPTIMIZER_PACKAGES = ("bitsandbytes", "lion-pytorch", "dadaptation", "sophia")


def _version_of(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""


def _loader_fix() -> Check:
    """Since torch 2.6 mmengine cannot load its own checkpoints; importing gcp_mm mends that."""
    name = "checkpoint loader"
    loader = import_module("mmengine.runner.checkpoint").CheckpointLoader
    # As a config's custom_imports do it: once mmengine is there, gcp_mm is imported.
    importlib.reload(import_module("gcp_mm"))
    scheme = loader._schemes.get("")
    if getattr(scheme, "__module__", "").partition(".")[0] == "gcp_mm":
        return Check(name, f"fix for torch >= 2.6 active ({scheme.__module__})")
    cure = "resuming and testing fail: import gcp_mm after mmengine (custom_imports in the config)"
    return Check(name, "mmengine's own, which torch >= 2.6 stops", FAIL, cure)


def _transformers() -> Check:
    version = _version_of("transformers")
    if release(version) < (4, 56):
        return Check("transformers", version or "not installed, not needed")
    cure = 'mmpretrain 1.2 cannot import it: pip uninstall transformers, or "transformers<4.56"'
    # The row of mmpretrain fails if it does break; a fork may have mended it.
    return Check("transformers", version, WARN, cure)


def _optimizer_packages() -> Check:
    name = "optimizer packages"
    found = [package for package in OPTIMIZER_PACKAGES if _version_of(package)]
    if not found:
        return Check(name, "none that mmengine would import")
    cure = f"mmengine imports them and dies of their errors: pip uninstall {' '.join(found)}"
    return Check(name, ", ".join(found), WARN, cure)


def _openxlab() -> Check:
    version = _version_of("openxlab")
    # 0.0.11 is the last one that does not pin setuptools ~= 60.2 and a dozen others.
    if release(version) <= (0, 0, 11):
        return Check("openxlab", version or "not installed, not needed")
    cure = "it pins old setuptools, requests, rich, tqdm: pip uninstall opendatalab openxlab"
    return Check("openxlab", version, WARN, cure)


def _stray_configs() -> Check:
    name = "configs folder"
    for package in ("mmdet", "mmpretrain"):
        spec = util.find_spec(package)
        if spec is None or not spec.origin:
            continue
        folder = Path(spec.origin).parent.parent / "configs"
        # In a source checkout the folder is the package's own.
        if folder.is_dir() and folder.parent.name in ("site-packages", "dist-packages"):
            cure = f"{package} reads it in place of its own configs: remove or rename it"
            return Check(name, os.fspath(folder), WARN, cure)
    return Check(name, "no stray one beside the packages")


def _project() -> Check:
    package = import_module("gcp_mm")
    return Check("gcp_mm", f"{package.__version__} in {Path(package.__file__).parent}")


PROBES = (
    Probe("gcp_mm", _project),
    Probe("checkpoint loader", _loader_fix),
    Probe("transformers", _transformers, blocking=False),
    Probe("optimizer packages", _optimizer_packages, blocking=False),
    Probe("openxlab", _openxlab, blocking=False),
    Probe("configs folder", _stray_configs, blocking=False),
)
