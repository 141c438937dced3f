import json

import pytest
import torch
from mmengine.config import Config
from mmpretrain.registry import MODELS
from random_weights import randomise
from tiny_runs import only_error, write_config

import gcp_mm.registry  # noqa: F401  (its models)

pytest.importorskip("curvlinops", reason="the extra gcp_mm[landscape] is not installed")

TOOL = "tools/landscape.py"
# A product with the Hessian costs by the operation: one stage, and a mean in place of the pooling
# layer, with which docs/landscape.md runs the command.
FEW_OPERATIONS = """
_base_ = '{classifier}'

model = dict(
    backbone=dict(num_stages=1, strides=[1], dilations=[1], out_indices=[0]),
    neck=dict(_delete_=True, type='GlobalAveragePooling'),
    head=dict(in_channels=16))
"""
FEW = ["--batch-size", 2, "--top", 1, "--trace-samples", 2, "--lanczos-steps", 2]


@pytest.fixture
def checkpoint_with_batch_norm(classifier, tmp_path):
    """Return a config like that of the classifier, and a checkpoint of it."""
    path = write_config(tmp_path / "batch_norm.py", FEW_OPERATIONS, classifier=classifier)
    network = MODELS.build(dict(Config.fromfile(path).model))
    torch.save(randomise(network).state_dict(), tmp_path / "epoch_1.pth")
    return path, tmp_path / "epoch_1.pth"


@pytest.mark.slow
def test_stages_are_written_and_continued(call_tool, checkpoint_with_batch_norm, tmp_path):
    config, checkpoint = checkpoint_with_batch_norm
    arguments = ["curvature", config, checkpoint, "--out", tmp_path / "curvature.json", *FEW]
    code, output, errors = call_tool(TOOL, *arguments)
    assert code == 0, errors
    path = tmp_path / "curvature.json"
    complete = json.loads(path.read_text())
    results = complete["results"]
    weights = torch.load(checkpoint)
    trained = [weights[name] for name in weights if name.endswith(("weight", "bias"))]
    assert results["parameters"] == sum(weight.numel() for weight in trained)
    assert not results["exact"] and len(results["eigenvalues"]) == 1
    assert f"trace {results['trace']:.4g}" in output and "density: done" in output
    # One batch: a product is a pass.
    assert "trace, in batches:\n[" in errors and "] 2/2, " in errors and "ETA" in errors

    del results["trace"], results["trace_standard_error"], results["density"], results["grid"]
    path.write_text(json.dumps(complete))
    code, output, errors = call_tool(TOOL, *arguments)
    assert code == 0, errors
    assert "eigenvalues: done" not in output and "trace: done\ndensity: done" in output
    assert {"trace", "density", "grid"} <= set(json.loads(path.read_text())["results"])

    message = only_error(*call_tool(TOOL, *arguments, "--trace-samples", 3))
    assert "trace_samples is 2 there and 3 here" in message


def test_layer_without_a_forward_derivative_is_named(call_tool, classifier, checkpoint, tmp_path):
    """The neck of the classifier has a group norm."""
    out = tmp_path / "curvature.json"
    code_and_text = call_tool(TOOL, "curvature", classifier, checkpoint, "--out", out, *FEW)
    message = only_error(*code_and_text)
    assert "no second derivative in forward mode" in message and "group_norm" in message
    assert not out.exists()


@pytest.mark.parametrize("command", ["curvature", "surface"])
def test_weights_that_are_no_numbers_are_one_line(
    call_tool, classifier, checkpoint, tmp_path, command
):
    content = torch.load(checkpoint)
    content["state_dict"]["head.fc.bias"][0] = torch.inf
    diverged = tmp_path / "diverged.pth"
    torch.save(content, diverged)
    message = only_error(*call_tool(TOOL, command, classifier, diverged, "--batch-size", 2))
    assert "weights are not finite (head.fc.bias)" in message and "earlier checkpoint" in message
