"""Probes of combinations that are known to break the stack."""

import importlib
import os
from importlib import import_module, util
from pathlib import Path

from gcp_mm.doctor import stack
from gcp_mm.doctor.check import FAIL, WARN, Found, Probe, release

# mmengine imports these to register their optimizers and survives nothing but an ImportError.
OPTIMIZER_PACKAGES = ("bitsandbytes", "lion-pytorch", "dadaptation", "sophia")


def _distributions() -> Found:
    """Two distributions of one import name have overwritten each other's files."""
    installed = {module: stack.installed_distributions(module) for module in stack.DISTRIBUTIONS}
    doubled = [names for names in installed.values() if len(names) > 1]
    if doubled:
        names = " ".join(sum(doubled, []))
        # No FAIL: that of the later one may be whole, and the rows of the packages say so.
        cure = f"they share their files: pip uninstall {names}; {stack.reinstall_command()}"
        return "; ".join(map(" and ".join, doubled)), WARN, cure
    forks = [names[0] for module, names in installed.items() if stack.is_fork(module)]
    return ", ".join(forks) if forks else "no fork of OpenMMLab"


def _loader_fix() -> Found:
    """Importing gcp_mm replaces a loader that stops (mmengine) or unpickles anything (its fork)."""
    loader = import_module("mmengine.runner.checkpoint").CheckpointLoader
    # As a config's custom_imports do it: once mmengine is there, gcp_mm is imported.
    importlib.reload(import_module("gcp_mm"))
    scheme = loader._schemes.get("")
    if getattr(scheme, "__module__", "").partition(".")[0] == "gcp_mm":
        return f"that of gcp_mm serves ({scheme.__module__})"
    cure = "import gcp_mm after mmengine (custom_imports in the config)"
    if stack.is_fork("mmengine"):
        return "onedl-mmengine's own, which runs what is in a file", FAIL, cure
    return "mmengine's own, which torch >= 2.6 stops", FAIL, cure


def _transformers() -> Found:
    version = stack.version_of("transformers")
    # Of a fork, the row of mmpretrain says whether it breaks.
    if release(version) < (4, 56) or stack.is_fork("mmpretrain"):
        return version or "not installed, not needed"
    cure = 'mmpretrain 1.2 cannot import it: pip uninstall transformers, or "transformers<4.56"'
    return version, WARN, cure


def _optimizer_packages() -> Found:
    found = [package for package in OPTIMIZER_PACKAGES if stack.version_of(package)]
    if not found:
        return "none that mmengine would import"
    cure = f"mmengine imports them and dies of their errors: pip uninstall {' '.join(found)}"
    return ", ".join(found), WARN, cure


def _openxlab() -> Found:
    version = stack.version_of("openxlab")
    # 0.0.11 is the last one that does not pin setuptools ~= 60.2 and a dozen others.
    if release(version) <= (0, 0, 11):
        return version or "not installed, not needed"
    cure = "it pins old setuptools, requests, rich, tqdm: pip uninstall opendatalab openxlab"
    return version, WARN, cure


def _stray_configs() -> Found:
    for package in ("mmdet", "mmpretrain"):
        spec = util.find_spec(package)
        if spec is None or not spec.origin:
            continue
        folder = Path(spec.origin).parent.parent / "configs"
        # In a source checkout the folder is the package's own.
        if folder.is_dir() and folder.parent.name in ("site-packages", "dist-packages"):
            cure = f"{package} reads it in place of its own configs: remove or rename it"
            return os.fspath(folder), WARN, cure
    return "no stray one beside the packages"


def _project() -> Found:
    package = import_module("gcp_mm")
    return f"{package.__version__} in {package.__path__[0]}"


PROBES = (
    Probe("gcp_mm", _project),
    Probe("checkpoint loader", _loader_fix),
    Probe("distributions", _distributions, blocking=False),
    Probe("transformers", _transformers, blocking=False),
    Probe("optimizer packages", _optimizer_packages, blocking=False),
    Probe("openxlab", _openxlab, blocking=False),
    Probe("configs folder", _stray_configs, blocking=False),
)
