"""The text of modules that stand in for the stack, the original one and the forks."""

import os
from pathlib import Path

import gcp_mm

TORCH = """
__version__ = "2.13.0+cu130"
class Tensor:
    def __init__(self, device="cpu"):
        self.device = device
    def to(self, device):
        return Tensor(device)
    def sum(self):
        return self
    def backward(self):
        pass
    def item(self):
        return 4.0
    @property
    def grad(self):
        return self
def tensor(data, device="cpu"):
    return Tensor(device)
def full(shape, value, device="cpu", requires_grad=False):
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
    device_count = staticmethod(lambda: 2)
    get_device_name = staticmethod(lambda index: f"GPU number {index}")
"""
OPS = """
class Kept(list):
    tolist = list.copy
def nms(boxes, scores, threshold):
    if boxes.device == "absent":
        raise RuntimeError("nms_impl: implementation for device cuda:1 not found.\\n")
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
# The package under test, with a loader fix that needs no real mmengine, C kernels that need no
# real torch, the finder of mmcv's operators as an installation starts it, and no GPU driver.
PROJECT = f"""
import sys
import types
kernels = sys.modules["gcp_mm.ops.cpu_kernels.kernels"] = types.ModuleType("library")
kernels.load_library = lambda: object()
__version__ = "0.1.0"
__path__ = [{os.fspath(Path(gcp_mm.__file__).parent)!r}]
from gcp_mm.mmcv_ext import finder
sys.modules["_gcp_mm_mmcv_finder"] = finder
from gcp_mm.engine import torch_backends
torch_backends.has_driver = lambda: False
torch_backends.driver_cuda_version = lambda: "12.4"
def load_from_local(): pass
if "mmengine" in sys.modules:
    sys.modules["mmengine.runner.checkpoint"].CheckpointLoader._schemes[""] = load_from_local
"""
# What the finder serves, and what a build of mmcv would have put in its place.
COMPILED = """
sys.modules["mmcv._ext"] = compiled = types.ModuleType("_ext")
from importlib.machinery import ExtensionFileLoader, ModuleSpec
compiled.__spec__ = ModuleSpec("mmcv._ext", ExtensionFileLoader("mmcv._ext", "_ext.so"))
compiled.get_compiling_cuda_version = lambda: "not available"
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
    "mmengine/utils/package_utils.py": "    from pkg_resources import get_distribution",
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
    "gcp_mm/mmcv_ext/operators.py": "",
}


def distribution(name: str, version: str) -> tuple[str, str]:
    """Return the file that makes a distribution look installed, and its text."""
    file = f"{name.replace('-', '_')}-{version}.dist-info/METADATA"
    return file, f"Name: {name}\nVersion: {version}\n"


# What differs on the maintained forks; None: it is not there.
FORKS = {
    "setuptools.py": None,
    "pkg_resources.py": None,
    "mmengine/utils/package_utils.py": "from importlib import metadata",
    "mmengine/__init__.py": '__version__ = "0.10.12"',
    "mmcv/__init__.py": '__version__ = "2.3.6"',
    "mmpretrain/__init__.py": '__version__ = "1.3.6"',
    "mmdet/__init__.py": '__version__ = "3.5.1"',
    "mim/version.py": '__version__ = "0.5.1"',
    "click-8.1.8.dist-info/METADATA": None,
    **dict(
        [
            distribution("click", "8.5.1"),
            distribution("onedl-mmengine", "0.10.12"),
            distribution("onedl-mmcv", "2.3.6"),
            distribution("onedl-mmdetection", "3.5.1"),
            distribution("onedl-mmpretrain", "1.3.6"),
            distribution("onedl-mim", "0.5.1"),
        ]
    ),
}
