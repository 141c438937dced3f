"""A stack of stubs for the self-check to look at."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import gcp_mm

TORCH = """
__version__ = "2.13.0+cu130"
class Tensor:
    def __init__(self, device="cpu"):
        self.device = device
    def to(self, device):
        return Tensor(device)
def tensor(data, device="cpu"):
    return Tensor(device)
def full(shape, value, device="cpu"):
    return Tensor(device)
def full_like(other, value):
    return other
def allclose(first, second):
    return True
def get_num_threads():
    return 2
class version:
    cuda = "13.0"
class cuda:
    is_available = staticmethod(lambda: False)
    device_count = staticmethod(lambda: 1)
    get_device_name = staticmethod(lambda index: "Some GPU")
"""
OPS = """
class Kept(list):
    tolist = list.copy
def nms(boxes, scores, threshold):
    if boxes.device != "cpu":
        raise RuntimeError("nms_impl: implementation for device cuda:0 not found.\\n")
    return None, Kept([0, 2])
def RoIAlign(output_size):
    return lambda features, regions: features
"""
MMDET = """
import mmcv
__version__ = "3.3.0"
assert mmcv.__version__ < "2.2.0", \\
    f"MMCV=={mmcv.__version__} is used but incompatible. Please install mmcv>=2.0.0rc4, <2.2.0."
"""
CHECKPOINT = """
class CheckpointLoader:
    _schemes = {"": max}
"""
# The package under test, with a loader fix that needs no real mmengine and C kernels that need no
# real torch.
PROJECT = f"""
import sys
import types
kernels = sys.modules["gcp_mm.ops.cpu_kernels.library"] = types.ModuleType("library")
kernels.load_library = lambda: object()
__version__ = "0.1.0"
__path__ = [{os.fspath(Path(gcp_mm.__file__).parent)!r}]
def load_from_local(): pass
if "mmengine" in sys.modules:
    sys.modules["mmengine.runner.checkpoint"].CheckpointLoader._schemes[""] = load_from_local
"""
STACK = {
    "torch.py": TORCH,
    "torchvision.py": '__version__ = "0.28.0+cu130"',
    "numpy.py": '__version__ = "2.4.6"',
    "setuptools.py": '__version__ = "80.10.2"',
    "pkg_resources.py": "",
    "cv2.py": '__version__ = "5.0.0"',
    "mmengine/__init__.py": '__version__ = "0.10.7"',
    "mmengine/runner/__init__.py": "",
    "mmengine/runner/checkpoint.py": CHECKPOINT,
    "mmcv/__init__.py": '__version__ = "2.1.0"',
    "mmcv/ops.py": OPS,
    "mmpretrain/__init__.py": '__version__ = "1.2.0"',
    "mmpretrain/models.py": "",
    "mmdet/__init__.py": MMDET,
    "mmdet/models.py": "",
    "pycocotools/mask.py": "",
    "pycocotools-2.0.11.dist-info/METADATA": "Name: pycocotools\nVersion: 2.0.11\n",
    "mim/version.py": '__version__ = "0.3.9"',
    "click-8.1.8.dist-info/METADATA": "Name: click\nVersion: 8.1.8\n",
    "gcp_mm/__init__.py": PROJECT,
}


@dataclass
class Report:
    """What the command answered."""

    exit_status: int
    table: str
    errors: str

    def row(self, name: str) -> tuple[str, str]:
        """Return status and text of a row, with the cure below it."""
        lines = self.table.splitlines()
        for line, following in zip(lines, [*lines[1:], ""], strict=True):
            status, _, rest = line.partition(" ")
            if rest.strip().startswith(name + "  "):
                return status, rest + (following if following.lstrip().startswith("->") else "")
        raise AssertionError(f"no row {name!r} in:\n{self.table}")


class Doctor:
    """A folder of stubs and the command that examines it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name, text in STACK.items():
            self.write(name, text)

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def run(self, *arguments: str, **environment: str) -> Report:
        """Run the command, with ``-S``: it sees the stubs and the standard library only."""
        result = subprocess.run(
            [sys.executable, "-S", "-m", "gcp_mm.doctor", *arguments],
            cwd=self.folder,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(self.folder), **environment},
            capture_output=True,
            text=True,
            timeout=60,
        )
        return Report(result.returncode, result.stdout, result.stderr)

    def edit(self, name: str, old: str, new: str) -> None:
        """Change a stub; without ``old``, replace its text."""
        assert old in STACK.get(name, "")
        self.write(name, STACK[name].replace(old, new) if old else new)


@pytest.fixture
def doctor(tmp_path):
    return Doctor(tmp_path / "site-packages")
