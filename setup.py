"""Build script: metadata is in pyproject.toml; all that is not Python modules is added here.

openmim looks for configs, tools and the model index of a package in ``<package>/.mim``.
"""

import os
import platform
import re
import runpy
import shutil
import sysconfig
import tempfile
import zipfile
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py
from setuptools.command.editable_wheel import editable_wheel
from wheel.wheelfile import WheelFile

ROOT = Path(__file__).resolve().parent
KERNELS = Path("gcp_mm/ops/cpu_kernels")
# Loaded with ctypes, so its name has no tag of a Python (library_path() looks for it).
LIBRARY = KERNELS / "_kernels.so"
DIGESTS = runpy.run_path(str(ROOT / KERNELS / "digest.py"))
# manylinux_2_28: what torch's own wheels need.
OLDEST_GLIBC = (2, 28)


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
    digest = DIGESTS["source_digest"](sources)
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


class BuildKernels(build_ext):
    """Compile the kernels under a name that every Python can use."""

    def get_ext_filename(self, fullname: str) -> str:
        """Return the path that belongs to a name with or without its packages."""
        return str(Path(*fullname.split(".")).with_suffix(LIBRARY.suffix))

    def build_extension(self, ext: Extension) -> None:
        """Compile and seal, and leave no library of an earlier build where that fails."""
        library = Path(self.get_ext_fullpath(ext.name))
        if library.exists() and not DIGESTS["is_whole"](library):
            library.unlink()
        try:
            super().build_extension(ext)
            DIGESTS["seal"](library)
        except Exception:
            library.unlink(missing_ok=True)
            raise


def platform_of(library: Path) -> str:
    """Return the platform tag of a wheel with a compiled library.

    It is ``manylinux_2_28`` where the library needs nothing but a C library of that age, which its
    strings tell: the versions of the symbols that it uses, and the libraries that it is linked to.
    """
    machine = platform.machine()
    content = library.read_bytes()
    versions = re.findall(rb"\0GLIBC_(\d+)\.(\d+)[.\d]*(?=\0)", content)
    linked = set(re.findall(rb"\0(lib[\w+-]+\.so[.\d]*)(?=\0)", content))
    newest = max((tuple(map(int, version)) for version in versions), default=None)
    # pip installs no wheel for a newer C library than that of the machine.
    here = tuple(int(part) for part in platform.libc_ver()[1].split(".")[:2] if part.isdigit())
    if (
        machine in ("x86_64", "aarch64")
        and newest is not None
        and newest <= OLDEST_GLIBC <= here
        and linked <= {b"libc.so.6", b"libm.so.6"}
    ):
        return f"manylinux_{OLDEST_GLIBC[0]}_{OLDEST_GLIBC[1]}_{machine}"
    return re.sub(r"[-. ]", "_", sysconfig.get_platform())


class WheelOfItsContents(bdist_wheel):
    """Name a wheel after what is in it: kernels for a platform, or Python alone."""

    def run(self) -> None:
        """Compile first, because whether there are kernels decides how the wheel is laid out."""
        if not self.skip_build:
            self.run_command("build")
        if not self._library().exists():
            self.root_is_pure = True
            # This is what the install command, which lays the wheel out, decides by.
            self.distribution.ext_modules = []
        super().run()

    def _library(self) -> Path:
        return Path(self.get_finalized_command("build").build_lib) / LIBRARY

    def get_tag(self) -> tuple[str, str, str]:
        """Return the tags of Python, ABI and platform."""
        library = self._library()
        if not library.exists():
            return "py3", "none", "any"
        return "py3", "none", self.plat_name if self.plat_name_supplied else platform_of(library)


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
    cmdclass={
        "bdist_wheel": WheelOfItsContents,
        "build_ext": BuildKernels,
        "build_py": BuildWithMim,
        "editable_wheel": EditableWheelWithMim,
    },
    ext_modules=[cpu_kernels()],
)
