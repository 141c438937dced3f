"""Which OpenMMLab is installed, the original or its maintained forks, and how it is put back.

The forks (``onedl-*``) have the import names of the originals. A cure that named the original would
overwrite a fork, so every cure that installs something asks here.
"""

from importlib import metadata
from pathlib import Path

# By import name: the original and the fork, in the versions that the project is tested with.
DISTRIBUTIONS = {
    "mmengine": ("mmengine==0.10.7", "onedl-mmengine==0.10.12"),
    "mmcv": ("mmcv-lite==2.1.0", "onedl-mmcv==2.3.6"),
    "mmdet": ("mmdet==3.3.0", "onedl-mmdetection==3.5.1"),
    "mmpretrain": ("mmpretrain==1.2.0", "onedl-mmpretrain==1.3.6"),
    "mim": ("openmim==0.3.9", "onedl-mim==0.5.1"),
}

_INSTALLER = Path(__file__).parents[2] / "requirements" / "install.sh"


def version_of(distribution: str) -> str:
    """Return the version of an installed distribution, empty if it is not installed."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""


def installed_distributions(module: str) -> list[str]:
    """Name the distributions that are installed for an import name."""
    names = [requirement.partition("==")[0] for requirement in DISTRIBUTIONS[module]]
    if module == "mmcv":
        names.insert(0, "mmcv")
    return [name for name in names if version_of(name)]


def is_fork(module: str) -> bool:
    """Say whether a fork alone serves an import name."""
    fork = DISTRIBUTIONS[module][1].partition("==")[0]
    return installed_distributions(module) == [fork]


def on_forks() -> bool:
    """Say whether any fork is installed: then all of the stack should be forks."""
    return any(version_of(fork.partition("==")[0]) for _, fork in DISTRIBUTIONS.values())


def requirement(module: str) -> str:
    """Return what to install for an import name, as pip takes it."""
    return DISTRIBUTIONS[module][on_forks()]


def install_command() -> str:
    """Return the command that installs the stack that is here."""
    if not _INSTALLER.is_file():
        # An installed wheel has neither Makefile nor requirements.
        return f"pip install 'gcp_mm[{'onedl' if on_forks() else 'openmmlab'}]'"
    return "make install STACK=onedl" if on_forks() else "make install"


def reinstall_command() -> str:
    """Return the command that installs the stack that is here once more."""
    if not _INSTALLER.is_file():
        # Not gcp_mm itself, which a package index may not have.
        return f"pip install --force-reinstall {' '.join(map(requirement, DISTRIBUTIONS))}"
    stack = "STACK=onedl " if on_forks() else ""
    return f"{stack}bash requirements/install.sh --force"


def bare_mmcv_command() -> str:
    """Return the command that puts an mmcv without operators in the place of a compiled one."""
    if on_forks():
        return f"pip uninstall onedl-mmcv; {reinstall_command()}"
    if not _INSTALLER.is_file():
        return f"pip uninstall mmcv; pip install {requirement('mmcv')}"
    return (
        f"make install MMCV=lite (or pip uninstall mmcv; pip install {requirement('mmcv')}), "
        "or with nvcc make install MMCV=build"
    )
