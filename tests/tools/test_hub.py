"""Every tool that takes a checkpoint takes one of the hub, and safetensors."""

import re

import pytest
import torch
from hub_server import hub_files
from tiny_runs import only_error

from gcp_mm.checkpoints.loader import load_from_file
from gcp_mm.conversion import extract_weights
from gcp_mm.landscape.records import read_records

pytest.importorskip("safetensors")

ADDRESS = "hf://owner/net/tiny.safetensors"
__all__ = ["hub_files"]


@pytest.fixture
def weights(hub_files, trained, tmp_path):
    """Serve the trained classifier at ADDRESS; return its checkpoint and a .safetensors of it."""
    path = tmp_path / "tiny.safetensors"
    extract_weights(trained[0] / "epoch_3.pth", path)
    hub_files.files["owner/net/tiny.safetensors"] = path.read_bytes()
    return trained[0] / "epoch_3.pth", path


def accuracy(output):
    return re.findall(r"Epoch\(test\) .*accuracy/top1: ([\d.]+)", output)


def test_evaluation(call_tool, classifier, weights, tmp_path):
    found = []
    for checkpoint in (*weights, ADDRESS):
        code, output, errors = call_tool(
            "tools/test.py", classifier, checkpoint, "--work-dir", tmp_path / "work"
        )
        assert code == 0, errors
        loaded = re.search(r"loaded (\d+) of (\d+) tensors from (\S+)", output + errors)
        assert loaded[1] == loaded[2] > "100"
        assert loaded[3] == str(checkpoint)
        found += accuracy(output + errors)
    assert len(found) == 3
    assert len(set(found)) == 1


def test_training_starts_from_it(call_tool, classifier, weights, tmp_path):
    code, _, errors = call_tool(
        *("tools/train.py", classifier, "--work-dir", tmp_path / "work", "--cfg-options"),
        *("train_cfg.max_epochs=1", f"load_from={ADDRESS}", "optim_wrapper.optimizer.lr=0.0"),
    )
    assert code == 0, errors
    before = load_from_file(weights[1])["state_dict"]
    after = load_from_file(tmp_path / "work/epoch_1.pth")["state_dict"]
    for name in ("backbone.conv1.weight", "head.fc.weight"):
        assert torch.equal(after[name], before[name])


def test_training_does_not_continue_from_it(call_tool, classifier, weights, tmp_path):
    call = call_tool(
        "tools/train.py", classifier, "--work-dir", tmp_path / "work", "--resume", weights[1]
    )
    assert "holds weights, and no training to continue" in only_error(*call)


def test_conversion(call_tool, weights, tmp_path):
    code, output, errors = call_tool(
        "tools/convert_checkpoint.py", ADDRESS, tmp_path / "a.pth", "--weights-only"
    )
    assert code == 0, errors
    assert ADDRESS in output
    loaded = torch.load(tmp_path / "a.pth", weights_only=True)
    assert loaded["meta"]["weights_of"]["source"] == ADDRESS
    assert loaded["meta"]["epoch"] == 3
    expected = load_from_file(weights[0])["state_dict"]
    assert all(torch.equal(loaded["state_dict"][k], tensor) for k, tensor in expected.items())


def test_export(call_tool, classifier, weights, tmp_path):
    code, output, errors = call_tool(
        "tools/export.py", classifier, ADDRESS, tmp_path / "a.pt", "--input-size", 32
    )
    assert code == 0, errors
    assert "worst difference" in output


def test_landscape(call_tool, classifier, weights, tmp_path):
    losses = []
    for number, checkpoint in enumerate((weights[0], ADDRESS)):
        out = tmp_path / f"{number}.jsonl"
        code, _, errors = call_tool(
            *("tools/landscape.py", "probe", classifier, checkpoint, "--out", out),
            *("--etas", 0.1, 2, 3, "--batch-size", 4),
        )
        assert code == 0, errors
        losses.append(read_records(out)[1][0]["losses"])
    assert losses[0] == losses[1]


def test_absent_file_is_one_error(call_tool, classifier, weights, tmp_path):
    call = call_tool(
        *("tools/export.py", classifier, "hf://owner/net/other.pth", tmp_path / "a.pt"),
        *("--input-size", 32),
    )
    assert "owner/net has no file 'other.pth'" in only_error(*call)
