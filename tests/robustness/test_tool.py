"""tools/test_robustness.py: what it prints, and how it answers wrong options."""

import hashlib
import json
import shutil

import pytest
import torch
from hub_server import hub_files
from tiny_runs import only_error

from gcp_mm.conversion.convert_file import write_checkpoint
from gcp_mm.robustness.evaluation import evaluate, result
from robustness.conftest import CLASSES, SIZE

TOOL = "tools/test_robustness.py"
__all__ = ["hub_files"]


def test_report_of_a_run(tool, part_c, tmp_path):
    code, output, errors = tool("imagenet-c", part_c)
    assert code == 0, errors
    cell = json.loads((tmp_path / "out.json").read_text())["cells"]["snow/5"]
    assert f"snow/5: error {1 - cell['correct'] / 18:.2%} of 18 images" in output
    assert "small, 10 cells measured" in output
    assert "no mCE: " in output and "\nmCE " not in output
    assert "not comparable with published numbers: 6 classes, not 1000" in output
    assert "images:" not in output
    assert "ETA" in errors and "180/180" in errors


def test_finished_run_measures_nothing(tool, part_c, tmp_path):
    assert tool("imagenet-c", part_c)[0] == 0
    before = (tmp_path / "out.json").read_bytes()
    shutil.rmtree(part_c / "fog/1/class_0")
    (part_c / "fog/1/class_0").mkdir()
    for number in range(3):
        # Unreadable, but nothing has to be read.
        (part_c / f"fog/1/class_0/{number}.JPEG").touch()
    code, output, errors = tool("imagenet-c", part_c)
    assert code == 0, errors
    assert (tmp_path / "out.json").read_bytes() == before
    assert "10 cells measured" in output


def test_size_is_checked_unless_asked_for(call_tool, config, checkpoint, part_c):
    error = only_error(
        *call_tool(
            *(TOOL, config, checkpoint, "--dataset", "imagenet-c", "--data-root", part_c),
            *("--corruptions", "fog", "--workers", 0),
        )
    )
    assert f"{str(part_c / 'fog/1/class_0/0.JPEG')!r} is {SIZE} x {SIZE}" in error
    assert "--input-size 224" in error


def test_model_of_other_classes_is_named(tool, part_c, repo, tmp_path, clean):
    other = tmp_path / "other.py"
    other.write_text(
        f"_base_ = '{repo}/configs/imagenet/resnet18_gap_lrnorm.py'\n"
        "model = dict(backbone=dict(base_channels=8, stem_channels=8),\n"
        "             head=dict(num_classes=7, in_channels=64))\n"
        f"test_dataloader = dict(dataset=dict(_delete_=True, data_root='{clean}',\n"
        "    type='gcp_mm.ClassFolder', pipeline=[]))\n"
    )
    from mmengine.config import Config
    from mmpretrain.registry import MODELS

    weights = MODELS.build(dict(Config.fromfile(other).model)).state_dict()
    torch.save({"state_dict": weights}, tmp_path / "other.pth")
    error = only_error(*tool("imagenet-c", part_c, config=other, checkpoint=tmp_path / "other.pth"))
    assert "the model has 7 classes" in error and f"{str(part_c)!r} is labelled with 6" in error


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ("checkpoint", "checkpoint_sha256"),
        ("config", "config_sha256"),
        ("transform", "transform is"),
        ("listing", "listing_sha256"),
        ("classes", "classes_sha256"),
        ("dtype", "dtype is 'float32' there and 'bfloat16' here"),
        ("num_samples", "num_samples is None there and 6 here"),
    ],
)
def test_file_of_another_evaluation_is_kept(
    tool, part_c, config, checkpoint, tmp_path, changed, named
):
    code, _, errors = tool("imagenet-c", part_c, "--severities", 1)
    assert code == 0, errors
    before = (tmp_path / "out.json").read_bytes()
    options, files = ["--severities", "2"], {}
    if changed == "checkpoint":
        weights = torch.load(checkpoint)["state_dict"]
        weights["head.fc.bias"] += 1
        files["checkpoint"] = tmp_path / "small.pth"
        torch.save({"state_dict": weights}, files["checkpoint"])
    elif changed == "config":
        options += ["--cfg-options", "data_preprocessor.to_rgb=False"]
    elif changed == "transform":
        options += ["--decoder", "cv2"]
    elif changed == "listing":
        for cell in part_c.glob("*/*"):
            (cell / "class_0/0.JPEG").rename(cell / "class_0/9.JPEG")
    elif changed == "classes":
        files["config"] = tmp_path / "small.py"
        table = [*reversed(CLASSES)]
        files["config"].write_text(
            f"_base_ = '{config}'\ntest_dataloader = dict(dataset=dict(classes={table}))\n"
        )
    elif changed == "dtype":
        options += ["--dtype", "bfloat16"]
    else:
        options += ["--num-samples", "6"]
    error = only_error(*tool("imagenet-c", part_c, *options, **files))
    assert named in error and "is of another evaluation" in error
    assert error.count("there and") <= 2
    assert (tmp_path / "out.json").read_bytes() == before


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--corruptions", "mist"], "unknown corruption 'mist'"),
        (["--severities", "6"], "severity 6"),
        (["--difficulty", "2"], "--difficulty has no effect on imagenet-c"),
        (["--data-root", "/no/tree"], "'/no/tree' does not exist"),
        (["--num-samples", "19"], "--num-samples 19: a cell has 18 files"),
        (["--num-samples", "0"], "--num-samples 0"),
        (["--shard", "2/2"], "--shard 2/2"),
        (["--shard", "0/19"], "19 shards for 18 files"),
        (["--clean-error", "23.9"], "--clean-error 23.9"),
        (["--clean", "--clean-error", "0.2"], "one of --clean-root, --clean and --clean-error"),
        (["--clean-root", "/no/clean"], "--clean-root '/no/clean' does not exist"),
        (["--baseline", "/no/file.json"], "baseline '/no/file.json'"),
        (["--device", "gpu"], "--device gpu"),
        (["--batch-size", "0"], "--batch-size 0"),
        (["--dataset", "imagenet-p", "--corruptions", "fog"], "unknown perturbation 'fog'"),
        (["--dataset", "imagenet-p", "--decoder", "cv2"], "--decoder has no effect on imagenet-p"),
        (["--dataset", "imagenet-p", "--severities", "1"], "--severities has no effect"),
    ],
)
def test_wrong_option_is_named(tool, part_c, tmp_path, options, named):
    assert named in only_error(*tool("imagenet-c", part_c, *options))
    assert not (tmp_path / "out.json").exists()


def test_dataset_and_files_are_required(call_tool, config, checkpoint, tmp_path):
    assert "--dataset is missing" in only_error(*call_tool(TOOL, config, checkpoint))
    absent = (TOOL, config, tmp_path / "absent.pth", "--dataset", "imagenet-c")
    assert "absent.pth' does not exist" in only_error(*call_tool(*absent))


def test_clean_test_data_of_the_config(tool, part_c, tmp_path, network, clean):
    from robustness.plain_loop import count_right

    code, output, errors = tool("imagenet-c", part_c, "--severities", 1, "--clean")
    assert code == 0, errors
    cell = json.loads((tmp_path / "out.json").read_text())["cells"]["clean"]
    expected = count_right(network, clean, CLASSES)
    assert {key: cell[key] for key in expected} == expected
    assert f"clean error {1 - expected['correct'] / 18:.2%}" in output


def test_other_clean_images_are_measured_again(tool, part_c, clean, tmp_path):
    command = ("imagenet-c", part_c, "--severities", 1, "--clean-root", tmp_path / "clean")
    shutil.copytree(clean, tmp_path / "clean")
    found = []
    for _ in range(2):
        code, _, errors = tool(*command)
        assert code == 0, errors
        found.append(json.loads((tmp_path / "out.json").read_text())["cells"]["clean"])
        # The same folder with another listing.
        (tmp_path / "clean/class_0/0.png").unlink(missing_ok=True)
    assert [cell["total"] for cell in found] == [cell["files"] for cell in found] == [18, 17]
    assert found[0]["sha256"] != found[1]["sha256"]


def test_other_versions_do_not_continue_a_file(tool, part_c, tmp_path, monkeypatch):
    path = tmp_path / "out.json"
    assert tool("imagenet-c", part_c, "--severities", 1)[0] == 0
    before = json.loads(path.read_text())
    assert before["versions"]["torch"] == torch.__version__
    assert before["environment"] == {"device": ["cpu"], "batch_size": [8]}
    real = result.versions()
    for package, version in (("torch", "1.0"), ("pillow", "2.0"), ("opencv", "3.0")):
        monkeypatch.setattr(evaluate, "versions", lambda _, p=package, v=version: {**real, p: v})
        error = only_error(*tool("imagenet-c", part_c))
        assert f"{package} is {real[package]} there and {version} here. It is kept. " in error
        assert f"To go on with it, install {package} {real[package]}, or choose another" in error
        # Nothing is measured: the measures of finished cells are asked for.
        assert tool("imagenet-c", part_c, "--severities", 1)[0] == 0
        assert json.loads(path.read_text()) == before
    monkeypatch.setattr(evaluate, "versions", lambda _: {**real, "gcp_mm": "0"})
    code, _, errors = tool("imagenet-c", part_c, "--severities", 1, 2, "--batch-size", 4)
    assert code == 0, errors
    after = json.loads(path.read_text())
    assert after["versions"] == {**real, "gcp_mm": f"{real['gcp_mm']}, 0"}
    assert after["environment"] == {"device": ["cpu"], "batch_size": [8, 4]}


def test_weights_of_the_hub(call_tool, config, network, checkpoint, part_c, hub_files, tmp_path):
    pytest.importorskip("safetensors")
    write_checkpoint(network.state_dict(), tmp_path / "small.safetensors")
    content = (tmp_path / "small.safetensors").read_bytes()
    hub_files.files["owner/net/small.safetensors"] = content
    files = {}
    for source in (checkpoint, "hf://owner/net/small.safetensors"):
        code, _, errors = call_tool(
            *(TOOL, config, source, "--dataset", "imagenet-c", "--data-root", part_c),
            *("--corruptions", "fog", "--severities", 1, "--workers", 0, "--batch-size", 8),
            *("--input-size", SIZE, "--out", tmp_path / "hub.json"),
        )
        assert code == 0, errors
        files[source] = json.loads((tmp_path / "hub.json").read_text())
        (tmp_path / "hub.json").unlink()
    plain, fetched = files.values()
    for cell in ("correct", "total"):
        assert fetched["cells"]["fog/1"][cell] == plain["cells"]["fog/1"][cell]
    assert fetched["settings"]["checkpoint"] == "small.safetensors"
    assert fetched["settings"]["checkpoint_sha256"] == hashlib.sha256(content).hexdigest()
