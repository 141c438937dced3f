"""Settings of PyTorch inside and after the context.

They hold for the whole process, and an old one cannot be read any more once a newer one was used,
so every program starts afresh.
"""

import json

import pytest

PROGRAM = """
import json, torch
from torch.backends import cudnn
from gcp_mm.engine.torch_backends import reproducible_kernels

matmul = torch.backends.cuda.matmul

def state():
    def allowed(owner):
        try:
            return owner.allow_tf32
        except RuntimeError:
            return "cannot be read"

    kinds = (matmul, cudnn.conv, cudnn.rnn)
    precisions = [kind.fp32_precision for kind in kinds]
    return [cudnn.enabled, cudnn.benchmark, cudnn.deterministic, precisions,
            allowed(matmul), allowed(cudnn)]

{setting}
found = [state()]
for tf32 in (False, True):
    try:
        with reproducible_kernels(tf32):
            found.append(state())
            raise KeyError
    except KeyError:
        found.append(state())
print(json.dumps(found))
"""
SETTINGS = [
    "cudnn.benchmark, cudnn.enabled = True, False",
    "matmul.allow_tf32 = True",
    "cudnn.allow_tf32 = False",
    "cudnn.conv.fp32_precision = 'ieee'",
    "torch.backends.fp32_precision = 'tf32'",
    "torch.set_float32_matmul_precision('high')",
]


@pytest.mark.parametrize("setting", SETTINGS)
def test_every_setting_is_replaced_and_restored(run_tool, setting):
    process = run_tool("-c", PROGRAM.format(setting=setting))
    assert process.returncode == 0, process.stderr
    before, exact, after, tf32, at_last = json.loads(process.stdout)
    assert before == after == at_last
    assert exact[:4] == [before[0], False, True, ["ieee"] * 3]
    assert tf32[:4] == [before[0], False, True, ["tf32"] * 3]
