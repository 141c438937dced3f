"""Build script: metadata is in pyproject.toml; all that is not Python modules is added here.

openmim looks for configs, tools and the model index of a package in ``<package>/.mim``.
"""

import os
import runpy
import shutil
import sysconfig
import tempfile
import zipfile
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_py import build_py
from setuptools.command.editable_wheel import editable_wheel
from wheel.wheelfile import WheelFile

ROOT = Path(__file__).resolve().parent
KERNELS = Path("gcp_mm/ops/cpu_kernels")


def cpu_kernels() -> Extension:
    """Describe the C kernels of the layer, a plain shared library that is loaded with ctypes.

    Optional: where they cannot be compiled, the layer uses PyTorch's products. OpenMP is not
    linked, because torch brings its own and two of them in a process compete for the cores.
    """
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    usable = "clang" not in compiler and shutil.which(compiler)
    if "CC" not in os.environ and not usable and shutil.which("gcc"):
        # Some Pythons name a compiler that is not here; clang's OpenMP is not torch's on Linux.
        os.environ["CC"] = "gcc"
    sources = ROOT / KERNELS / "csrc"
    digest = runpy.run_path(str(ROOT / KERNELS / "digest.py"))["source_digest"](sources)
    return Extension(
        "gcp_mm.ops.cpu_kernels._kernels",
        sources=[str(KERNELS / "csrc/gram_pool.c")],
        depends=["setup.py", *(str(KERNELS / "csrc" / path.name) for path in sources.glob("*.h"))],
        define_macros=[("GCP_MM_SOURCE_DIGEST", f'"{digest}"')],
        extra_compile_args=["-std=gnu11", "-O3", "-ffp-contract=fast", "-fopenmp", "-Wno-psabi"],
        libraries=["m"],
        optional=True,
    )


def copy_mim(package: Path) -> None:
    """Copy configs, tools and the model index to ``package/.mim``."""
    for name in ("configs", "tools"):
        shutil.copytree(
            ROOT / name,
            package / ".mim" / name,
            dirs_exist_ok=True,
            ignore=shutil.ignore_patterns("__pycache__"),
        )
    shutil.copy(ROOT / "model-index.yml", package / ".mim")


def copy_finder(site: Path) -> None:
    """Put what starts with Python beside the package; ``gcp_mm/mmcv_ext/finder.py`` says why."""
    shutil.copy(ROOT / "gcp_mm/mmcv_ext/finder.py", site / "_gcp_mm_mmcv_finder.py")
    (site / "gcp_mm_mmcv_ext.pth").write_text("import _gcp_mm_mmcv_finder\n")


class BuildWithMim(build_py):
    """Add ``.mim`` and the finder of mmcv's operators to a wheel."""

    def run(self) -> None:
        """Build the package, then add both."""
        super().run()
        if not self.editable_mode:
            copy_mim(Path(self.build_lib) / "gcp_mm")
            copy_finder(Path(self.build_lib))


class EditableWheelWithMim(editable_wheel):
    """Add ``.mim`` and the finder to an editable install, which puts nothing else there.

    openmim looks for ``site-packages/gcp_mm/.mim``. Without an ``__init__.py`` beside it, Python
    goes on to the source tree when it imports ``gcp_mm``. The folder is a copy: run
    ``make install`` again after changing a config that you name without its path.
    """

    def run(self) -> None:
        """Build the editable wheel, then pack it again with both."""
        super().run()
        (wheel,) = Path(self.dist_dir).glob("*.whl")
        with tempfile.TemporaryDirectory() as folder:
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(folder)
            copy_mim(Path(folder) / "gcp_mm")
            copy_finder(Path(folder))
            wheel.unlink()
            with WheelFile(wheel, "w") as archive:
                archive.write_files(folder)


setup(
    cmdclass={"build_py": BuildWithMim, "editable_wheel": EditableWheelWithMim},
    ext_modules=[cpu_kernels()],
)
