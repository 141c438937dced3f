"""Probes of combinations that are known to break the stack."""

import importlib
import os
from importlib import import_module, util
from pathlib import Path

from gcp_mm.doctor.check import FAIL, WARN, Check, Probe, release
from gcp_mm.doctor.stack import (
    DISTRIBUTIONS,
    installed_distributions,
    is_fork,
    reinstall_command,
    version_of,
)

# mmengine imports these to register their optimizers and survives nothing but an ImportError.
OPTIMIZER_PACKAGES = ("bitsandbytes", "lion-pytorch", "dadaptation", "sophia")


def _distributions() -> Check:
    """Two distributions of one import name have overwritten each other's files."""
    name = "distributions"
    installed = {module: installed_distributions(module) for module in DISTRIBUTIONS}
    doubled = [names for names in installed.values() if len(names) > 1]
    if doubled:
        names = " ".join(sum(doubled, []))
        # No FAIL: that of the later one may be whole, and the rows of the packages say so.
        cure = f"they share their files: pip uninstall {names}; {reinstall_command()}"
        return Check(name, "; ".join(map(" and ".join, doubled)), WARN, cure)
    forks = [names[0] for module, names in installed.items() if is_fork(module)]
    return Check(name, ", ".join(forks) if forks else "no fork of OpenMMLab")


def _loader_fix() -> Check:
    """Importing gcp_mm replaces a loader that stops (mmengine) or unpickles anything (its fork)."""
    name = "checkpoint loader"
    loader = import_module("mmengine.runner.checkpoint").CheckpointLoader
    # As a config's custom_imports do it: once mmengine is there, gcp_mm is imported.
    importlib.reload(import_module("gcp_mm"))
    scheme = loader._schemes.get("")
    if getattr(scheme, "__module__", "").partition(".")[0] == "gcp_mm":
        return Check(name, f"that of gcp_mm serves ({scheme.__module__})")
    cure = "import gcp_mm after mmengine (custom_imports in the config)"
    if is_fork("mmengine"):
        return Check(name, "onedl-mmengine's own, which runs what is in a file", FAIL, cure)
    return Check(name, "mmengine's own, which torch >= 2.6 stops", FAIL, cure)


def _transformers() -> Check:
    version = version_of("transformers")
    # Of a fork, the row of mmpretrain says whether it breaks.
    if release(version) < (4, 56) or is_fork("mmpretrain"):
        return Check("transformers", version or "not installed, not needed")
    cure = 'mmpretrain 1.2 cannot import it: pip uninstall transformers, or "transformers<4.56"'
    return Check("transformers", version, WARN, cure)


def _optimizer_packages() -> Check:
    name = "optimizer packages"
    found = [package for package in OPTIMIZER_PACKAGES if version_of(package)]
    if not found:
        return Check(name, "none that mmengine would import")
    cure = f"mmengine imports them and dies of their errors: pip uninstall {' '.join(found)}"
    return Check(name, ", ".join(found), WARN, cure)


def _openxlab() -> Check:
    version = version_of("openxlab")
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
    return Check("gcp_mm", f"{package.__version__} in {package.__path__[0]}")


PROBES = (
    Probe("gcp_mm", _project),
    Probe("checkpoint loader", _loader_fix),
    Probe("distributions", _distributions, blocking=False),
    Probe("transformers", _transformers, blocking=False),
    Probe("optimizer packages", _optimizer_packages, blocking=False),
    Probe("openxlab", _openxlab, blocking=False),
    Probe("configs folder", _stray_configs, blocking=False),
)
