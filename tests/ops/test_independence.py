"""The operators need PyTorch alone."""

import pytest

OPENMMLAB = ("mmengine", "mmcv", "mmdet", "mmpretrain")
USE = """
import sys
import torch
from gcp_mm.ops import GlobalCovariancePool, global_covariance_pool
print("triton" in sys.modules)
x = torch.tensor([[[1.0, 3.0], [2.0, 2.0]]])
for vector in (global_covariance_pool(x), GlobalCovariancePool(impl="reference")(x)):
    print([round(number, 6) for number in vector[0].tolist()])
print(sorted(name for name in sys.modules if name.split(".")[0] in {names}))
"""
# Importing one of the packages fails, as where it is not installed.
BLOCK = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {absent}:
            return None
        for finder in others:
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                return spec
others = list(sys.meta_path)
sys.meta_path[:] = [Blocker()]
"""
ABSENT = {
    "all installed": (),
    "no OpenMMLab": OPENMMLAB,
    "torch alone": (*OPENMMLAB, "wrapt", "numpy", "torchvision", "triton"),
}


@pytest.mark.parametrize("absent", ABSENT.values(), ids=ABSENT)
def test_layer_needs_torch_alone(run_tool, tmp_path, absent):
    code = (BLOCK + USE).format(names=OPENMMLAB, absent=absent)
    result = run_tool("-W", "ignore", "-c", code, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == ["False", *["[1.0, 0.0, 0.0]"] * 2, "[]"]


def test_missing_wrapt_is_named_where_it_is_needed(run_tool, tmp_path):
    pytest.importorskip("mmengine")
    result = run_tool("-c", BLOCK.format(absent=("wrapt",)) + "import gcp_mm.ops", cwd=tmp_path)
    assert "pip install wrapt" in result.stderr.splitlines()[-1]
