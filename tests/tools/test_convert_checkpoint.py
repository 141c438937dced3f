"""The conversion tool."""

import pytest
import torch
from golden_files import load_fill, recorded
from tiny_runs import Hostile, only_error

TOOL = "tools/convert_checkpoint.py"
OPTIONS = (
    *("--row", "--order", "--verify", "--to-legacy", "--keep-optimizer", "--allow-non-finite"),
    *("--force", "--dry-run"),
)


def test_help_lists_the_options(call_tool):
    _, output, _ = call_tool(TOOL, "--help")
    assert [option for option in OPTIONS if option not in output] == []


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
        f"written: {target}",
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
    ("option", "named"),
    [(["--row", "x"], "--row"), (["--verify", "x"], "--verify"), (["--dry-run"], "--dry-run")],
)
def test_options_of_the_other_direction(call_tool, tmp_path, option, named):
    code, _, errors = call_tool(TOOL, tmp_path / "a", tmp_path / "b", "--to-legacy", *option)
    assert code == 2
    assert f"--to-legacy does not go with {named}" in errors


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
