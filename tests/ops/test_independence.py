"""The operators need PyTorch, and wrapt, which is one file; no OpenMMLab package."""

import pytest

OPENMMLAB = ("mmengine", "mmcv", "mmdet", "mmpretrain")
USE = """
import sys
import torch
from gcp_mm.ops import GlobalCovariancePool, global_covariance_pool
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
        if name.split(".")[0] in {names}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Blocker())
"""


@pytest.mark.parametrize("prelude", ["", BLOCK], ids=["installed", "not installed"])
def test_no_openmmlab_package_is_imported(run_tool, tmp_path, prelude):
    result = run_tool("-c", (prelude + USE).format(names=OPENMMLAB), cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == ["[1.0, 0.0, 0.0]"] * 2 + ["[]"]
