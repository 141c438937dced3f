"""tools/landscape.py: run, probe, surface and curvature."""

import json

import pytest
import torch
from mmengine.config import Config
from mmpretrain.registry import MODELS
from random_weights import randomise
from small_classifier import cfg, checkpoint
from tiny_runs import only_error, write_config

import gcp_mm.registry  # noqa: F401  (its models)
from gcp_mm.checkpoints.pretrained import load_model
from gcp_mm.cli.landscape import HOOK
from gcp_mm.engine import torch_backends
from gcp_mm.engine.preflight import add_missing_hooks
from gcp_mm.errors import UserError
from gcp_mm.landscape.loss import fixed_batches
from gcp_mm.landscape.records import read_records

TOOL = "tools/landscape.py"
__all__ = ["cfg", "checkpoint"]

SMALL = ("--etas", 0.1, 2, 3, "--batch-size", 4)


@pytest.mark.parametrize(
    ("hooks", "expected"),
    [
        ([], [HOOK]),
        ([dict(type="A")], [dict(type="A"), HOOK]),
        ([dict(HOOK, interval=9)], [dict(HOOK, interval=9)]),
    ],
)
def test_hook_is_added_where_it_is_missing(hooks, expected):
    cfg = Config(dict(custom_hooks=hooks))
    add_missing_hooks(cfg, [HOOK])
    assert cfg.custom_hooks == expected


@pytest.mark.slow
def test_run_trains_and_probes_with_the_published_steps(call_tool, classifier, tmp_path):
    code, _, errors = call_tool(
        *(TOOL, "run", classifier, "--work-dir", tmp_path),
        *("--cfg-options", "train_cfg.max_epochs=1", "train_cfg.val_interval=9"),
    )
    assert code == 0, errors
    header, (record,) = read_records(tmp_path / "landscape.jsonl")
    assert header["settings"]["interval"] == 500 and record["step"] == 0
    assert (record["etas"][0], record["etas"][-1], len(record["etas"])) == (0.1, 75, 50)
    assert (tmp_path / "epoch_1.pth").exists()


def test_probe_measures_each_checkpoint(call_tool, classifier, trained, tmp_path):
    files = [trained[0] / f"epoch_{epoch}.pth" for epoch in (1, 3)]
    out = tmp_path / "probe.jsonl"
    command = (TOOL, "probe", classifier, *files, "--out", out, *SMALL)
    code, output, errors = call_tool(*command)
    assert code == 0, errors
    header, records = read_records(out)
    assert [(r["checkpoint"], r["step"]) for r in records] == [
        ("epoch_1.pth", 4),
        ("epoch_3.pth", 12),
    ]
    assert header["settings"]["etas"] == [0.1, 1.05, 2]
    assert f"results: {out}\nnext: python tools/landscape.py plot {out} --out " in output
    assert f"epoch_3.pth, batch 0: loss {records[1]['loss']:.4f}" in output
    assert "ETA" in errors
    before = out.read_bytes()
    assert call_tool(*command)[0] == 0
    assert out.read_bytes() == before


@pytest.mark.parametrize("command", ["probe", "surface", "curvature"])
def test_the_network_goes_to_the_gpu_that_is_found(
    call_tool, classifier, trained, tmp_path, monkeypatch, command
):
    asked = []

    def move(network, device):
        raise UserError(f"moved to {device}")

    # Another device than the default of the functions, that every machine has.
    found = torch.device("cpu", 0)
    monkeypatch.setattr(torch_backends, "find_device", lambda name: asked.append(name) or found)
    monkeypatch.setattr(torch.nn.Module, "to", move)
    words = (TOOL, command, classifier, trained[0] / "epoch_3.pth", "--batch-size", 4)
    error = only_error(*call_tool(*words, "--out", tmp_path / "out.json"))
    assert "moved to cpu:0" in error and asked == [None]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--at", "backbone.layre2"], "backbone.layer2"),
        (["--device", "gpu"], "--device gpu"),
        (["--launcher", "pytorch"], "--launcher pytorch"),
        (["--etas", "1", "2", "0"], "at least one"),
        (["--etas", "1", "2", "2.5"], "2.5, not a whole number"),
        (["--etas", "1", "2", "nan"], "nan, not a whole number"),
    ],
)
def test_mistake_of_a_probe_is_named(call_tool, classifier, trained, tmp_path, arguments, named):
    out = tmp_path / "probe.jsonl"
    command = (TOOL, "probe", classifier, trained[0] / "epoch_3.pth", "--out", out)
    assert named in only_error(*call_tool(*command, *SMALL, *arguments))
    assert not out.exists()


@pytest.fixture
def surface(classifier, checkpoint, tmp_path):
    """Return a command for nine points; the images are five of 16."""
    out = ["--out", tmp_path / "surface.json"]
    images = ["--batch-size", 5, "--split", "train"]
    grid = ["--points", 3, "--dimensions", 2, "--range", -0.5, 0.5]
    return ["surface", classifier, checkpoint, *out, *images, *grid]


@pytest.mark.slow
def test_surface_is_continued_and_only_for_the_same_measurement(
    call_tool, surface, cfg, checkpoint, tmp_path
):
    code, output, errors = call_tool(TOOL, *surface)
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
    code, output, errors = call_tool(TOOL, *surface)
    assert code == 0 and "4 of 9 points are there" in output, errors
    assert json.loads(path.read_text()) == complete

    # Complete: nothing is evaluated or written.
    before = path.stat().st_mtime_ns
    code, output, errors = call_tool(TOOL, *surface)
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
        changed = [*surface, *change] if isinstance(change, list) else [*surface]
        if not isinstance(change, list):
            changed[2] = change
        assert message in only_error(*call_tool(TOOL, *changed))
    assert json.loads(path.read_text()) == complete


def test_mistake_of_a_surface_is_named(call_tool, surface, tmp_path):
    for change, message in (
        (["--range", 1, -1], "range 1.0 to -1.0"),
        (["--batch-size", 17], "17 images are 17, and train has 16"),
        (["--device", "cuda:77"], "--device cuda:77"),
        (["--launcher", "pytorch"], "leave out --launcher pytorch"),
        (["--cfg-options", "model.head.num_classes=4"], "epoch_1.pth' does not belong"),
    ):
        assert message in only_error(*call_tool(TOOL, *surface, *change))
    surface[2] = tmp_path / "absent.pth"
    assert "absent.pth' does not exist" in only_error(*call_tool(TOOL, *surface))
    assert not list(tmp_path.iterdir())


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


@pytest.fixture(scope="module")
def curvlinops():
    pytest.importorskip("curvlinops", reason="the extra gcp_mm[landscape] is not installed")


@pytest.fixture
def checkpoint_with_batch_norm(curvlinops, classifier, tmp_path):
    """Return a config like that of the classifier, and a checkpoint of it."""
    path = write_config(tmp_path / "batch_norm.py", FEW_OPERATIONS, classifier=classifier)
    network = MODELS.build(dict(Config.fromfile(path).model))
    torch.save(randomise(network).state_dict(), tmp_path / "epoch_1.pth")
    return path, tmp_path / "epoch_1.pth"


@pytest.mark.slow
def test_stages_of_curvature_are_written_and_continued(
    call_tool, checkpoint_with_batch_norm, tmp_path
):
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


def test_layer_without_a_forward_derivative_is_named(
    curvlinops, call_tool, classifier, checkpoint, tmp_path
):
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
