"""The conversion tool."""

import pytest
import torch
from golden_files import load_fill, recorded
from tiny_runs import Hostile, only_error

TOOL = "tools/convert_checkpoint.py"
OPTIONS = (
    *("--row", "--order", "--verify", "--to-legacy", "--keep-optimizer", "--allow-non-finite"),
    *("--force", "--dry-run", "--weights-only"),
)


def test_help_lists_the_options(call_tool):
    _, output, _ = call_tool(TOOL, "--help")
    assert [option for option in OPTIONS if option not in output] == []


@pytest.mark.slow
def test_published_file_there_and_back(call_tool, shared, tmp_path):
    source, target, back = (tmp_path / name for name in ("a.pth.tar", "b.pth", "c.pth.tar"))
    checkpoint = load_fill(shared).legacy_checkpoint(
        recorded(shared, "shufflenet_v2_x1_0", ".json")
    )
    torch.save(checkpoint, source, _use_new_zipfile_serialization=False)
    photo = next((shared / "data/imagenette224/val").rglob("*.*"))

    code, output, errors = call_tool(
        *(TOOL, source, target, "--row", "shufflenetv2_gap_lrnorm", "--keep-optimizer"),
        *("--verify", photo),
    )
    assert code == 0, errors
    for part in (
        "recognised: shufflenet_v2_x1_0 with average pooling, 1000 classes",
        "row: shufflenetv2_gap_lrnorm",
        "mapped: 338 tensors",
        "kept: epoch, arch, best_acc1, optimizer",
        f"verified: {photo}: before class ",
        f"results: {target}\nnext: python tools/test.py configs/imagenet/shufflenetv2_gap_lrno",
    ):
        assert part in output

    code, output, errors = call_tool(TOOL, target, back, "--to-legacy")
    assert code == 0, errors
    restored = torch.load(back, weights_only=True)
    assert list(restored) == list(checkpoint)
    for name in ("epoch", "arch", "best_acc1"):
        assert restored[name] == checkpoint[name]
    momenta, expected = (
        {key: state["momentum_buffer"] for key, state in content["optimizer"]["state"].items()}
        for content in (restored, checkpoint)
    )
    for found, wanted in (
        (restored["state_dict"], checkpoint["state_dict"]),
        (momenta, expected),
    ):
        assert list(found) == list(wanted)
        assert [key for key in wanted if not torch.equal(found[key], wanted[key])] == []
    assert restored["optimizer"]["param_groups"] == checkpoint["optimizer"]["param_groups"]


@pytest.mark.parametrize(
    ("direction", "option", "named"),
    [
        ("--to-legacy", ["--row", "x"], "--row"),
        ("--to-legacy", ["--verify", "x"], "--verify"),
        ("--to-legacy", ["--dry-run"], "--dry-run"),
        ("--weights-only", ["--row", "x"], "--row"),
        ("--weights-only", ["--keep-optimizer"], "--keep-optimizer"),
    ],
)
def test_options_of_the_other_direction(call_tool, tmp_path, direction, option, named):
    code, _, errors = call_tool(TOOL, tmp_path / "a", tmp_path / "b", direction, *option)
    assert code == 2
    assert f"{direction} does not go with {named}" in errors


def test_real_weights_change_their_format_and_back(call_tool, shared, tmp_path):
    pytest.importorskip("safetensors")
    source = shared / "data/weights/mobilenet_v2_dogs19.pth"
    paths = [source, tmp_path / "a.safetensors", tmp_path / "b.pth"]
    for old, new in zip(paths, paths[1:], strict=False):
        code, output, errors = call_tool(TOOL, old, new, "--weights-only")
        assert code == 0, errors
        assert "weights: 260 tensors" in output
    expected, found = (torch.load(path, weights_only=True) for path in (source, paths[2]))
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


@pytest.mark.slow
def test_real_weights_without_a_classifier_start_a_fine_tuning(call_tool, shared, repo, tmp_path):
    from mmengine.config import Config
    from mmpretrain.registry import MODELS

    from gcp_mm.checkpoints.coverage import compare

    source, target = shared / "data/weights/mobilenet_v2_dogs19.pth", tmp_path / "a.pth"
    photo = next((shared / "data/imagenette224/val").rglob("*.*"))
    code, output, errors = call_tool(TOOL, source, target, "--verify", photo)
    assert code == 0, errors
    for part in (
        "recognised: mobilenet_v2 with average pooling, no classifier",
        "mapped: 260 tensors",
        f"verified: {photo}: 1280 pooled features, largest relative difference ",
        f"next: python tools/train.py CONFIG --cfg-options load_from={target}",
    ):
        assert part in output
    found = torch.load(target, weights_only=True)["state_dict"]
    for pooling in ("gap", "gcp"):
        path = repo / f"configs/imagenette/mobilenetv2_{pooling}_finetune_imagenette.py"
        model = Config.fromfile(path).model
        backbone = MODELS.build(model.backbone).state_dict()
        coverage = compare({f"backbone.{name}": t for name, t in backbone.items()}, found)
        assert coverage.differences == 0 and coverage.total == 260


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (lambda marker: {"w": Hostile(marker)}, [], "nothing in it was executed"),
        (lambda marker: {"w": torch.ones(1)}, [], "the network is not recognised"),
        (lambda marker: {"w": torch.ones(1)}, ["--to-legacy"], "not written by this converter"),
    ],
)
def test_refused_file_is_one_error_and_writes_nothing(
    call_tool, tmp_path, content, options, message
):
    torch.save(content(tmp_path / "marker"), tmp_path / "a.pth")
    call = call_tool(TOOL, tmp_path / "a.pth", tmp_path / "b.pth", *options)
    assert message in only_error(*call)
    assert [path.name for path in tmp_path.iterdir()] == ["a.pth"]
