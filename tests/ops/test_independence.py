"""The operators need PyTorch alone."""

import pytest

OPENMMLAB = ("mmengine", "mmcv", "mmdet", "mmpretrain")
# Importing one of the packages fails, as where it is not installed.
BLOCK = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in absent:
            return None
        for finder in others:
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                return spec
others = list(sys.meta_path)
sys.meta_path[:] = [Blocker()]
"""
USE = f"""
import torch
for name in [name for name in sys.modules if name.split(".")[0] == "triton"]:
    del sys.modules[name]  # it can be there before, and cannot be imported twice
from gcp_mm.ops import GlobalCovariancePool, global_covariance_pool
print("triton" in sys.modules)
x = torch.tensor([[[1.0, 3.0], [2.0, 2.0]]])
for vector in (global_covariance_pool(x), GlobalCovariancePool(impl="reference")(x)):
    print([round(number, 6) for number in vector[0].tolist()])
print(sorted(name for name in sys.modules if name.split(".")[0] in {OPENMMLAB}))
"""
ABSENT = {
    "all installed": (),
    "no OpenMMLab": OPENMMLAB,
    "torch alone": (*OPENMMLAB, "wrapt", "numpy", "torchvision", "triton"),
}


@pytest.mark.parametrize("absent", ABSENT.values(), ids=ABSENT)
def test_layer_needs_torch_alone(run_tool, run_warm, tmp_path, absent):
    # Where libraries are imported already, only OpenMMLab's can be absent, and Triton is there.
    run, options = (run_warm, ()) if absent == OPENMMLAB else (run_tool, ("-W", "ignore"))
    result = run(*options, "-c", f"{absent = }" + BLOCK + USE, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == ["False", *["[1.0, 0.0, 0.0]"] * 2, "[]"]


def test_missing_wrapt_is_named_where_it_is_needed(run_tool, tmp_path):
    pytest.importorskip("mmengine")
    result = run_tool("-c", "absent = ['wrapt']" + BLOCK + "import gcp_mm.ops", cwd=tmp_path)
    assert "pip install wrapt" in result.stderr.splitlines()[-1]
