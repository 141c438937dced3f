"""A network measured as a baseline is exactly 100 of itself."""

import json

import pytest
from tiny_runs import only_error

from .conftest import SIZE

MEANS = {"imagenet-c": ("mCE", "relative_mCE"), "imagenet-p": ("mFR", "mT5D")}


@pytest.mark.parametrize("dataset", MEANS)
def test_network_is_100_of_itself(request, call_tool, config, checkpoint, tmp_path, dataset):
    tree = request.getfixturevalue(f"tree_{dataset[-1]}")
    options = ("--dataset", dataset, "--data-root", tree, "--input-size", SIZE, "--workers", 0)
    if dataset == "imagenet-c":
        # No error of 90 images is this number, so that every corruption raises the error.
        options += ("--clean-error", 0.01)
    baseline, tool = tmp_path / "baseline.json", "tools/test_robustness.py"
    measured = tmp_path / "baseline_result.json"
    code, output, errors = call_tool(
        tool, "baseline", config, checkpoint, *options, "--out", baseline, "--name", "mine"
    )
    assert code == 0, errors
    assert f"--baseline {baseline}" in output
    # The finished cells serve again, relative to another baseline.
    command = (tool, config, checkpoint, *options, "--out", measured, "--baseline", baseline)
    code, output, errors = call_tool(*command)
    assert code == 0, errors
    metrics = json.loads(measured.read_text())["metrics"]
    assert [metrics[mean] for mean in MEANS[dataset]] == [100.0, 100.0]
    assert all(f"{mean.replace('_', ' ')} 100.00" in output for mean in MEANS[dataset])
    # A finished result is written as a baseline without measuring.
    again = tmp_path / "again.json"
    assert call_tool(tool, "baseline", measured, "--out", again)[0] == 0
    one, other = (json.loads(path.read_text()) for path in (baseline, again))
    for content in (one, other):
        del content["source"], content["name"]
    assert one == other


def test_unfinished_result_is_no_baseline(call_tool, config, checkpoint, tree_c, tmp_path):
    code, _, errors = call_tool(
        *("tools/test_robustness.py", "baseline", config, checkpoint, "--dataset", "imagenet-c"),
        *("--data-root", tree_c, "--input-size", SIZE, "--workers", 0, "--corruptions", "blur"),
        *("--out", tmp_path / "baseline.json"),
    )
    assert code == 2 and "not measured: gaussian_noise" in errors
    assert not (tmp_path / "baseline.json").exists()


def test_checkpoint_is_required(call_tool, config, tmp_path):
    command = ("tools/test_robustness.py", "baseline", config, "--out", tmp_path / "baseline.json")
    assert "needs CONFIG and CHECKPOINT" in only_error(*call_tool(*command))
