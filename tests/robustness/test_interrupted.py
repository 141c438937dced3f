"""A run that is killed and started again ends with the same file."""

import json
import subprocess
import time

import numpy as np
import pytest

from robustness.conftest import SIZE

# However late it is killed, it is not done by then.
HELD_UP = """
import runpy, sys, time
del sys.argv[0]
saved = []
def hold_up(event, arguments):
    if event == "os.rename" and str(arguments[1]) == sys.argv[-1]:
        saved.append(event)
        if len(saved) > 6:
            time.sleep(600)
sys.addaudithook(hold_up)
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def contents(path) -> dict:
    """Read a result file, without the times."""
    content = json.loads(path.read_text())
    for cell in content["cells"].values():
        assert cell.pop("seconds") >= 0
    return content


@pytest.mark.parametrize("dataset", ["imagenet-c", "imagenet-p"])
def test_killed_run_continues(request, call_tool, warm_env, config, checkpoint, tmp_path, dataset):
    tree = request.getfixturevalue(f"tree_{dataset[-1]}")
    out, straight = tmp_path / "killed.json", tmp_path / "straight.json"
    command = (
        *("tools/test_robustness.py", config, checkpoint, "--dataset", dataset),
        *("--data-root", tree, "--input-size", SIZE, "--batch-size", 9, "--workers", 1),
        *("--corruptions", "noise" if dataset == "imagenet-c" else "benchmark"),
    )
    process = subprocess.Popen(
        [warm_env["PYTHON"], "-c", HELD_UP, *map(str, command), "--out", out],
        env=warm_env,
        cwd=request.getfixturevalue("repo"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    deadline = time.monotonic() + 120
    while not out.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.communicate()  # which waits for all that could write into the pipe
    unfinished = contents(out)
    number = 15 if dataset == "imagenet-c" else 10
    assert 0 < len(unfinished["cells"]) < number
    before = json.loads(out.read_text())["cells"]
    for target in (out, straight):
        code, _, errors = call_tool(*command, "--out", target)
        assert code == 0, errors
    assert contents(out) == contents(straight)
    assert len(contents(out)["cells"]) == number
    after = json.loads(out.read_text())["cells"]
    assert {cell: after[cell] for cell in before} == before
    kept = sorted(path.name for path in tmp_path.glob("killed_top5/*.npz"))
    assert len(kept) == (10 if dataset == "imagenet-p" else 0)
    for name in kept:
        one, other = (np.load(tmp_path / f"{run}_top5" / name) for run in ("killed", "straight"))
        assert all(np.array_equal(one[key], other[key]) for key in one.files)
