import json

import pytest
import torch
from tiny_runs import only_error

from gcp_mm.checkpoints.pretrained import load_model
from gcp_mm.landscape.loss import fixed_batches

TOOL = "tools/landscape.py"


@pytest.fixture
def arguments(classifier, checkpoint, tmp_path):
    """Return a command for nine points; the images are five of 16."""
    out = ["--out", tmp_path / "surface.json"]
    images = ["--batch-size", 5, "--split", "train"]
    grid = ["--points", 3, "--dimensions", 2, "--range", -0.5, 0.5]
    return ["surface", classifier, checkpoint, *out, *images, *grid]


@pytest.mark.slow
def test_file_is_continued_and_only_for_the_same_measurement(
    call_tool, arguments, cfg, checkpoint, tmp_path
):
    code, output, errors = call_tool(TOOL, *arguments)
    assert code == 0, errors
    assert "0 of 9 points are there" in output and "ETA" in errors
    path = tmp_path / "surface.json"
    complete = json.loads(path.read_text())
    results = complete["results"]
    assert results["alphas"] == results["betas"] == [-0.5, 0, 0.5]
    # The batch norms of this classifier that train are none: group norm in the neck, and the
    # statistics of the batch in the backbone.
    network = load_model(cfg, checkpoint)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.training, module.track_running_stats = True, False
    ((images, classes),) = fixed_batches(cfg, 1, 5)
    expected = torch.nn.functional.cross_entropy(network(images).double(), classes).item()
    assert results["loss"] == results["losses"][1][1] == pytest.approx(expected, rel=1e-5)
    assert f"loss {results['loss']:.4f} at the checkpoint" in output

    # A run that was killed after four points.
    partial = json.loads(path.read_text())
    partial["results"]["losses"][1][1:] = [None, None]
    partial["results"]["losses"][2] = [None] * 3
    path.write_text(json.dumps(partial))
    code, output, errors = call_tool(TOOL, *arguments)
    assert code == 0 and "4 of 9 points are there" in output, errors
    assert json.loads(path.read_text()) == complete

    # Complete: nothing is evaluated or written.
    before = path.stat().st_mtime_ns
    code, output, errors = call_tool(TOOL, *arguments)
    assert code == 0 and "9 of 9 points are there" in output, errors
    assert path.stat().st_mtime_ns == before

    other = tmp_path / "other.pth"
    weights = torch.load(checkpoint)["state_dict"]
    weights["head.fc.bias"] += 1
    torch.save(weights, other)
    for change, message in (
        (["--seed", 1], "seed is 0 there and 1 here"),
        (["--range", -1, 1], "range is [-0.5, 0.5] there and [-1.0, 1.0] here"),
        (["--batch-norm", "eval"], "batch_norm is 'batch' there and 'eval' here"),
        (["--data-seed", 3], "data_seed is 0 there and 3 here"),
        (["--cfg-options", "model.head.topk=(1,2)"], "model is "),
        (other, "checkpoint is "),
    ):
        changed = [*arguments, *change] if isinstance(change, list) else [*arguments]
        if not isinstance(change, list):
            changed[2] = change
        assert message in only_error(*call_tool(TOOL, *changed))
    assert json.loads(path.read_text()) == complete


def test_mistakes_are_named(call_tool, arguments, tmp_path):
    for change, message in (
        (["--range", 1, -1], "range 1.0 to -1.0"),
        (["--batch-size", 17], "17 images are 17, and train has 16"),
        (["--device", "cuda:77"], "--device cuda:77"),
        (["--launcher", "pytorch"], "leave out --launcher pytorch"),
        (["--cfg-options", "model.head.num_classes=4"], "epoch_1.pth' does not belong"),
    ):
        assert message in only_error(*call_tool(TOOL, *arguments, *change))
    arguments[2] = tmp_path / "absent.pth"
    assert "absent.pth' does not exist" in only_error(*call_tool(TOOL, *arguments))
    assert not list(tmp_path.iterdir())
