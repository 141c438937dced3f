"""A run that continues says what it changes, and when nothing is left to do."""

import pytest
import torch
from tiny_runs import forget_runs, only_error, read_checkpoint, read_log

from engine.counting import counting_runner
from gcp_mm.engine.hooks import ResumeCheckHook, start_hooks

HOOKS = [dict(type="gcp_mm.ResumeCheckHook")]


@pytest.fixture
def warned(monkeypatch):
    """Return the lines that the hook logs."""
    lines = []
    monkeypatch.setattr(start_hooks, "warn", lines.append)
    yield lines
    forget_runs()


def test_finished_run_says_so_and_what_to_do(warned, tmp_path):
    counting_runner(tmp_path, 1).train()
    forget_runs()
    counting_runner(tmp_path, 1, resume=True, custom_hooks=HOOKS).train()
    assert warned == [
        "this run is finished: epoch 1 of train_cfg.max_epochs=1. To train longer, raise it "
        "(--cfg-options train_cfg.max_epochs=2); a schedule that is over stays at its last "
        "learning rate"
    ]
    warned.clear()
    forget_runs()
    counting_runner(tmp_path, 2, resume=True, custom_hooks=HOOKS).train()
    assert warned == []


def test_nothing_to_continue_is_said(warned, tmp_path):
    counting_runner(tmp_path, 1, resume=True, custom_hooks=HOOKS).train()
    assert warned == [
        f"{tmp_path} has no checkpoint to continue from: the training starts from the beginning"
    ]


CHANGES = {
    "learning rate": (
        ["optim_wrapper.optimizer.lr=0.5"],
        "have no effect: optim_wrapper.optimizer.lr: 0.01, now 0.5. For a new schedule",
    ),
    "schedule": (["param_scheduler.milestones=[3]"], "param_scheduler.milestones.0: 2, now 3."),
    "architecture": (
        ["model.neck.num_iters=3"],
        "was trained with other settings: model.neck.num_iters: None, now 3",
    ),
    "batch": (
        ["train_dataloader.batch_size=2"],
        "with other settings: train_dataloader.batch_size: 4, now 2",
    ),
    "none": ([], None),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_what_differs_is_named(call_tool, classifier, trained, tmp_path, kind):
    options, expected = CHANGES[kind]
    code, _, errors = call_tool(
        *("tools/train.py", classifier, "--work-dir", tmp_path),
        *("--resume", trained[0] / "epoch_3.pth"),
        *(["--cfg-options", *options] if options else []),
    )
    assert code == 0, errors
    log = read_log(tmp_path)
    assert "this run is finished: epoch 3 of train_cfg.max_epochs=3" in log
    if expected:
        assert f"{trained[0] / 'epoch_3.pth'}" in log and expected in log
    else:
        assert "other settings" not in log and "no effect" not in log


@pytest.mark.parametrize(
    ("classes", "named"),
    [
        (("class_0", "class_2", "class_1"), "class 1 is 'class_2' there and 'class_1' here"),
        (("class_0", "class_1"), "on 2 classes and the training data have 3: class 2 is none"),
    ],
)
def test_other_classes_are_refused(call_tool, classifier, trained, tmp_path, classes, named):
    checkpoint = read_checkpoint(trained[0] / "epoch_1.pth")
    checkpoint["meta"]["dataset_meta"]["classes"] = classes
    torch.save(checkpoint, tmp_path / "epoch_1.pth")
    command = ("tools/train.py", classifier, "--work-dir", tmp_path / "work")
    assert named in only_error(*call_tool(*command, "--resume", tmp_path / "epoch_1.pth"))
    assert not list((tmp_path / "work").glob("*.pth"))


def test_resuming_without_a_checkpoint_says_that_it_starts(call_tool, classifier, tmp_path):
    code, _, errors = call_tool(
        *("tools/train.py", classifier, "--work-dir", tmp_path, "--resume"),
        *("--cfg-options", "train_cfg.max_epochs=1", "train_cfg.val_interval=9"),
    )
    assert code == 0, errors
    assert f"--resume: {tmp_path} has no epoch_N.pth or iter_N.pth to continue" in read_log(
        tmp_path
    )


def test_best_checkpoint_is_no_training_to_continue(call_tool, classifier, trained, tmp_path):
    (best,) = trained[0].glob("best_*")
    command = ("tools/train.py", classifier, "--work-dir", tmp_path, "--resume", best)
    assert "holds weights, and no training to continue" in only_error(*call_tool(*command))


def test_text_in_a_checkpoint_is_not_run(warned, tmp_path):
    counting_runner(tmp_path, 1).train()
    forget_runs()
    path = tmp_path / "epoch_1.pth"
    checkpoint = read_checkpoint(path)
    checkpoint["meta"]["cfg"] = f"import os\nmodel = os.system('touch {tmp_path}/ran')\n"
    torch.save(checkpoint, path)
    counting_runner(tmp_path, 2, resume=True, custom_hooks=HOOKS).train()
    assert not (tmp_path / "ran").exists()


def test_runs_that_start_are_left_alone():
    # A fine-tuning, and an evaluation, whose training loop is its config.
    for attributes in ({"_resume": False}, {"_resume": True, "_train_loop": {}}):
        runner = type("Runner", (), attributes)()
        ResumeCheckHook().after_load_checkpoint(
            runner, {"meta": {"dataset_meta": {"classes": "x"}}}
        )
