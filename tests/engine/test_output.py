"""The last lines of training and evaluation lead to the results and to a command that runs."""

import shlex
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config, config
from mmengine.hooks import CheckpointHook
from tiny_runs import forget_runs
from yapf.yapflib import yapf_api

from gcp_mm.engine import output as next_step
from gcp_mm.engine.config import load_config


@pytest.fixture
def runner(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["tools/train.py"])
    hook = CheckpointHook(save_best="auto")
    hook.last_ckpt, hook.best_ckpt_path = str(tmp_path / "w d/epoch_3.pth"), None
    return SimpleNamespace(
        hooks=[hook], work_dir=str(tmp_path / "w d"), log_dir=str(tmp_path / "w d/2026")
    )


def lines(capsys):
    results, *following = capsys.readouterr().out.splitlines()
    assert results.startswith("results: ")
    return results, *following


@pytest.mark.parametrize("best", [None, "w d/best_x_epoch_2.pth"])
def test_training_ends_with_the_command_that_evaluates_it(runner, capsys, best):
    runner.hooks[0].best_ckpt_path = best
    next_step.print_after_training(runner, "my configs/a.py", None)
    results, following = lines(capsys)
    assert results.endswith("epoch_3.pth (latest) in w d, log in w d/2026")
    assert ("best_x_epoch_2.pth (best)" in results) == bool(best)
    program, *command = shlex.split(following)
    assert (program, command) == (
        "next:",
        ["python", "tools/test.py", "my configs/a.py", best or "w d/epoch_3.pth"],
    )


def test_several_best_checkpoints_and_the_installed_program(runner, capsys):
    hook = CheckpointHook(save_best=["acc", "loss"])
    hook.last_ckpt, hook.best_ckpt_path_dict = None, {"acc": "w d/best_acc.pth", "loss": None}
    runner.hooks = [hook]
    next_step.print_after_training(runner, "a.py", "gcp-mm train")
    results, following = lines(capsys)
    assert results.startswith("results: best_acc.pth (best) in w d")
    assert following == "next: gcp-mm test a.py 'w d/best_acc.pth'"


def test_training_without_checkpoints_names_no_command(runner, capsys):
    runner.hooks = []
    next_step.print_after_training(runner, "a.py", None)
    assert lines(capsys) == ("results: no checkpoint in w d, log in w d/2026",)


@pytest.mark.parametrize(
    ("scope", "show", "step", "expected"),
    [
        ("mmpretrain", None, "x", "next: python tools/test.py a.py x.pth --show-dir w/shown"),
        ("mmpretrain", "s", "CenterCrop", "next: python tools/export.py a.py x.pth x.onnx"),
        # Images of any size, of which an exported network takes one.
        (
            "mmpretrain",
            "s",
            "PackInputs",
            "next: python tools/export.py a.py x.pth x.onnx --input-size HEIGHT WIDTH",
        ),
        ("mmdet", "s", "x", None),
    ],
)
def test_evaluation_ends_with_its_numbers(
    tmp_path, monkeypatch, capsys, scope, show, step, expected
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["tools/test.py"])
    loader = dict(dataset=dict(pipeline=[dict(type=step)]))
    cfg = Config(dict(work_dir="w", default_scope=scope, test_dataloader=loader))
    metrics = {"accuracy/top1": 100 / 3, "images": 7, "classwise": [1]}
    metrics |= {"mean": np.float32(0.25), "loss": torch.tensor(0.5), "classes": np.ones(2)}
    next_step.print_after_test(cfg, "a.py", "x.pth", metrics, "o.pkl", show, None)
    results, *following = lines(capsys)
    numbers = "accuracy/top1 33.3333, images 7, mean 0.2500, loss 0.5000"
    assert results.startswith(f"results: {numbers}; predictions in o.pkl")
    assert results.endswith("log in w") and ("drawn images in s" in results) == bool(show)
    assert following == ([expected] if expected else [])


def test_other_processes_print_nothing(runner, monkeypatch, capsys):
    monkeypatch.setattr(next_step, "is_main_process", lambda: False)
    next_step.print_after_training(runner, "a.py", None)
    next_step.print_after_test(Config(), "a.py", "x.pth", {}, None, None, None)
    assert capsys.readouterr().out == ""


def test_config_is_formatted_once_and_again_after_a_change(classifier, tmp_path, monkeypatch):
    cfg = load_config(str(classifier), work_dir=str(tmp_path / "run"))
    formatted = []
    yapf = yapf_api.FormatCode
    # The forks of mmengine ask yapf for it each time.
    monkeypatch.setattr(
        config if hasattr(config, "FormatCode") else yapf_api,
        "FormatCode",
        lambda text, **how: formatted.append(text) or yapf(text, **how),
    )
    runner = next_step.QuietRunner.from_cfg(cfg)
    forget_runs()
    assert len(formatted) == 1  # for the log, the visualizer and the file
    assert type(cfg) is Config and runner.cfg.pretty_text == cfg.pretty_text
    runner.cfg.model.backbone.depth = 34
    assert runner.cfg.pretty_text == Config(runner.cfg.to_dict()).pretty_text
    assert "depth=34" in runner.cfg.pretty_text
