"""The training tool."""

import functools

import pytest
from tiny_runs import only_error, read_checkpoint, read_log, read_scalars

from gcp_mm.engine import amp, runner
from gcp_mm.engine.torch_backends import check_gpu_driver

OPTIONS = ("--resume", "--amp", "--auto-scale-lr", "--cfg-options", "--work-dir")


def test_every_tool_explains_itself(call_tool, repo):
    tools = sorted(path.name for path in (repo / "tools").glob("[!_]*.py"))
    assert {"train.py", "test.py"} <= set(tools)
    for tool in tools:
        code, output, _ = call_tool(f"tools/{tool}", "--help")
        assert code == 0
        assert f"usage: {tool}" in output


def test_help_lists_the_options(call_tool):
    _, output, _ = call_tool("tools/train.py", "--help")
    assert [option for option in OPTIONS if option not in output] == []
    # openmim passes --gpus to every tool whose help names it.
    assert "--gpus" not in output


MISSING = {
    "config": (["configs/absent.py"], "'configs/absent.py' does not exist"),
    "data": (["--cfg-options", "train_dataloader.dataset.data_root=/no/data"], "'/no/data'"),
    "validation data": (
        ["--cfg-options", "val_dataloader.dataset.data_prefix=absent"],
        "val_dataloader.dataset.data_prefix",
    ),
    "weights": (
        [
            "--cfg-options",
            "model.backbone.init_cfg.type=Pretrained",
            "model.backbone.init_cfg.checkpoint=/no/weights.pth",
        ],
        "'/no/weights.pth' of pretrained weights does not exist (model.backbone.init_cfg.check",
    ),
    "setting": (
        ["--cfg-options", "train_cfg.max_epochs.x=1"],
        "--cfg-options train_cfg.max_epochs.x",
    ),
    "checkpoint": (["--resume", "/no/epoch_1.pth"], "'/no/epoch_1.pth' does not exist"),
    "base batch": (
        ["--auto-scale-lr", "--cfg-options", "auto_scale_lr.base_batch_size=None"],
        "--auto-scale-lr needs auto_scale_lr.base_batch_size",
    ),
    "half precision": (["--amp", "float16"], "float16 on the CPU is not possible"),
    "wrapper": (
        ["--amp", "--cfg-options", "optim_wrapper.type=ApexOptimWrapper"],
        "--amp does not go with optim_wrapper.type=ApexOptimWrapper",
    ),
    "GPU": (
        ["--cfg-options", "optim_wrapper.type=AmpOptimWrapper"],
        "optim_wrapper.type=AmpOptimWrapper needs a GPU",
    ),
    "compiler": (["--cfg-options", "compile=True"], "'/no/c++' is not found"),
}


@pytest.mark.parametrize("kind", MISSING)
def test_what_is_missing_is_named(call_tool, classifier, tmp_path, monkeypatch, kind):
    monkeypatch.setattr(amp, "get_device", lambda: "cpu")
    monkeypatch.setattr("mmengine.device.get_device", lambda: "cpu")
    monkeypatch.setenv("CXX", "/no/c++")
    arguments, message = MISSING[kind]
    config = [] if kind == "config" else [classifier]
    call = call_tool("tools/train.py", *config, *arguments, "--work-dir", tmp_path / "work")
    assert message in only_error(*call)
    # Before anything was built or written.
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize("tool", ["train", "test"])
def test_gpu_that_torch_cannot_use_stops_a_single_process(
    call_tool, classifier, tmp_path, monkeypatch, tool
):
    (tmp_path / "nvidiactl").touch()
    check = functools.partial(check_gpu_driver, [tmp_path / "nvidiactl"])
    monkeypatch.setattr(runner, "check_gpu_driver", check)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    checkpoint = ["/no/epoch_1.pth"] if tool == "test" else ["--resume", "/no/epoch_1.pth"]
    error = only_error(*call_tool(f"tools/{tool}.py", classifier, *checkpoint))
    assert "there is a GPU driver, but torch can use no GPU" in error
    # A wish for the CPU is obeyed: the run comes to its next obstacle.
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    error = only_error(*call_tool(f"tools/{tool}.py", classifier, *checkpoint))
    assert "'/no/epoch_1.pth' does not exist" in error


def test_error_of_a_real_process(run_tool):
    process = run_tool("tools/train.py", "configs/absent.py")
    error = only_error(process.returncode, process.stdout, process.stderr)
    assert "configs/absent.py" in error


def test_mistyped_name_is_told_before_openmmlab_is_imported(run_tool):
    for tool, words in (("train", []), ("test", ["a.pth"])):
        process = run_tool("-X", "importtime", f"tools/{tool}.py", "configs/absent.py", *words)
        assert "'configs/absent.py' does not exist" in process.stderr
        imported = {line.rpartition("|")[2].strip() for line in process.stderr.splitlines()}
        assert "gcp_mm.engine.config" in imported and not imported & {"torch", "mmengine"}


def test_other_batch_than_the_schedule_was_made_for_is_a_warning(trained):
    work_dir, _ = trained
    assert "WARNING - the learning rate 0.01 belongs to a batch of 256, but this run has 4" in (
        read_log(work_dir)
    )
    assert read_checkpoint(work_dir / "epoch_3.pth")["meta"]["epoch"] == 3


def test_learning_rate_is_scaled_on_request(call_tool, classifier, tmp_path):
    code, _, errors = call_tool(
        *("tools/train.py", classifier, "--work-dir", tmp_path, "--auto-scale-lr"),
        *("--cfg-options", "train_cfg.max_epochs=1", "train_cfg.val_interval=2"),
    )
    assert code == 0, errors
    steps, _ = read_scalars(tmp_path)
    assert {record["lr"] for record in steps.values()} == {0.01 * 4 / 256}
    assert "belongs to a batch of" not in read_log(tmp_path)


def test_run_leaves_checkpoints_and_its_config(trained):
    work_dir, _ = trained
    names = {path.name for path in work_dir.iterdir() if path.is_file()}
    best = {name for name in names if name.startswith("best_accuracy_top1_epoch_")}
    assert len(best) == 1
    assert names - best == {
        *("epoch_1.pth", "epoch_2.pth", "epoch_3.pth", "last_checkpoint", "tiny_gcp.py")
    }


def test_network_learned(trained):
    steps, epochs = read_scalars(trained[0])
    assert steps[12]["loss"] < steps[1]["loss"]
    assert epochs[3]["accuracy/top1"] > 100 / 3
